"""What people state of an incident: taken, refused with the reason, audited, also after it has closed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import Business, Service
from correlator import closedbook
from correlator.closedbook import ClosedBook
from correlator.group import Group
from correlator.incident import Incident
from correlator.statements import ORDER, TIMES
from streams.records.messages import Action, ActionResult
from streams.records.stage import Output
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
    versions,
)

MINUTE = 60_000
FAULT = firing("payment", "errors", severity="critical", delay=0)
OPENED: list[Message] = [FAULT, mark(1_000)]
OVER: list[Message] = [resolved(FAULT, 5 * MINUTE), mark(6 * MINUTE)]
CLOSED: list[Message] = [*OVER, mark(40 * MINUTE)]


def the_id() -> str:
    (id,) = final(new_core().process(records(OPENED)))
    return id


ID = the_id()


def act(verb: str, minutes: float = 1, note: str = "", id: str = ID, **fields: Any) -> Action:
    said = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in fields.items()}
    id_of_it = f"{verb}{minutes}{note}{sorted(said.items())}"
    return Action(
        id_of_it,
        T0 + int(minutes * MINUTE),
        id,
        verb,
        "ada",
        note,
        fields=said,
    )


def run(*messages: Message, **settings: Any) -> list[Output]:
    return list(new_core(**settings).process(records([*OPENED, *messages])))


def after(*messages: Message, **settings: Any) -> tuple[Incident, ActionResult]:
    out = run(*messages, **settings)
    return final(out)[ID], answers(out)[-1]


def test_an_incident_is_assigned_and_the_audit_says_by_whom() -> None:
    """The second time names the first; somebody knows of it from the first on."""
    incident, answer = after(act("assign", 1, to="team-a"), act("assign", 3, to="ann"))
    assert answer.applied
    assert (incident.assignee, incident.aware_at) == ("ann", T0 + MINUTE)
    assert [(e.field, e.before, e.after, e.by) for e in incident.edits] == [
        ("assignee", "", "team-a", "ada"),
        ("assignee", "team-a", "ann", "ada"),
    ]


def test_people_classify_over_the_rules_and_give_back() -> None:
    """Severity, category and priority are theirs until they give them back; major has its time."""
    incident, _ = after(
        act("classify", 1, severity="info", category="security incident", priority="P3", major=True),
    )
    assert (incident.severity, incident.category, incident.priority) == ("info", "security incident", "P3")
    assert incident.major_at == T0 + MINUTE
    assert incident.priority_basis.startswith("stated by a person; by rule P4")
    back, _ = after(
        act("classify", 1, severity="info", major=True), act("classify", 2, severity="", major=False)
    )
    assert (back.severity, back.major_at) == ("critical", None)
    assert [e.field for e in back.edits] == ["severity", "major_at", "severity", "major_at"]


def test_impact_is_stated_and_stays() -> None:
    """Figures with unit, status and basis; tags without doubles."""
    incident, _ = after(
        act("impact", 1, customers=1200, customer_share=0.04, reputation="press, press,social media"),
        act("impact", 2, "from the order system", damage=5e4, status="estimate"),
    )
    stated = {f.name: (f.value, f.unit, f.status, f.basis) for f in incident.impact}
    assert stated == {
        "customers": (1200, "customers", "confirmed", "stated by ada"),
        "customer_share": (0.04, "share", "confirmed", "stated by ada"),
        "damage": (50_000, "money", "estimate", "from the order system"),
    }
    assert incident.reputation == ("press", "social media")


def test_a_pause_ends_with_the_incident_and_none_overlap() -> None:
    """What is over is not waited for; a pause that was sent late is refused."""
    incident, _ = after(act("pause", 1, "supplier"), act("resolve", 3))
    assert [(p.from_ms - T0, p.until_ms) for p in incident.pauses] == [(MINUTE, T0 + 3 * MINUTE)]
    _, answer = after(act("pause", 1, "supplier"), act("resume", 5), act("pause", 3, "late"))
    assert "paused before, until" in answer.reason


def test_major_is_not_before_the_start() -> None:
    """A clock that runs behind counts as the earliest moment it could have been."""
    early = act("classify", -5, major=True)
    incident, _ = after(early)
    assert incident.major_at == incident.started_at


def test_clocks_are_paused_and_run_on() -> None:
    """Once at a time, with what it waits for."""
    incident, answer = after(act("pause", 1, "supplier"), act("pause", 2, "again"), act("resume", 3))
    assert [(p.from_ms - T0, (p.until_ms or 0) - T0, p.reason) for p in incident.pauses] == [
        (MINUTE, 3 * MINUTE, "supplier")
    ]
    out = run(act("pause", 1, "supplier"), act("pause", 2, "again"), act("resume", 3), act("resume", 4))
    assert [a.applied for a in answers(out)] == [True, False, True, False]
    assert answer.applied


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (act("assign"), "name a team or person"),
        (act("note"), "say what there is to note"),
        (act("classify", severity="bad"), "severity is 'bad': expected one of info, warning"),
        (act("classify", major="maybe"), "major is 'maybe': expected true or false"),
        (act("classify"), "say at least one of"),
        (act("classify", colour="red"), "unknown field 'colour' of classify: expected category"),
        (act("impact", customers=-1), "customers is '-1': expected a number from 0"),
        (act("impact", customer_share=1.5), "customer_share is '1.5': expected a number from 0 to 1"),
        (act("impact", customers="nan"), "customers is 'nan'"),
        (act("impact", customers=1, status="sure"), "status is 'sure'"),
        (act("impact"), "say at least one of customers"),
        (act("edit", 1, "x", started_at="yesterday"), "expected ms since 1970 or ISO 8601 with a zone"),
        (act("edit", 1, "x", started_at="2023-11-14T22:00:00"), "expected ms since 1970 or ISO 8601"),
        (act("edit", 1, "", started_at=T0), "say why in note"),
        (act("edit", 1, "x"), "name at least one of started_at"),
        (act("edit", 1, "x", started_at=T0 + 2 * MINUTE), "is later than the correction itself"),
        (act("edit", 5, "x", started_at=T0 + 2 * MINUTE), "would be before started_at"),
        (act("edit", 5, "x", resolved_at=T0 + MINUTE), "that has not happened, the incident is open"),
        (act("pause"), "say in note what it waits for"),
        (act("resume"), "its clocks are not paused"),
        (act("submit", name="letter"), "name is 'letter': expected one of customer notice"),
        (act("submit", name="dora initial", at=T0 + 9 * MINUTE), "not later than the action's own"),
        (act("dance"), "unknown action 'dance'"),
        (act("edit", 5, "x", started_at="²"), "started_at is '²': expected ms since 1970"),
        (act("edit", 5, "x", started_at="9" * 5_000), "expected ms since 1970 or ISO 8601"),
        (act("submit", name="dora initial", at="²"), "at is '²'"),
        (act("report", id="00000000000000e1", title="x", started_at="²"), "started_at is '²'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(action: Action, reason: str) -> None:
    """Nothing of it is kept."""
    before = final(run())[ID]
    incident, answer = after(action)
    assert not answer.applied
    assert reason in answer.reason
    assert incident == before


def test_times_are_corrected_with_their_order_checked() -> None:
    """Timing follows; the audit holds what stood there."""
    incident, answer = after(
        act("acknowledge", 2),
        *OVER,
        act("edit", 7, "first call", started_at=T0 - 10 * MINUTE, resolved_at="2023-11-14T22:17:20Z"),
    )
    assert answer.reason == "applied"
    assert incident.started_at == T0 - 10 * MINUTE
    assert incident.resolved_at == incident.first_resolved_at == T0 + 4 * MINUTE
    assert incident.active_ms == 14 * MINUTE
    assert [(e.field, e.reason) for e in incident.edits] == [
        ("started_at", "first call"),
        ("resolved_at", "first call"),
    ]


def test_an_acknowledge_by_telephone_is_written_down_later() -> None:
    """What nobody clicked may have happened all the same, once it is over."""
    incident, _ = after(*CLOSED, act("edit", 60, "she called", acknowledged_at=T0 + 2 * MINUTE))
    assert (incident.state, incident.acknowledged_at) == ("closed", T0 + 2 * MINUTE)


def test_a_closed_incident_is_still_classified_reported_and_noted() -> None:
    """Reports to authorities come weeks later; each makes a new version of the closed one."""
    week = 7 * 1_440
    out = run(
        *CLOSED,
        act("classify", week, major=True),
        act("submit", week + 1, name="dora initial"),
        act("submit", week + 2, name="dora initial"),
        act("note", week + 3, "answered by the authority"),
        act("resolve", week + 4),
    )
    assert [a.applied for a in answers(out)] == [True, True, False, True, False]
    incident = final(out)[ID]
    assert (incident.state, incident.filings[0].at_ms) == ("closed", T0 + (week + 1) * MINUTE)
    assert incident.timeline[-1].text == "ada note: answered by the authority"


def test_recording_a_cause_after_the_end_is_in_the_incident_too() -> None:
    """Not only in the knowledge base: hints are held against it."""
    late = Action(
        "r", T0 + 99 * MINUTE, ID, "record", "ada", cause="pool", cause_service="payment", fix="bigger"
    )
    incident, answer = after(*CLOSED, late)
    assert answer.applied
    assert (incident.cause, incident.cause_service, incident.fix) == ("pool", "payment", "bigger")


def report(minutes: float = 1, id: str = "00000000000000ee", **fields: Any) -> Action:
    given = {"title": "Transfers fail", "services": "ledger", "severity": "critical"}
    return act("report", minutes, "no transfers", id, **(given | fields))


def test_a_report_opens_an_incident_that_ends_when_a_person_says_so() -> None:
    """With its own start; neither silence nor its age ends it."""
    told = report(30, started_at=T0 + 10 * MINUTE, customers=40)
    day = [mark(m * MINUTE) for m in range(31, 1_000, 30)]
    out = run(told, *day)
    incident = final(out)["00000000000000ee"]
    assert (incident.state, incident.source, incident.reported_by) == ("open", "reported", "ada")
    assert (incident.started_at, incident.detected_at) == (T0 + 10 * MINUTE, T0 + 30 * MINUTE)
    assert (incident.title, incident.aware_at) == ("Transfers fail", T0 + 30 * MINUTE)
    assert incident.impact[0].value == 40
    done = act("resolve", 1_001, id=incident.id)
    incident = final(run(told, *day, done, mark(1_020 * MINUTE)))[incident.id]
    assert (incident.state, incident.resolved_by, incident.resolved_at) == ("closed", "human", done.ts)


def test_alerts_join_what_was_reported() -> None:
    """By the normal rules: the same service, soon after."""
    alert = firing("ledger", "latency", 2 * MINUTE, severity="error")
    incident = final(run(report(1), alert, mark(4 * MINUTE)))["00000000000000ee"]
    assert {m.kind for m in incident.members} == {"manual", "metric"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"title": " "}, "title has 0 characters"),
        ({"severity": "big"}, "severity is 'big'"),
        ({"kind": "party"}, "kind is 'party'"),
        ({"started_at": T0 + 9 * MINUTE}, "not later than the report"),
        ({"colour": "red"}, "unknown field 'colour' of report"),
        ({"customers": "many"}, "customers is 'many'"),
        ({"services": ",".join(map(str, range(30)))}, "expected at most 20"),
    ],
)
def test_a_report_that_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    """And leaves nothing behind: the id may be used again."""
    out = run(report(1, **fields), report(2))
    assert not answers(out)[0].applied
    assert reason in answers(out)[0].reason
    assert answers(out)[1].applied
    again = run(report(1), report(2))
    assert "this id is that of another incident" in answers(again)[1].reason


def test_what_still_fires_keeps_a_resolved_incident_from_closing() -> None:
    """Resolved by a person while it hurts: it closes a quarter of an hour after the alert is over."""
    early = act("resolve", 2)
    waiting, _ = after(early, *[mark(m * MINUTE) for m in range(3, 40)])
    assert waiting.state == "resolved"
    assert "not closed yet: an alert still fires" in [e.text for e in waiting.timeline][-1]
    closed, _ = after(
        early, mark(29 * MINUTE), resolved(FAULT, 30 * MINUTE), *[mark(m * MINUTE) for m in range(31, 50)]
    )
    assert closed.state == "closed"
    assert closed.closed_at is not None
    assert 45 * MINUTE <= closed.closed_at - T0 <= 46 * MINUTE


def test_a_probe_must_pass_before_it_closes() -> None:
    """An alert that the matchers name keeps it open, however small it is."""
    probe = firing("payment", "probe_failed", 3_000, severity="info", delay=0)
    messages: list[Message] = [
        probe,
        mark(5_000),
        act("resolve", 2),
        *OVER,
        *[mark(m * MINUTE) for m in range(7, 60)],
    ]
    plain, _ = after(*messages)
    held, _ = after(*messages, probes=['metric="probe_failed"'])
    assert (plain.state, held.state) == ("closed", "resolved")
    assert "payment probe_failed still fires" in held.timeline[-1].text


SHOP = Service(
    service="payment",
    tier=1,
    business=Business(
        users=1000,
        customer_base=10_000,
        transactions_per_minute=60,
        revenue_per_minute=100,
        partners=("bank",),
        payments=True,
    ),
)


def test_impact_is_estimated_from_the_catalogue_and_the_failure_ratio() -> None:
    """A third fails for four minutes: each figure with its basis; a stated one wins."""
    fault = firing("payment", "error_ratio", severity="critical", delay=0, value=0.3)
    over = resolved(fault, 4 * MINUTE)
    core = new_core(services=[SHOP])
    (id,) = final(core.process(records([fault, mark(1_000)])))
    core = new_core(services=[SHOP])
    out = core.process(
        records([fault, mark(1_000), act("impact", 1, id=id, customers=7), over, mark(6 * MINUTE)])
    )
    figures = {f.name: (f.value, f.status) for f in final(out)[id].impact}
    assert figures == {
        "customers": (7, "confirmed"),
        "customer_share": (0.03, "estimate"),
        "partners": (1, "estimate"),
        "transactions": (72, "estimate"),
        "damage": (120, "estimate"),
        "payment_delay_ms": (4 * MINUTE, "estimate"),
    }
    assert "30% fail by error_ratio, for 4.0 min, 60 a minute" in next(
        f.basis for f in final(out)[id].impact if f.name == "transactions"
    )


@pytest.mark.parametrize(
    ("tier", "severity", "priority"),
    [
        (1, "critical", "P1"),
        (1, "warning", "P3"),
        (2, "error", "P3"),
        (3, "critical", "P3"),
        (4, "warning", "P4"),
    ],
)
def test_priority_is_impact_times_urgency(tier: int, severity: str, priority: str) -> None:
    """By the matrix; the basis names both."""
    fault = firing("payment", "errors", severity=severity, delay=0)
    core = new_core(services=[Service(service="payment", tier=tier)])
    out = core.process(records([fault, *[mark(m * MINUTE) for m in range(1, 5)]]))
    (incident,) = final(out).values()
    assert incident.priority == priority
    assert f"tier {tier}" in incident.priority_basis


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_people_correct_the_order_of_times_holds(data: st.DataObject) -> None:
    """After any corrections, taken or refused, and each audit entry says what had stood there."""
    steps: list[Message] = [act("acknowledge", 1), act("mitigate", 2), *CLOSED]
    for number in range(data.draw(st.integers(1, 6))):
        names = data.draw(st.lists(st.sampled_from(TIMES), min_size=1, max_size=3, unique=True))
        fields = {name: T0 + data.draw(st.integers(-20, 50)) * MINUTE for name in names}
        steps.append(act("edit", 60 + number, "x", **fields))
    stood: dict[str, str] = {}
    for _, incident in versions(run(*steps)):
        times = [getattr(incident, name) for name in ORDER if getattr(incident, name) is not None]
        assert times == sorted(times)
        for edit in incident.edits:
            assert edit.before != edit.after
    for edit in final(run(*steps))[ID].edits:
        if edit.field in stood:
            assert edit.before == stood[edit.field]
        stood[edit.field] = edit.after


def test_the_book_of_closed_incidents_is_bounded() -> None:
    """By number and by bytes; major ones go last."""
    book = ClosedBook(most=3)
    for number in range(5):
        group = Group(f"{number}", "d", 1, 1, 1)
        group.told.major_at = 5 if number == 0 else None
        book.put(group)
    assert [id for id, _, _ in book.entries()] == ["0", "3", "4"]
    assert book.evicted == 2
    small = ClosedBook(most_bytes=len(closedbook._encoder.encode(Group("x", "d", 1, 1, 1))) + 10)
    for number in range(3):
        small.put(Group(f"{number}", "d", 1, 1, 1))
    assert (len(small), small.evicted) == (1, 2)
    assert msgspec.structs.asdict(small.get("2") or Group("", "", 0, 0, 0))["id"] == "2"
