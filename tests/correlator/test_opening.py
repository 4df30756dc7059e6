"""What opens an incident, when it is over, and what it begins with: what somebody feels."""

from __future__ import annotations

import pytest

from correlator.opening import circumstantial, is_felt
from tests.correlator.make import T0, firing, mark, new_core, records, resolved, run

WAITS = "PodClientLatencyP95"
MINUTE = 60_000


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (WAITS, ()),
        ("SyscallRead", ()),
        ("network.receive.bytes", ()),
        ("NodeCpuUsageRate(%)", ()),
        ("http.client.duration", (("instance", "checkout-579b9bff58-t2dbm"),)),
        ("http.client.duration", (("instance", "checkout:8080"),)),
    ],
)
def test_what_need_not_hurt_anybody_opens_nothing(metric: str, labels: tuple[tuple[str, str], ...]) -> None:
    """Not even with others of its kind, and however far off."""
    odd = [
        firing("checkout", metric, severity="error", strength=900.0, labels=labels),
        firing("checkout", "SyscallWrite", severity="error", strength=900.0),
    ]
    assert circumstantial(odd[0])
    assert not run([*odd, mark(20 * MINUTE)])


@pytest.mark.parametrize(
    "labels",
    [(("instance", "checkout_payment"),), (("peer.service", "payment"),), (("server.address", "db:5432"),)],
)
def test_who_waits_for_somebody_named_is_trouble(labels: tuple[tuple[str, str], ...]) -> None:
    """A call has two ends."""
    waits = firing("checkout", WAITS, severity="error", labels=labels)
    assert not circumstantial(waits)
    assert len(run([waits, mark(MINUTE)])) == 1


def test_circumstances_join_what_is_felt() -> None:
    """As members, and the incident does not begin with them."""
    early = firing("checkout", WAITS, severity="error", at=0)
    slow = firing("checkout", "http.server.duration", severity="error", at=20_000)
    (incident,) = run([early, slow, mark(MINUTE)]).values()
    assert len(incident.members) == 2
    assert incident.started_at == T0 + 20_000


def test_after_half_an_hour_they_count_alone() -> None:
    """What lasts is worth a look."""
    odd = firing("checkout", "SyscallRead", severity="error")
    (incident,) = run([odd, mark(35 * MINUTE)]).values()
    assert incident.opened_at - incident.detected_at == 30 * MINUTE


def test_a_machine_in_a_critical_state_is_trouble() -> None:
    """Whoever runs on it."""
    assert len(run([firing("node-3", "node_cpu", severity="critical"), mark(MINUTE)])) == 1


def test_mere_evidence_and_use_are_not_felt() -> None:
    """Info lines, memory; unlike errors, slowness, silence."""
    assert not is_felt(firing("cart", "a line", kind="log", severity="info"))
    assert not is_felt(firing("cart", "MemoryUsage(Mi)", severity="error"))
    assert is_felt(firing("cart", "a line", kind="log", severity="error"))
    assert is_felt(firing("cart", "http.server.duration"))
    assert is_felt(firing("cart", "telemetry", kind="absent", severity="error"))


def test_an_incident_is_over_when_nothing_is_felt_any_more() -> None:
    """Memory that stays where it is keeps nothing open: resolved after five minutes, as of the slowness."""
    slow = firing("cart", "http.server.duration", severity="error")
    memory = firing("cart", "MemoryUsage(Mi)", severity="error", at=1_000)
    log = [slow, memory, resolved(slow, 3 * MINUTE)]
    (waiting,) = run([*log, mark(7 * MINUTE)]).values()
    assert waiting.state == "open"
    (incident,) = run([*log, mark(9 * MINUTE)]).values()
    assert incident.state == "resolved"
    assert incident.resolved_at == T0 + 3 * MINUTE
    assert "1 alerts still do" in incident.timeline[-1].text


def test_use_alone_stays_open_as_long_as_it_lasts() -> None:
    """Where nothing was ever felt, what fires counts."""
    full = [firing("cart", name, severity="error") for name in ("MemoryUsage(Mi)", "disk.used")]
    (incident,) = run([*full, mark(30 * MINUTE)]).values()
    assert incident.state == "open"


def test_after_a_reopening_earlier_alerts_do_not_count_as_over() -> None:
    """A caller's error right after the second time joins, however many alerts the first time had."""
    log = {"kind": "log", "severity": "error"}
    first = [firing("payment", f"line {k}", at=k * 100, **log) for k in range(5)]
    over = [resolved(a, 20_000) for a in first]
    again = firing("payment", "line 0", at=300_000, **log)
    caller = firing("checkout", "payment failed", at=310_000, **log)
    (incident,) = run([*first, *over, again, caller, mark(330_000)]).values()
    assert incident.reopened == 1
    assert {m.service for m in incident.members} == {"payment", "checkout"}


def test_services_that_call_the_same_one_suffer_together() -> None:
    """Two callers of one callee, slow at once, are one incident; with many callers they are two."""
    few = [("a", "shared"), ("b", "shared")]
    many = [*few, *((f"other-{k}", "shared") for k in range(10))]
    slow = [firing(s, "http.server.duration", severity="critical", at=t) for s, t in (("a", 0), ("b", 9_000))]
    for edges, incidents in ((few, 1), (many, 2)):
        out = new_core(edges).process(records([*slow, mark(MINUTE)]))
        found = {o.key for o in out if o.topic == "tocsin.incidents"}
        assert len(found) == incidents


def test_trouble_does_not_join_far_off_circumstances() -> None:
    """Three minutes after a neighbour's odd client latency an error is an incident of its own."""
    odd = firing("payment", WAITS, severity="error")
    error = firing("checkout", "order failed", at=3 * MINUTE, kind="log", severity="error")
    (incident,) = run([odd, error, mark(4 * MINUTE)]).values()
    assert {m.service for m in incident.members} == {"checkout"}
