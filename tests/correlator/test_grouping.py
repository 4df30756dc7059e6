"""Which alerts belong together, and which do not."""

from __future__ import annotations

import pytest

from tests.correlator.make import T0, final, firing, mark, new_core, records, resolved, run, versions

END = mark(400_000)


def groups(*alerts_and_marks: object, **correlate: object) -> list[set[str]]:
    """Services of the incidents of a log, merged ones aside."""
    incidents = run([*alerts_and_marks, END], **correlate)  # type: ignore[list-item, arg-type]
    return sorted(
        ({m.service for m in i.members} for i in incidents.values() if i.state != "merged"), key=sorted
    )


def test_a_caller_that_suffers_joins_its_callees_incident() -> None:
    """One call away and three seconds later is close enough."""
    assert groups(firing("payment", at=0), firing("checkout", at=3_000)) == [{"payment", "checkout"}]


def test_time_alone_never_suffices() -> None:
    """Two services without a relation stay apart even at the same moment."""
    logs = {"kind": "log", "severity": "error"}
    assert groups(firing("payment", **logs), firing("island", **logs)) == [{"island"}, {"payment"}]


def test_siblings_under_one_gateway_are_no_relation() -> None:
    """Failures travel along calls; a common caller says nothing."""
    logs = {"kind": "log", "severity": "error"}
    assert groups(firing("cart", **logs), firing("checkout", **logs)) == [{"cart"}, {"checkout"}]


def test_a_rare_shared_host_is_a_relation() -> None:
    """Services on one of two hosts fail together; the other host's service stays apart."""
    logs = {"kind": "log", "severity": "error"}
    here, there = (("host", "a"),), (("host", "b"),)
    before = [firing(f"old{i}", at=i, resource=there, **logs) for i in range(4)]
    joined = groups(
        *before,
        firing("x", at=300_000, resource=here, **logs),
        firing("y", at=301_000, resource=here, **logs),
    )
    assert {"x", "y"} in joined


def test_a_host_shared_by_all_is_no_relation() -> None:
    """One machine for everything explains nothing."""
    logs = {"kind": "log", "severity": "error", "resource": (("host", "a"),)}
    assert groups(firing("x", **logs), firing("y", **logs)) == [{"x"}, {"y"}]


def test_the_next_trouble_nearby_is_a_new_incident() -> None:
    """What begins after all alerts of a neighbour have resolved does not join it."""
    first = firing("payment", severity="critical")
    later = firing("checkout", at=75_000, severity="critical")
    assert len(groups(first, resolved(first, 60_000), later)) == 2


@pytest.mark.parametrize(
    ("kind", "log_pause_ms", "incidents"),
    [
        ("metric", 120_000, 2),
        ("log", 120_000, 1),
        ("log", 10_000, 2),
    ],
)
def test_what_fails_line_by_line_is_over_only_after_a_pause(
    kind: str, log_pause_ms: int, incidents: int
) -> None:
    """The last line of a failure says nothing of its end; what is measured does. How long is a setting."""
    first = firing("payment", severity="error", kind=kind)
    later = firing("checkout", at=75_000, severity="critical")
    found = groups(first, resolved(first, 60_000), later, log_pause_ms=log_pause_ms, resolve_after_ms=60_000)
    assert len(found) == incidents


def test_a_series_that_flaps_stays_in_its_incident() -> None:
    """Back after ten seconds: the same trouble."""
    first = firing("payment", kind="log", severity="error")
    again = firing("payment", at=70_000, kind="log", severity="error")
    assert len(groups(first, resolved(first, 60_000), again)) == 1


def test_every_membership_has_reasons_that_reach_the_threshold() -> None:
    """The reasons stored are the whole decision."""
    incidents = run([firing("payment"), firing("checkout", at=3_000), firing("gateway", at=9_000), END])
    (incident,) = incidents.values()
    first, *others = incident.members
    assert [r.name for r in first.reasons] == ["first"]
    assert all(sum(r.weight for r in m.reasons) >= 0.5 for m in others)


def test_one_series_for_a_moment_is_no_incident() -> None:
    """A lone warning that resolves within a minute leaves no trace but a counter."""
    blip = firing("payment", strength=9.0)
    core = new_core()
    assert versions(core.process(records([blip, resolved(blip, 20_000), mark(300_000)]))) == []
    assert core.engine.counters["unopened_groups"] == 1


def test_one_series_that_stays_off_is_an_incident() -> None:
    """After a minute a lone warning opens, and says why."""
    (incident,) = run([firing("payment", strength=9.0), END]).values()
    assert incident.opened_at == incident.detected_at + 60_000
    assert any("still firing" in entry.text for entry in incident.timeline)


def test_quantiles_of_one_metric_do_not_support_each_other() -> None:
    """p95 and p99 of the same histogram are one signal."""
    p95, p99 = firing("payment", "latency.p95"), firing("payment", "latency.p99")
    assert run([p95, p99, resolved(p95, 9_000), resolved(p99, 9_000), END]) == {}


def test_information_alone_opens_nothing() -> None:
    """Alerts of severity info wait for company of at least a warning."""
    assert run([firing(s, severity="info") for s in ("payment", "checkout", "gateway")] + [END]) == {}


def test_an_alert_that_fits_two_incidents_merges_them() -> None:
    """The younger goes into the older and says so; the alert and all members are in the survivor."""
    logs = {"kind": "log", "severity": "error"}
    payment = firing("payment", **logs)
    cart = firing("cart", at=2_000, **logs)
    gateway = firing("gateway", at=4_000, **logs)
    edges = (("gateway", "payment"), ("gateway", "cart"))
    incidents = final(new_core(edges).process(records([payment, cart, gateway, END])))
    merged = next(i for i in incidents.values() if i.state == "merged")
    survivor = incidents[merged.merged_into]
    assert survivor.merged_from == (merged.id,)
    assert {m.service for m in survivor.members} == {"payment", "cart", "gateway"}
    assert survivor.started_at == T0


@pytest.mark.parametrize(("named", "incidents"), [("checkout", 1), ("cart", 2), ("nobody", 1)])
def test_an_error_that_names_another_service_joins_only_right_away(named: str, incidents: int) -> None:
    """A minute on the gateway's next error is of the same trouble, unless it is about somebody else."""
    slow = firing("checkout", severity="critical")
    felt = firing("gateway", "errors", at=1_000, severity="error")
    error = firing("gateway", f"upstream {named} failed", at=60_000, kind="log", severity="error")
    assert len(groups(slow, felt, error)) == incidents
    at_once = firing("gateway", f"upstream {named} failed", at=2_000, kind="log", severity="error")
    assert len(groups(slow, felt, at_once)) == 1


def test_an_incident_that_has_gone_quiet_is_not_merged_with_what_begins() -> None:
    """Though an alert that began while it still fired, and is noticed later, belongs to both."""
    old = [firing("gateway", metric, severity="critical") for metric in ("a", "b", "c")]
    new = firing("store", at=20_000, severity="critical")
    late = firing("cart", at=10_000, delay=30_000)
    over = [resolved(alert, 15_000) for alert in old]
    assert len(groups(*old, *over, new, late)) == 2


def test_a_full_incident_counts_what_it_cannot_carry() -> None:
    """Members are bounded; what is beyond is counted, and forgetting the incident leaves nothing behind."""
    alerts = [firing("payment", f"m{i}", at=i, kind="log", severity="error") for i in range(6)]
    core = new_core(max_members=4)
    (incident,) = final(
        core.process(records([*alerts, *(resolved(a, 20_000) for a in alerts), END]))
    ).values()
    assert (len(incident.members), incident.truncated_members) == (4, 2)
    core.process(records([mark(2_000_000)], first=100))
    assert not core.engine.groups
    assert not core.engine.home


def test_the_oldest_incident_gives_way_when_there_are_too_many() -> None:
    """max_open bounds the memory; the evicted one is closed, not lost."""
    logs = {"kind": "log", "severity": "error"}
    incidents = run([*(firing(f"s{i}", at=i * 1_000, **logs) for i in range(4)), END], max_open=3)
    states = sorted(i.state for i in incidents.values())
    assert states == ["closed", "open", "open", "open"]


def test_domains_never_mix() -> None:
    """The same trouble in two environments is two incidents."""
    logs = {"kind": "log", "severity": "error"}
    prod = firing("payment", resource=(("env", "prod"),), **logs)
    test = firing("payment", "other", at=1, resource=(("env", "test"),), **logs)
    incidents = run([prod, test, END], domain_label="env")
    assert sorted(i.domain for i in incidents.values()) == ["prod", "test"]
