"""What people do to the shape of incidents: merge, split, undo. And what is learned from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from correlator.incident import Incident
from streams.records.messages import Action, ActionResult
from tests.correlator.make import (
    T0,
    Message,
    answers,
    final,
    firing,
    mark,
    new_core,
    records,
    resolved,
    run,
    versions,
)

LOG = {"kind": "log", "severity": "error"}
PAYMENT = firing("payment", **LOG)
ISLAND = firing("island", at=1_000, **LOG)
CART = firing("cart", at=2_000, **LOG)
APART = (PAYMENT, ISLAND, CART, mark(10_000))


def id_of(service: str, *messages: Message) -> str:
    """The incident that holds a service's alert."""
    found = run(messages or APART).values()
    return next(i.id for i in found if any(m.service == service for m in i.members))


def act(verb: str, incident: str, *targets: str, id: str = "", at: int = 20_000) -> Action:
    return Action(id or f"{verb}-{incident}-{targets}", T0 + at, incident, verb, "ada", "", targets)


def content(incident: Incident) -> dict[str, Any]:
    """All of it but the count of its versions and the record of what people did."""
    plain = msgspec.to_builtins(incident)
    for name in ("version", "updated_at", "timeline", "active_ms"):
        del plain[name]
    return plain


def test_people_merge_several_incidents_at_once() -> None:
    """All members are in the one they named first, and the others say where they went."""
    payment, island, cart = map(id_of, ("payment", "island", "cart"))
    out = new_core().process(records([*APART, act("merge", payment, island, cart)]))
    incidents = final(out)
    assert {m.service for m in incidents[payment].members} == {"payment", "island", "cart"}
    assert incidents[payment].merged_from == (island, cart)
    assert [incidents[i].merged_into for i in (island, cart)] == [payment, payment]
    answer = answers(out)[0]
    assert answer == ActionResult(
        answer.id, payment, True, f"merged {island}, {cart} into {payment}", "open",
        action="merge", actor="ada", ts=answer.ts,
    )  # fmt: skip


@pytest.mark.parametrize("of_survivor", [False, True])
def test_merge_then_undo_gives_the_former_state(of_survivor: bool) -> None:
    """Undone by the name of either: both are what they were, but for the record of it."""
    payment, island = id_of("payment"), id_of("island")
    before = run(APART)
    undo = act("undo", payment if of_survivor else island, at=30_000)
    out = new_core().process(records([*APART, act("merge", payment, island), undo]))
    after = final(out)
    assert [a.applied for a in answers(out)] == [True, True]
    assert {id: content(i) for id, i in after.items()} == {id: content(i) for id, i in before.items()}
    assert all(any("undone by ada" in e.text for e in after[id].timeline) for id in (payment, island))


def test_no_report_takes_the_id_of_an_incident_that_was_merged() -> None:
    """It would stand in the way of the undo."""
    payment, island = id_of("payment"), id_of("island")
    told = {"title": "Transfers fail", "services": "ledger", "severity": "critical"}
    report = msgspec.structs.replace(act("report", island, at=21_000), fields=told)
    undo = act("undo", island, at=22_000)
    out = new_core().process(records([*APART, act("merge", payment, island), report, undo]))
    _, refused, undone = answers(list(out))
    assert (refused.applied, refused.reason) == (False, "this id is that of another incident")
    assert undone.applied


def test_undo_keeps_what_has_happened_since() -> None:
    """Resolves of either side and new members stay; the former acknowledge comes back to its own."""
    payment, island = id_of("payment"), id_of("island")
    log = [
        *APART,
        act("acknowledge", island, at=11_000),
        act("merge", payment, island),
        resolved(ISLAND, 25_000),
        firing("payment", "other", at=24_000, **LOG),
        mark(30_000),
        act("undo", island, at=31_000),
    ]
    incidents = final(new_core().process(records(log)))
    assert incidents[island].members[0].resolved_at == T0 + 25_000
    assert [r.name for r in incidents[island].members[0].reasons] == ["first"]
    assert (incidents[island].state, incidents[payment].state) == ("acknowledged", "open")
    assert [m.metric for m in incidents[payment].members] == ["latency", "other"]


def test_undone_incidents_live_on_apart() -> None:
    """Each takes its own resolves, resolves and closes by itself."""
    payment, island = id_of("payment"), id_of("island")
    log = [*APART, act("merge", payment, island), act("undo", island, at=30_000)]
    log += [resolved(a, 60_000) for a in (PAYMENT, ISLAND, CART)]
    incidents = final(new_core().process(records([*log, mark(2_000_000)])))
    assert {i.state for i in incidents.values()} == {"closed"}
    assert len({i.resolved_at for i in incidents.values()}) == 1


def test_an_automatic_merge_can_be_undone_and_is_not_repeated() -> None:
    """The next alert that fits both joins one of them."""
    edges = (("gateway", "payment"), ("gateway", "cart"))
    log = [PAYMENT, firing("cart", at=2_000, **LOG), firing("gateway", at=4_000, **LOG), mark(10_000)]
    merged = next(i for i in final(new_core(edges).process(records(log))).values() if i.state == "merged")
    log += [act("undo", merged.id), firing("gateway", "other", at=24_000, **LOG), mark(40_000)]
    incidents = final(new_core(edges).process(records(log)))
    assert [i.state for i in incidents.values()] == ["open", "open"]
    homes = [a for i in incidents.values() for a in i.alerts]
    assert len(homes) == len(set(homes)) == 4


def test_split_then_merge_gives_the_same_incident() -> None:
    """Same members, times and state as before, in one incident of the same name."""
    log = [PAYMENT, firing("checkout", at=1_000, **LOG), mark(10_000)]
    (before,) = run(log).values()
    core = new_core()
    out = list(core.process(records([*log, act("split", before.id, "checkout")])))
    other = next(i for i in final(out) if i != before.id)
    assert {m.service for m in final(out)[other].members} == {"checkout"}
    assert any(e.ref == before.id and "split from" in e.text for e in final(out)[other].timeline)
    assert {m.service for m in final(out)[before.id].members} == {"payment"}
    out += core.process(records([act("merge", before.id, other, at=30_000)], first=50))
    after = final(out)[before.id]
    assert set(after.alerts) == set(before.alerts)
    same = ("state", "severity", "started_at", "detected_at", "opened_at", "services", "title", "category")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


def test_split_off_alerts_live_in_their_own_incident() -> None:
    """Named by id; what comes later of the series goes where it went, and nothing merges them again."""
    checkout = firing("checkout", at=1_000, **LOG)
    log: list[Message] = [PAYMENT, checkout, mark(10_000)]
    (before,) = run(log).values()
    again = firing("checkout", at=70_000, **LOG)
    log += [
        act("split", before.id, checkout.id),
        resolved(checkout, 60_000),
        again,
        firing("gateway", at=71_000, **LOG),
        mark(90_000),
    ]
    incidents = final(new_core().process(records(log)))
    other = next(i for i in incidents.values() if i.id != before.id)
    assert {checkout.id, again.id} <= set(other.alerts)
    assert [i.state for i in incidents.values()] == ["open", "open"]


@pytest.mark.parametrize(
    ("verb", "targets", "why"),
    [
        ("merge", (), "at least one other"),
        ("merge", ("nope",), "nope: no such incident"),
        ("split", (), "none named"),
        ("split", ("nope",), "no alert or service of this incident: nope"),
        ("split", ("payment",), "at least one alert must stay"),
        ("undo", (), "no merge to undo"),
        ("explode", (), "unknown action 'explode'; known: acknowledge, "),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    verb: str, targets: tuple[str, ...], why: str
) -> None:
    """And changes nothing."""
    out = new_core().process(records([*APART, act(verb, id_of("payment"), *targets)]))
    (answer,) = answers(out)
    assert not answer.applied
    assert why in answer.reason
    assert final(out) == run(APART)


def test_a_resolved_incident_is_not_merged() -> None:
    """Neither as the one nor as the other."""
    payment, island = id_of("payment"), id_of("island")
    log = [*APART, resolved(ISLAND, 20_000), mark(60_000)]
    log += [act("merge", payment, island, at=70_000), act("merge", island, payment, at=71_000)]
    reasons = [a.reason for a in answers(new_core().process(records(log)))]
    assert "cannot merge an incident that is resolved" in reasons[0]
    assert reasons[1] == "cannot merge into an incident that is resolved"


def test_domains_are_not_merged_by_hand() -> None:
    """Two environments stay two."""
    log = [firing(s, resource=(("env", e),), **LOG) for s, e in (("payment", "prod"), ("island", "test"))] + [
        mark(10_000)
    ]
    one, other = run(log, domain_label="env")
    out = new_core(domain_label="env").process(records([*log, act("merge", one, other)]))
    assert "domain" in answers(out)[0].reason


def test_chained_merges_are_undone_from_the_outside() -> None:
    """The inner one is refused until the outer one is undone."""
    payment, island, cart = map(id_of, ("payment", "island", "cart"))
    log = [*APART, act("merge", island, cart), act("merge", payment, island, at=21_000)]
    log += [act("undo", cart, id="1", at=30_000), act("undo", island, id="2", at=31_000)]
    log += [act("undo", cart, id="3", at=32_000)]
    out = new_core().process(records(log))
    assert [a.applied for a in answers(out)] == [True, True, False, True, True]
    assert f"merged into {island}, which was merged into {payment}" in answers(out)[2].reason
    assert {id: content(i) for id, i in final(out).items()} == {
        id: content(i) for id, i in run(APART).items()
    }


def test_what_people_merged_comes_together_by_itself_next_time() -> None:
    """Without a call or a label between them, because it was taught; the reason says so."""
    payment, island = id_of("payment"), id_of("island")
    log: list[Message] = [*APART, act("merge", payment, island)]
    log += [*(resolved(a, 60_000) for a in (PAYMENT, ISLAND, CART)), mark(2_000_000)]
    log += [firing(s, at=3_000_000 + i, **LOG) for i, s in enumerate(("payment", "island"))]
    incidents = final(new_core().process(records([*log, mark(3_010_000)])))
    newest = max(incidents.values(), key=lambda i: i.started_at)
    assert {m.service for m in newest.members} == {"payment", "island"}
    assert "together" in [r.name for r in newest.members[1].reasons]


def test_what_people_split_does_not_come_together_by_the_past() -> None:
    """A merge taken back teaches nothing."""
    payment, island = id_of("payment"), id_of("island")
    log: list[Message] = [*APART, act("merge", payment, island), act("undo", island, at=30_000)]
    log += [*(resolved(a, 60_000) for a in (PAYMENT, ISLAND, CART)), mark(2_000_000)]
    log += [firing(s, at=3_000_000 + i, **LOG) for i, s in enumerate(("payment", "island"))]
    assert len(final(new_core().process(records([*log, mark(3_010_000)])))) == 5


def test_a_snapshot_remembers_how_to_undo() -> None:
    """Restored between merge and undo, the same bytes follow."""
    payment, island = id_of("payment"), id_of("island")
    core = new_core()
    core.process(records([*APART, act("merge", payment, island)]))
    other = new_core()
    other.restore(core.snapshot())
    rest = records([act("undo", island, at=30_000), mark(100_000)], first=5)
    assert [o.value for o in other.process(rest)] == [o.value for o in core.process(rest)] != []


def test_versions_tell_of_merge_and_undo() -> None:
    """Of both incidents, each with a higher version."""
    payment, island = id_of("payment"), id_of("island")
    out = new_core().process(records([*APART, act("merge", payment, island), act("undo", island, at=30_000)]))
    told = [(kind, i.id, i.state) for kind, i in versions(out) if i.id in (payment, island)]
    assert told[-4:] == [
        ("merged", island, "merged"),
        ("updated", payment, "open"),
        ("updated", payment, "open"),
        ("updated", island, "open"),
    ]
