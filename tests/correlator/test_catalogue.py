"""What the catalogue adds: one name a service, labels, roles; and that it changes none of the promises."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import Catalogue, Service
from config.settings import Settings
from config.suppression import Silence
from correlator.atlas import ServiceSeen
from correlator.directory import Directory
from correlator.domain import DomainCore
from correlator.incident import Incident
from streams.records.messages import ADDRESSES, METRICS, Change, Edge, Edges
from streams.records.stage import Output
from tests.correlator.make import T0, Message, final, firing, mark, new_core, records
from tests.correlator.test_properties import storm
from tests.correlator.test_replay import as_bytes, in_order, interleave, shard_logs

SERVICES = (
    Service(service="gateway", owner="web", tier=1, depends_on=("checkout", "store"), labels={"zone": "z1"}),
    Service(
        service="checkout", aliases=("cart",), owner="pay", tier=1, depends_on=("payment",),
        runbook="https://wiki/checkout", links={"board": "https://g/1"},
    ),
    Service(service="payment", owner="pay", tier=2, depends_on=("gateway",)),
    Service(service="island", labels={"host": "a", "zone": "z1"}, environment="prod"),
    Service(service="rock", labels={"host": "a", "zone": "z2"}),
)  # fmt: skip


def directory(**more: Any) -> Directory:
    return Directory(Catalogue(SERVICES), **more)


def test_labels_the_alert_lacks_are_added() -> None:
    """And owner, tier, application and environment, for those who match by them."""
    known = directory().alert(firing("island", resource=(("app", "x"),)))
    assert known.resource == (("app", "x"), ("environment", "prod"), ("host", "a"), ("zone", "z1"))


@pytest.mark.parametrize("own", [("host", "b"), ("host.name", "b"), ("k8s.node.name", "b")])
def test_the_alerts_own_labels_win(own: tuple[str, str]) -> None:
    """Also under another word for the same thing."""
    known = directory().alert(firing("rock", labels=(own,)))
    assert dict(known.resource) == {"zone": "z2"}


def test_the_domain_is_the_alerts_own_affair() -> None:
    """The label that names it is not added."""
    known = directory(domain_label="environment").alert(firing("island"))
    assert "environment" not in dict(known.resource)


def test_an_unknown_service_is_left_alone() -> None:
    """The very same object."""
    alert = firing("nobody")
    assert directory().alert(alert) is alert


def test_calls_and_changes_go_by_the_services_name() -> None:
    """Addresses too, where the catalogue knows the name in them."""
    edges = Edges(0, T0, (Edge("gateway", "cart.shop.svc:80", 3), Edge("gateway", "10.0.0.1", 1)), ADDRESSES)
    assert [e.callee for e in directory().edges(edges).edges] == ["checkout", "10.0.0.1"]
    named = Edges(0, T0, (Edge("cart", "payment", 3),), METRICS, ("cart",))
    assert directory().edges(named) == Edges(0, T0, (Edge("checkout", "payment", 3),), METRICS, ("checkout",))
    assert directory().change(Change("c", T0, "cart")).service == "checkout"


def run(
    messages: list[Message], services: tuple[Service, ...] = SERVICES, **more: Any
) -> dict[str, Incident]:
    return final(new_core((), services, **more).process(records(messages)))


def test_roles_carry_owner_tier_and_runbook() -> None:
    """The suspected cause its links too; the incident belongs to its owner."""
    alerts = [firing("cart", "errors", severity="critical"), firing("gateway", at=5_000)]
    (incident,) = run([*alerts, mark(100_000)]).values()
    checkout, gateway = incident.services
    assert (checkout.service, checkout.role, checkout.owner, checkout.tier) == (
        "checkout",
        "suspected cause",
        "pay",
        1,
    )
    assert (checkout.runbook, checkout.links) == ("https://wiki/checkout", (("board", "https://g/1"),))
    assert (gateway.owner, gateway.links) == ("web", ())
    assert incident.owner == "pay"
    assert incident.calls == (("gateway", "checkout", 0.0),)


def test_a_host_of_the_catalogue_ties_alerts_together() -> None:
    """Two services without a call between them on one host, which telemetry does not tell."""
    alerts = [firing("island", severity="critical"), firing("rock", at=1_000, severity="critical")]
    # Hosts are evidence only where some services are not on them.
    others = [firing(f"s{n}", at=-900_000, resource=(("host", f"h{n}"), ("zone", "z3"))) for n in range(4)]
    log: list[Message] = [*others, *alerts, mark(100_000)]
    together = [i for i in run(log).values() if {s.service for s in i.services} == {"island", "rock"}]
    assert len(together) == 1
    assert not [i for i in run(log, ()).values() if len(i.services) > 1]


def test_a_silence_may_ask_for_the_owner() -> None:
    """What the catalogue adds is seen by matchers."""
    quiet = Silence(name="pay", matchers=('owner="pay"',))
    alerts = [firing("payment", severity="critical"), firing("gateway", severity="critical")]
    found = run([*alerts, mark(100_000)], silences=(quiet,))
    assert [s.service for i in found.values() for s in i.services] == ["gateway"]


def test_a_service_on_the_way_is_drawn_without_an_alert() -> None:
    """From the symptom through a silent service to the cause."""
    alerts = [
        firing("payment", "errors", severity="critical", strength=50.0),
        firing("gateway", "latency", at=6_000, strength=5.0),
    ]
    services = tuple(msgspec.structs.replace(s, depends_on=s.depends_on[:1]) for s in SERVICES[:2])
    (incident,) = run([*alerts, mark(100_000)], (*services, Service(service="payment"))).values()
    assert incident.hints[0].service == "payment"
    assert [s.service for s in incident.services] == ["payment", "gateway"]
    assert incident.calls == (("checkout", "payment", 0.0), ("gateway", "checkout", 0.0))


def seen(outputs: list[Output]) -> list[ServiceSeen]:
    topology = [o for o in outputs if o.topic == "tocsin.topology"]
    return [msgspec.json.decode(o.value or b"", type=ServiceSeen) for o in topology]


def edges(at: int, *calls: Edge, shard: int = 0, **more: Any) -> Edges:
    return Edges(shard, T0 + at, calls, **more)


def test_learned_calls_are_told_at_the_next_full_minute() -> None:
    """A small record per service, once for all that came until then."""
    core = new_core((), SERVICES)
    log = [
        edges(10_000, Edge("gateway", "cart", 60, 6)),
        edges(20_000, Edge("gateway", "cart", 60, 6), services=("gateway", "loner")),
        mark(59_000),
        mark(121_000),
    ]
    records_ = seen([*core.process(records(log))])
    assert [(r.service, [c.callee for c in r.calls]) for r in records_] == [
        ("gateway", ["checkout"]),
        ("loner", []),
    ]
    call = records_[0].calls[0]
    assert (call.first_ms, call.last_ms, call.places) == (T0 + 10_000, T0 + 20_000, ("traces",))
    assert call.failed == pytest.approx(0.1)
    assert records_[0].at_ms % 60_000 == 0


def test_what_stays_the_same_is_told_every_ten_minutes() -> None:
    """However often it is seen; with a rate that is right from the start."""
    core = new_core((), SERVICES)
    log: list[Message] = [edges(n * 10_000, Edge("a", "b", 5)) for n in range(180)]
    said = seen([*core.process(records([*log, mark(1_850_000)]))])
    assert [(b.at_ms - a.at_ms) // 60_000 for a, b in pairwise(said)] == [11, 11]
    assert [r.calls[0].per_minute for r in said] == [pytest.approx(30, rel=0.1)] * 3


def test_a_call_that_is_forgotten_is_told_of() -> None:
    """A service of which nothing is left is gone."""
    core = new_core((), edge_memory_ms=600_000)
    log = [
        edges(0, Edge("a", "b", 1), Edge("c", "d", 1)),
        edges(300_000, Edge("a", "b", 1)),
        edges(700_000, Edge("a", "b", 1)),
        mark(900_000),
    ]
    last = {r.service: r for r in seen([*core.process(records(log))])}
    assert last["c"].gone
    assert [c.callee for c in last["a"].calls] == ["b"]


def test_only_one_partition_tells() -> None:
    """All of them see the same calls."""
    core = DomainCore(Settings(), Catalogue(), 1)
    assert not seen([*core.process(records([edges(0, Edge("a", "b", 1)), mark(900_000)]))])


CALLS = st.builds(
    Edge,
    st.sampled_from(("gateway", "cart", "checkout", "store", "rock")),
    st.sampled_from(("payment", "cart", "store.shop.svc", "10.0.0.9", "island")),
    st.integers(0, 50),
    st.integers(0, 5),
)


@st.composite
def logs_with_calls(draw: st.DrawFn) -> list[list[Message]]:
    """A storm beside calls from traces and metrics."""
    logs = shard_logs(draw(storm()))
    for shard, log in enumerate(logs):
        more = [
            Edges(
                shard,
                T0 + draw(st.integers(1, 180)) * 10_000,
                tuple(draw(st.lists(CALLS, max_size=3))),
                draw(st.sampled_from(("", METRICS, ADDRESSES))),
                tuple(draw(st.lists(st.sampled_from(("cart", "store", "nobody")), max_size=2))),
            )
            for _ in range(draw(st.integers(0, 4)))
        ]
        # Before the watermarks that cover them: first of all.
        log[:0] = more
    return logs


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_arrival_pages_and_restarts_change_nothing_with_a_catalogue(data: st.DataObject) -> None:
    """Final incidents and all that is told of the topology, byte for byte."""
    logs = data.draw(logs_with_calls())
    whole = new_core((), SERVICES).process(records(in_order(logs)))
    log = records(interleave(data.draw, logs))
    core, out, at = new_core((), SERVICES), [], 0
    for _ in range(2):
        cut = data.draw(st.integers(at, len(log)))
        while at < cut:
            size = data.draw(st.integers(1, 9))
            out += core.process(log[at : min(at + size, cut)])
            at = min(at + size, cut)
        blob, at = core.snapshot(), core.needed_offset(cut)
        core = new_core((), SERVICES)
        core.restore(blob)
    out += core.process(log[at:])
    assert as_bytes(final(out)) == as_bytes(final(whole))
    told = [{o.value for o in outputs if o.topic == "tocsin.topology"} for outputs in (out, whole)]
    assert told[0] == told[1]


@settings(max_examples=20, deadline=None)
@given(storm())
def test_services_go_by_their_name_everywhere(alerts: list[Any]) -> None:
    """An incident never shows an alias."""
    for incident in final(new_core((), SERVICES).process(records(in_order(shard_logs(alerts))))).values():
        names = {m.service for m in incident.members} | {s.service for s in incident.services}
        names |= {h.service for h in incident.hints} | {n for c in incident.calls for n in c[:2]}
        assert "cart" not in names


def test_a_snapshot_keeps_what_was_met_and_told() -> None:
    """Equal memory, equal bytes."""
    core = new_core((), SERVICES)
    core.process(records([edges(0, Edge("a", "b", 1), services=("a", "z")), mark(30_000)]))
    again = new_core((), SERVICES)
    again.restore(core.snapshot())
    topology = again.engine.state.topology
    assert topology.met == {"a": T0, "z": T0}
    assert topology.links_of("a") == core.engine.state.topology.links_of("a")
    assert again.snapshot() == core.snapshot()
