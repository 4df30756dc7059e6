"""The respond stage: routing, escalation, predictions; the same whatever the batching, restart or clock."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import Business, Catalogue, Service
from config.load import ConfigError, load
from config.response import Respond
from config.settings import Settings
from correlator.assignment import EVERY, LEAST_EXAMPLES, Assignment, Record
from correlator.incident import Filing, Incident, Pause
from correlator.respond import RespondCore
from correlator.response import Clock, Duty, Notice, Response
from streams.records.stage import Output
from streams.records.stage import Record as Input
from tests.sinks.make import HOUR, MINUTE, T0, incident

OPEN = T0 + MINUTE
RESPOND = {
    "schedules": [
        {"name": "pay", "people": ["ann", "bob"], "start": "2026-01-01T00:00", "every": 1},
    ],
    "routes": [{"team": "security", "matchers": ['category="security incident"']}],
    "policies": [
        {"name": "default", "min_severity": "error",
         "tiers": [{"to": ["pay"], "wait": "10m"}, {"to": ["lead", "pay"], "wait": "20m"}, {"to": ["boss"]}]},
        {"name": "soft", "teams": ["shop"], "tiers": [{"to": ["shop"]}]},
    ],
}  # fmt: skip
CATALOGUE = Catalogue(
    [Service(service="payment", containment=("roll back",), business=Business(regulated=("dora",)))]
)


def core(**more: Any) -> RespondCore:
    respond = msgspec.convert(RESPOND | more, Respond)
    return RespondCore(Settings(respond=respond), CATALOGUE, {})


def version(number: int, minutes: float = 0, **fields: Any) -> Incident:
    return incident(version=number, **({"owner": "pay", "updated_at": OPEN + int(minutes * MINUTE)} | fields))


def record(item: Incident, offset: int) -> Input:
    value = msgspec.json.encode({"specversion": "1.0", "data": item})
    return Input("tocsin.incidents", 0, offset, 0, item.id.encode(), value)


def fed(one: RespondCore, *items: Incident, first: int = 0) -> list[Output]:
    return list(one.process([record(item, first + n) for n, item in enumerate(items)]))


class _Event(msgspec.Struct):
    data: Response


def said(outputs: list[Output]) -> list[Response]:
    return [
        msgspec.json.decode(o.value or b"", type=_Event).data for o in outputs if o.topic == "tocsin.response"
    ]


def newest(outputs: list[Output]) -> dict[str, Response]:
    found: dict[str, Response] = {}
    for one in said(outputs):
        known = found.get(one.key)
        if isinstance(one, Notice) or known is None or one.version > known.version:  # type: ignore[union-attr]
            found[one.key] = one
    return found


def duty(outputs: list[Output]) -> Duty:
    (one,) = [s for s in newest(outputs).values() if isinstance(s, Duty)]
    return one


def notices(outputs: list[Output], kind: str) -> list[Notice]:
    return [s for s in said(outputs) if isinstance(s, Notice) and s.kind == kind]


def test_the_team_is_assigned_else_routed_else_the_owner() -> None:
    """Each with its reason."""
    assert duty(fed(core(), version(1))).reason == "owns payment, by the catalogue"
    routed = duty(fed(core(), version(1, category="security incident")))
    assert (routed.team, routed.reason) == ("security", 'route category="security incident"')
    assigned = duty(fed(core(), version(1, category="security incident", assignee="ann")))
    assert (assigned.team, assigned.reason) == ("ann", "assigned by a person")
    assert duty(fed(core(), version(1, owner=""))).team == ""
    assert duty(fed(core(), version(1))).containment == ("roll back",)


def test_tiers_are_asked_until_somebody_acknowledges() -> None:
    """At once, after ten minutes, after thirty; each once, to who is on call at that moment."""
    one = core()
    out = fed(one, version(1))
    out += one.tick(OPEN + 9 * MINUTE, True)
    assert [(n.to, n.at_ms - OPEN) for n in notices(out, "escalation")] == [(("ann",), 0)]
    out += one.tick(OPEN + 10 * MINUTE, True)
    out += one.tick(OPEN + 11 * MINUTE, True)
    assert notices(out, "escalation")[1].to == ("lead", "ann")
    assert (duty(out).level, duty(out).next_at) == (2, OPEN + 30 * MINUTE)
    out += fed(one, version(2, 12, state="acknowledged", acknowledged_at=OPEN + 12 * MINUTE), first=1)
    out += one.tick(OPEN + 5 * HOUR, True)
    assert len(notices(out, "escalation")) == 2
    assert (duty(out).level, duty(out).acknowledged, duty(out).next_at) == (2, True, None)


def test_a_reopened_incident_is_escalated_anew() -> None:
    """From the reopening on, under new ids."""
    one = core()
    out = fed(one, version(1), version(2, 5, state="acknowledged", acknowledged_at=OPEN + 5 * MINUTE))
    again = version(3, 60, state="reopened", acknowledged_at=OPEN + 5 * MINUTE, reopened=1)
    out += fed(one, again, first=2)
    out += one.tick(OPEN + 70 * MINUTE, True)
    asked = notices(out, "escalation")
    assert [n.at_ms - OPEN for n in asked] == [0, 60 * MINUTE, 70 * MINUTE]
    assert len({n.id for n in asked}) == 3


def test_the_policy_is_that_of_the_team_and_severity() -> None:
    """A team's own before that of all; below its severity nobody is asked."""
    assert duty(fed(core(), version(1, owner="shop", severity="warning"))).policy == "soft"
    assert duty(fed(core(), version(1, severity="warning"))).policy == ""


def test_nothing_is_decided_by_the_wall_clock_while_something_may_be_unread() -> None:
    """A fact on its way may still stop the clock."""
    one = core()
    fed(one, version(1))
    assert one.tick(OPEN + 5 * HOUR, False) == []
    assert one.tick(OPEN + 5 * HOUR, True) != []


def test_a_late_fact_corrects_what_was_missed() -> None:
    """Acknowledged in time and heard of too late: missed becomes met, under a higher version."""
    one = core()
    out = fed(one, version(1, severity="critical"))
    out += one.tick(OPEN + 20 * MINUTE, True)
    missed = next(c for c in newest(out).values() if isinstance(c, Clock) and c.name == "sla respond")
    assert (missed.state, missed.at_ms) == ("missed", OPEN + 15 * MINUTE)
    early = version(2, 3, severity="critical", state="acknowledged", acknowledged_at=OPEN + 3 * MINUTE)
    out += fed(one, early, first=1)
    met = newest(out)[missed.key]
    assert isinstance(met, Clock)
    assert (met.state, met.stopped_at) == ("met", OPEN + 3 * MINUTE)
    assert met.version > missed.version


def test_a_clock_ahead_of_time_does_not_hurry_others() -> None:
    """An incident stamped a day ahead, in a record of now: the others' deadlines are not due."""
    one = core()
    out = fed(one, version(1))
    ahead = incident(id="b" * 16, version=1, updated_at=OPEN + 24 * HOUR, opened_at=OPEN + 24 * HOUR)
    late = record(ahead, 1)._replace(timestamp_ms=OPEN + MINUTE)
    out += one.process([late])
    states = {c.state for c in newest(out).values() if isinstance(c, Clock) and c.incident != ahead.id}
    assert states == {"running"}


def test_a_clock_that_comes_back_has_a_higher_version() -> None:
    """Critical, info (no such clock), critical again: the newest version runs."""
    out = fed(
        core(sla={"critical": {"respond": "15m"}}),
        version(1, severity="critical"),
        version(2, 1, severity="info"),
        version(3, 2, severity="critical"),
    )
    (clock,) = [c for c in newest(out).values() if isinstance(c, Clock)]
    assert clock.state == "running"
    assert clock.version > 12


def test_many_versions_leave_few_timers() -> None:
    """One entry counts for each incident; stale ones are swept."""
    one = core()
    for number in range(1, 1_000):
        pauses = (Pause(OPEN, OPEN + number * 1_000, "x", "y"),)
        fed(one, version(number, pauses=pauses), first=number)
    assert len(one._due) <= 110


def test_the_calm_before_a_reopening_does_not_count() -> None:
    """Resolved after ten minutes, back after five hours: the time to resolve goes on from there."""
    plain = {"severity": "critical", "reopened": 1, "resolved_at": None}
    again = version(2, 300, state="reopened", active_ms=11 * MINUTE, **plain)
    out = fed(core(), version(1, severity="critical"), again)
    (clock,) = [c for c in newest(out).values() if isinstance(c, Clock) and c.name == "sla resolve"]
    assert (clock.state, clock.due_at) == ("running", OPEN + 4 * HOUR + 290 * MINUTE)


def test_merged_incidents_have_their_clocks_cancelled() -> None:
    """The survivor's run on."""
    out = fed(core(), version(1), version(2, 3, state="merged", merged_into="b"))
    assert {c.state for c in newest(out).values() if isinstance(c, Clock)} == {"cancelled"}


def test_what_cannot_be_read_is_a_dead_letter() -> None:
    """With where it stood; the rest goes on."""
    one = core()
    out = one.process([Input("tocsin.incidents", 0, 0, 0, None, b"junk"), record(version(1), 1)])
    assert [o.topic for o in out if o.topic == "tocsin.deadletters"] == ["tocsin.deadletters"]
    assert duty(list(out)).team == "pay"


CHANGES = ("ack", "resolve", "reopen", "pause", "major", "file", "merge", "severity")


@st.composite
def lives(draw: st.DrawFn) -> list[Incident]:
    """Versions of a few incidents, by time."""
    found: list[Incident] = []
    for number in range(draw(st.integers(1, 3))):
        at, plain = (
            draw(st.integers(0, 60)),
            {"id": f"{number:016x}", "owner": draw(st.sampled_from(("pay", "shop", "")))},
        )
        fields: dict[str, Any] = {
            "opened_at": OPEN + at * MINUTE,
            "severity": draw(st.sampled_from(("error", "critical"))),
        }
        for step in range(1, draw(st.integers(2, 7))):
            change = draw(
                st.sampled_from(("ack", "resolve", "reopen", "pause", "major", "file", "merge", "severity"))
            )
            if change == "ack":
                fields |= {
                    "state": "acknowledged",
                    "acknowledged_at": fields.get("acknowledged_at") or OPEN + at * MINUTE,
                }
            elif change == "resolve":
                fields |= {"state": "resolved", "resolved_at": OPEN + at * MINUTE}
            elif change == "reopen":
                fields |= {
                    "state": "reopened",
                    "resolved_at": None,
                    "reopened": fields.get("reopened", 0) + 1,
                }
            elif change == "pause":
                fields |= {"pauses": (Pause(OPEN + at * MINUTE, OPEN + (at + 7) * MINUTE, "x", "y"),)}
            elif change == "major":
                fields |= {"major_at": OPEN + at * MINUTE, "aware_at": OPEN + at * MINUTE}
            elif change == "file":
                fields |= {"filings": (Filing("dora initial", OPEN + at * MINUTE, "y"),)}
            elif change == "merge":
                fields |= {"state": "merged"}
            else:
                fields |= {"severity": draw(st.sampled_from(("warning", "critical")))}
            found.append(incident(version=step, updated_at=OPEN + at * MINUTE, **plain, **fields))
            at += draw(st.integers(0, 400))
    return sorted(found, key=lambda i: (i.updated_at, i.id, i.version))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_restart_and_batching_and_the_wall_clock_change_nothing(data: st.DataObject) -> None:
    """The newest of each clock and duty is the same, and every notice of the one run is told by the other."""
    items = data.draw(lives())
    end = items[-1].updated_at + 60 * 24 * HOUR
    straight = core()
    expected = fed(straight, *items)
    expected += straight.tick(end, True)
    one, out, at = core(), [], 0
    while at < len(items):
        size = data.draw(st.integers(1, 3))
        out += fed(one, *items[at : at + size], first=at)
        at += size
        if data.draw(st.booleans()):
            # The wall may be ahead of what has been read, never of what comes next.
            ahead = items[at].updated_at if at < len(items) else end
            out += one.tick(
                data.draw(st.integers(items[at - 1 if at <= len(items) else -1].updated_at, ahead)), True
            )
        if data.draw(st.booleans()):
            blob = one.snapshot()
            one = core()
            one.restore(blob)
            assert one.snapshot() == blob
    out += one.tick(end, True)
    standing = [{k: v for k, v in newest(o).items() if not isinstance(v, Notice)} for o in (out, expected)]
    assert standing[0] == standing[1]
    told = [{s.key for s in said(o) if isinstance(s, Notice)} for o in (out, expected)]
    assert told[0] == told[1]


def test_cases_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed ones go first, and are counted."""
    monkeypatch.setattr("correlator.respond.MOST_CASES", 2)
    one = core()
    closed = version(1, id="a" * 16, state="closed", closed_at=OPEN)
    fed(one, closed, version(1, id="b" * 16), version(1, id="c" * 16))
    assert (sorted(one.files), one.evicted) == (["b" * 16, "c" * 16], 1)
    assert sum(one.telemetry().totals.values()) == 1


def test_predictions_are_made_only_when_enough_is_known_and_are_checked() -> None:
    """Silent at first; then right about what it has seen, with the share that was right."""
    one = Assignment()
    assert one.predict(["service a"]).team == ""
    for number in range(LEAST_EXAMPLES + EVERY):
        sign, team = (("service a", "team-a"), ("service b", "team-b"))[number % 2]
        one.learn([sign], team, one.predict([sign]).team)
    assert (one.predict(["service a"]).team, one.predict(["service b"]).team) == ("team-a", "team-b")
    assert one.predict(["service a"]).confidence > 0.8
    assert one.accuracy == 1.0
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(one.record), type=Record)
    assert Assignment(packed).predict(["service a"]) == one.predict(["service a"])


def test_a_prediction_is_shown_and_never_applied() -> None:
    """Beside the team the rules name."""
    one, offset = core(), 0
    for number in range(2 * LEAST_EXAMPLES):
        team, service = (("pay", "x"), ("shop", "y"))[number % 2]
        plain = {"id": f"{number:016x}", "owner": team, "category": f"c{service}", "members": ()}
        fed(
            one,
            incident(version=1, **plain),
            incident(version=2, state="closed", closed_at=OPEN, **plain),
            first=offset,
        )
        offset += 2
    out = fed(one, version(1, id="f" * 16, owner="", category="cy", members=()), first=offset)
    shown = duty(out)
    assert (shown.team, shown.predicted_team) == ("", "shop")
    assert shown.predicted_confidence > 0.5
    assert shown.predicted_n > 0
    assert shown.predicted_accuracy is not None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sla: {critical: {respond: soon}}", "respond.sla.critical.respond is 'soon': expected a duration"),
        ("zone: Mars/Base", "respond.zone is 'Mars/Base': expected a time zone"),
        ("routes: [{team: a, matchers: [bad]}]", r"respond.routes\[0\].matchers is 'bad'"),
        ("schedules: [{name: a}]", r"respond.schedules\[0\].people is \[\]: expected people, or a calendar"),
        ("schedules: [{name: a, people: [x], start: later}]", r"respond.schedules\[0\].start is 'later'"),
        ("policies: [{name: a}]", r"respond.policies\[0\].tiers is \[\]: expected at least one tier"),
        ("policies: [{name: a, tiers: [{to: []}]}]", r"tiers\[0\].to is \[\]"),
        (
            "sla: {critical: {resolve: 4h, hours: {from: '18:00', to: '08:00'}}}",
            "hours.to is '08:00': expected later",
        ),
        ("warn_share: 2", "warn_share"),
        ("customer_notices: [{name: a, within: 2h}, {name: a, within: 3h}]", "distinct names"),
    ],
)
def test_bad_settings_stop_the_start_with_what_was_expected(tmp_path: Any, text: str, named: str) -> None:
    """Key, value, expectation."""
    path = tmp_path / "tocsin.yaml"
    path.write_text(f"respond:\n  {text}\n")
    with pytest.raises(ConfigError, match=named):
        load(path)
