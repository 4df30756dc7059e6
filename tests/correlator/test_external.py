"""Alerts of other systems in the correlator: episodes, late ones, silence, and the same in every run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.external import NO_NEWS, External
from correlator.incident import Incident
from detectors.alert import Alert
from streams.records.messages import ExternalAlert, OutsideTime
from streams.records.stage import Output
from tests.correlator.make import T0, final, firing, mark, new_core, records, resolved
from tests.correlator.test_replay import SHARDS, as_bytes, facts, interleave, shard_logs

DAY = 86_400_000


def said(own: str = "a", at: int = 0, state: str = "firing", **more: Any) -> ExternalAlert:
    """What a system said of its alert `own`, `at` ms after T0."""
    fields: dict[str, Any] = {
        "id": f"id-{own}",
        "source": "alertmanager",
        "state": state,
        "seen_at": T0 + at,
        "started_at": T0 + min(at, 0),
        "service": "checkout",
        "name": "HighErrorRate",
        "severity": "error",
        "summary": "5xx ratio 12%",
    }
    return ExternalAlert(**{**fields, **more})


def over(own: str = "a", at: int = 0, **more: Any) -> ExternalAlert:
    return said(own, at, "resolved", **{"ended_at": T0 + at, **more})


def told(outputs: list[Output]) -> list[Alert]:
    """Versions written for the sinks, in order."""
    return [msgspec.json.decode(o.value or b"", type=Alert) for o in outputs if o.topic == "tocsin.alerts"]


def play(*messages: Any, **correlate: Any) -> tuple[dict[str, Incident], list[Alert]]:
    outputs = list(new_core(**correlate).process(records(messages)))
    return final(outputs), told(outputs)


def test_an_external_alert_opens_an_incident_and_ends_it() -> None:
    """Its own times count, and the timeline says who said so."""
    incidents, alerts = play(mark(0), said(at=1_000), mark(2_000), over(at=60_000), mark(200_000))
    (incident,) = incidents.values()
    assert (incident.state, incident.severity) == ("resolved", "error")
    assert (incident.started_at, incident.resolved_at) == (T0, T0 + 60_000)
    assert [m.kind for m in incident.members] == ["external"]
    assert "opened: an alert of kind external" in {e.text for e in incident.timeline}
    assert "checkout: HighErrorRate is over, says its source" in {e.text for e in incident.timeline}
    assert [(a.version, a.state, a.kind) for a in alerts] == [
        (1, "firing", "external"),
        (2, "resolved", "external"),
    ]
    assert len({a.id for a in alerts}) == 1


def test_it_joins_alerts_of_our_own_with_named_reasons() -> None:
    """One call away and at the same time."""
    own = firing("payment", severity="critical")
    incidents, _ = play(own, mark(5_000), said(at=6_000, started_at=T0 + 3_000), mark(10_000))
    (incident,) = incidents.values()
    (member,) = [m for m in incident.members if m.kind == "external"]
    assert {reason.name for reason in member.reasons} == {"topology", "time"}
    assert {s.service for s in incident.services} == {"checkout", "payment"}


def test_one_that_comes_late_is_applied_where_it_stands() -> None:
    """Its time has been released long ago: it is neither dropped nor held."""
    core = new_core()
    core.process(records([mark(600_000)]))
    (incident,) = final(core.process(records([said(at=1_000)], first=1))).values()
    assert incident.started_at == T0
    assert incident.opened_at == T0 + 600_000


def test_an_early_one_waits_for_its_time() -> None:
    """So that it takes its place among our own alerts, whoever was read first."""
    core = new_core()
    assert not core.process(records([mark(0), said(at=1_000)]))
    assert core.needed_offset(2) == 1
    assert told(core.process(records([mark(1_000)], first=2)))


def test_repetitions_change_nothing() -> None:
    """Every group interval the same is said again, by two senders perhaps."""
    once, _ = play(mark(0), said(at=1_000), mark(300_000))
    again, alerts = play(
        mark(0), said(at=1_000), said(at=31_000, started_at=T0 + 5), said(at=61_000), mark(300_000)
    )
    assert as_bytes(once) == as_bytes(again)
    assert len(alerts) == 1


def test_a_higher_severity_is_a_new_version() -> None:
    """A lower one is not."""
    _, alerts = play(
        mark(0), said(at=1, severity="error"), said(at=2, severity="critical"), said(at=3), mark(100)
    )
    assert [(a.version, a.severity) for a in alerts] == [(1, "error"), (2, "critical")]


def test_a_resolve_of_something_unknown_is_harmless() -> None:
    """It is counted."""
    core = new_core()
    assert not core.process(records([mark(0), over(at=1_000), mark(5_000)]))
    assert core.external.counters["unknown"] == 1


def test_a_resolve_ends_what_fires_whatever_start_it_states() -> None:
    """Alertmanager itself writes a start before the one it announced, when somebody posted it so."""
    _, alerts = play(mark(0), said(at=1), over(at=2, started_at=T0 - 50_000, ended_at=T0 - 50_000), mark(10))
    assert [(a.state, a.resolved_at) for a in alerts] == [("firing", None), ("resolved", T0)]


def test_a_straggler_does_not_bring_an_alert_back() -> None:
    """The other sender of a pair says once more that it fires, after it was resolved."""
    _, alerts = play(mark(0), said(at=1), over(at=1_000), said(at=2_000, started_at=T0), mark(9_000))
    assert [a.state for a in alerts] == ["firing", "resolved"]


def test_a_new_start_is_a_new_alert() -> None:
    """With an id of its own, and the same series."""
    _, alerts = play(mark(0), said(at=1), over(at=1_000), said(at=9_000, started_at=T0 + 8_000), mark(9_000))
    first, _, second = alerts
    assert first.id != second.id
    assert first.fingerprint == second.fingerprint


def test_what_is_not_heard_of_is_taken_for_over() -> None:
    """At its last word, a day of event time later; the alert says why."""
    incidents, alerts = play(mark(0), said(at=1), said(at=50_000), mark(DAY + 49_999), max_age_ms=3 * DAY)
    assert [a.state for a in alerts] == ["firing"]
    incidents, alerts = play(mark(0), said(at=1), said(at=50_000), mark(DAY + 50_000), max_age_ms=3 * DAY)
    assert [a.state for a in alerts] == ["firing", "resolved"]
    assert alerts[1].summary.endswith(NO_NEWS)
    assert f"checkout: HighErrorRate {NO_NEWS}" in {e.text for i in incidents.values() for e in i.timeline}


def test_what_fires_on_after_it_was_taken_for_over_is_a_new_alert() -> None:
    """Even with the start it always had."""
    _, alerts = play(
        mark(0), said(at=1), mark(2 * DAY), said(at=2 * DAY + 5, started_at=T0), mark(2 * DAY + 10)
    )
    assert [(a.state, a.started_at) for a in alerts] == [
        ("firing", T0),
        ("resolved", T0),
        ("firing", T0 + 2 * DAY + 5),
    ]
    assert alerts[0].id != alerts[2].id


def test_an_acknowledgement_renews_and_says_nothing_else() -> None:
    """It keeps an alert from being taken for over."""
    _, alerts = play(mark(0), said(at=1), said(at=DAY - 1, state="acknowledged"), mark(DAY + 1_000))
    assert [a.state for a in alerts] == ["firing"]


def test_the_longest_silent_makes_room() -> None:
    """Beyond the bound it is taken for over, and counted."""
    book = External(DAY, most=2)
    found = [a for i, own in enumerate("abc") for a in book.hear(said(own, at=i), T0 + i)]
    assert [(a.fingerprint, a.state) for a in found] == [
        ("id-a", "firing"),
        ("id-b", "firing"),
        ("id-a", "resolved"),
        ("id-c", "firing"),
    ]
    assert book.counters["evicted"] == 1


def marks(*ats: int) -> list[OutsideTime]:
    return [OutsideTime(T0 + at) for at in ats]


def test_without_any_telemetry_time_goes_on_by_the_alerts_own() -> None:
    """After half a minute nobody waits for shards that have nothing to say."""
    incidents, _ = play(said(at=1_000), *marks(1_000, 30_999))
    assert not incidents
    incidents, _ = play(said(at=1_000), *marks(1_000, 31_000))
    assert [i.state for i in incidents.values()] == ["open"]
    incidents, _ = play(said(at=1_000), *marks(1_000, 31_000), over(at=35_000), *marks(1_000_000))
    assert [i.state for i in incidents.values()] == ["closed"]


def test_telemetry_that_stands_still_does_not_hold_an_alert_back() -> None:
    """Half a minute by the marks, however far behind it is."""
    waiting = (mark(-50_000), said(at=0), *marks(10_000, 39_999))
    assert not play(*waiting)[1]
    assert play(*waiting, *marks(40_000))[1]


def test_telemetry_that_catches_up_is_waited_for() -> None:
    """A backlog moves on from mark to mark: its alerts belong before."""
    waiting = [mark(-3_600_000), said(at=0)]
    for step in range(10):
        waiting += [*marks(10_000 * step), mark(-3_600_000 + 60_000 * (step + 1))]
    assert not play(*waiting)[1]


def test_telemetry_of_another_day_is_not_waited_for() -> None:
    """A replay of old data has nothing to do with an alert of today."""
    assert not play(mark(-DAY), said(at=0))[1]
    assert play(mark(-DAY - 1), said(at=0))[1]


def test_telemetry_that_comes_later_is_not_taken_for_a_repetition() -> None:
    """The alerts' time is not the shards'."""
    own = firing("cart", at=-DAY, severity="critical")
    incidents, _ = play(said(at=0), *marks(0, 30_000), own, mark(-DAY + 10_000))
    assert {s.service for i in incidents.values() for s in i.services} == {"checkout", "cart"}


def test_what_was_written_for_the_sinks_is_not_read_again() -> None:
    """The correlator's own words come back on its own topic."""
    core = new_core()
    outputs = list(core.process(records([mark(0), said(at=1), mark(5)])))
    assert not core.process(records(told(outputs), first=3))


def test_an_external_alert_makes_its_service_a_suspect() -> None:
    """By its severity: how far off things are its source does not say."""
    incidents, _ = play(mark(0), said(at=1, severity="critical"), mark(10))
    (incident,) = incidents.values()
    assert incident.hints[0].service == "checkout"
    assert incident.hints[0].cause == "5xx ratio 12%"


@st.composite
def notifications(draw: st.DrawFn) -> list[ExternalAlert]:
    found = []
    for _ in range(draw(st.integers(1, 10))):
        at = draw(st.integers(0, 120)) * 5_000 + draw(st.integers(0, 3))
        kwargs = {
            "service": draw(st.sampled_from(("checkout", "payment", "island"))),
            "severity": draw(st.sampled_from(("warning", "error", "critical"))),
            "started_at": T0 + draw(st.integers(0, 20)) * 10_000,
        }
        state = draw(st.sampled_from(("firing", "firing", "resolved")))
        found.append(said(draw(st.sampled_from("abc")), at, state, **kwargs))
    return sorted(found, key=lambda one: one.seen_at)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_where_they_stand_before_their_time_changes_nothing(data: st.DataObject) -> None:
    """Read before the shards have come up to them, their place in the log does not matter."""
    outside, logs = data.draw(notifications()), shard_logs(data.draw(facts()))
    first = [mark(-1, shard, SHARDS) for shard in range(SHARDS)]
    expected = list(new_core().process(records([*first, *outside, *(m for log in logs for m in log)])))
    held = data.draw(st.permutations(outside))
    mixed = interleave(data.draw, logs)
    found = list(new_core().process(records([*first, *held, *mixed])))
    assert as_bytes(final(found)) == as_bytes(final(expected))
    assert set(map(msgspec.json.encode, told(found))) == set(map(msgspec.json.encode, told(expected)))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_restore_anywhere_changes_nothing(data: st.DataObject) -> None:
    """Wherever they stand in the log, early or late."""
    logs = shard_logs(data.draw(facts()))
    log = records(interleave(data.draw, [*logs, list(data.draw(notifications()))]))
    undisturbed = list(new_core().process(log))
    core, outputs, at = new_core(), [], 0
    for _ in range(3):
        cut = data.draw(st.integers(at, len(log)))
        outputs += core.process(log[at:cut])
        blob, needed = core.snapshot(), core.needed_offset(cut)
        core = new_core()
        core.restore(blob)
        at = needed
    outputs += core.process(log[at:])
    assert as_bytes(final(outputs)) == as_bytes(final(undisturbed))
    assert {o.value for o in outputs} == {o.value for o in undisturbed}


def test_a_snapshot_from_before_external_alerts_is_restored() -> None:
    """The fields that came with them are left out of it."""
    core = new_core()
    core.process(records([firing("cart", severity="critical"), mark(5_000)]))
    whole = msgspec.msgpack.decode(core.snapshot())
    earlier = msgspec.msgpack.encode(whole[:17])
    restored = new_core()
    restored.restore(earlier)
    assert list(restored.engine.groups) == list(core.engine.groups)


@pytest.mark.parametrize("shards", [SHARDS])
def test_a_resolved_alert_of_our_own_still_ends_its_incident(shards: int) -> None:
    """Nothing of this touches the alerts of the pipeline."""
    own = firing("cart", severity="critical")
    incidents, alerts = play(own, mark(5_000), resolved(own, 9_000), mark(100_000))
    assert [i.state for i in incidents.values()] == ["resolved"]
    assert not alerts
