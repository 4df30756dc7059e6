"""From open to closed: by itself, by people, and back."""

from __future__ import annotations

import pytest

from correlator import lifecycle
from correlator.incident import Incident
from streams.records.messages import Action
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

ALERT = firing("payment", kind="log", severity="error")
DONE = resolved(ALERT, 60_000)


def incident_id() -> str:
    (key,) = run([ALERT, mark(10_000)])
    return key


def act(verb: str, at: int, action_id: str = "a1") -> Action:
    return Action(action_id, T0 + at, incident_id(), verb, "ada")


def only(*messages: Message, **correlate: int) -> Incident:
    (incident,) = run(messages, **correlate).values()
    return incident


def test_it_resolves_when_all_alerts_have_been_resolved_for_a_while() -> None:
    """The resolve counts from the last alert, not from the end of the wait."""
    incident = only(ALERT, DONE, mark(100_000))
    assert (incident.state, incident.resolved_by) == ("resolved", "auto")
    assert incident.resolved_at == T0 + 60_000


def test_it_closes_after_the_verification_window() -> None:
    """Stable for verify_ms after the resolve."""
    incident = only(ALERT, DONE, mark(2_000_000))
    assert incident.state == "closed"
    assert incident.closed_at == T0 + 60_000 + 900_000


def test_the_same_trouble_inside_verification_reopens_it() -> None:
    """One incident, reopened once; the calm does not count as active."""
    again = firing("payment", at=300_000, kind="log", severity="error")
    incident = only(ALERT, DONE, again, mark(310_000))
    assert (incident.state, incident.reopened) == ("reopened", 1)
    assert incident.first_resolved_at == T0 + 60_000
    assert incident.resolved_at is None
    assert incident.active_ms == incident.updated_at - incident.started_at - 240_000


def test_once_reopened_it_takes_its_other_series_again() -> None:
    """However long ago that one recovered: what counts is how the incident goes now."""
    slow = firing("payment", at=0, severity="critical")
    failing = firing("payment", "errors", at=5_000)
    again = firing("payment", at=600_000, severity="critical")
    too = firing("payment", "errors", at=603_000)
    (incident,) = run(
        [slow, failing, mark(10_000), resolved(slow, 60_000), resolved(failing, 61_000), mark(300_000),
         again, too, mark(700_000)],
    ).values()  # fmt: skip
    assert incident.reopened == 1
    assert set(incident.alerts) == {slow.id, failing.id, again.id, too.id}


def test_the_same_trouble_after_closing_is_a_recurrence() -> None:
    """A new incident that names the old one."""
    again = firing("payment", at=1_500_000, kind="log", severity="error")
    incidents = run([ALERT, DONE, again, mark(1_600_000)])
    newest = max(incidents.values(), key=lambda i: i.started_at)
    assert len(incidents) == 2
    assert newest.recurrence_of == incident_id()


def test_other_trouble_never_joins_a_resolved_incident() -> None:
    """Resolved incidents absorb nothing but their own recurrence."""
    other = firing("payment", "disk", at=200_000, kind="log", severity="error")
    assert len(run([ALERT, DONE, other, mark(210_000)])) == 2


def test_a_person_acknowledges_once() -> None:
    """The first acknowledge sets the time; the same action id changes nothing more."""
    core = new_core()
    out = core.process(records([ALERT, mark(10_000), act("acknowledge", 20_000), act("acknowledge", 25_000)]))
    (incident,) = final(out).values()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "ada")
    assert incident.acknowledged_at == T0 + 20_000
    assert [kind for kind, _ in versions(out)].count("acknowledged") == 1
    assert [a.applied for a in answers(out)] == [True, True]


def test_an_illegal_step_is_refused_with_the_reason() -> None:
    """Acknowledging a resolved incident changes nothing and says why."""
    out = new_core().process(records([ALERT, DONE, mark(100_000), act("acknowledge", 100_000)]))
    (answer,) = answers(out)
    assert (answer.applied, answer.state) == (False, "resolved")
    assert "resolved" in answer.reason


def test_an_unknown_incident_is_refused() -> None:
    """Nobody is left without an answer."""
    (answer,) = answers(new_core().process(records([Action("a", T0, "nope", "resolve")])))
    assert not answer.applied
    assert "no such incident" in answer.reason


def test_a_person_resolves_while_alerts_still_fire() -> None:
    """Resolved by a human, at the human's time."""
    incident = only(ALERT, mark(10_000), act("resolve", 30_000))
    assert (incident.state, incident.resolved_by) == ("resolved", "human")
    assert incident.resolved_at == T0 + 30_000


def test_a_clock_behind_never_puts_times_out_of_order() -> None:
    """An acknowledge stamped before the detection counts as of the detection."""
    incident = only(ALERT, mark(10_000), act("acknowledge", -50_000))
    assert incident.acknowledged_at == incident.detected_at


def test_an_endless_alert_does_not_make_an_endless_incident() -> None:
    """After max_age it is resolved, and says how many alerts still fire."""
    incident = only(ALERT, mark(400_000), max_age_ms=300_000)
    assert incident.state == "resolved"
    assert any("1 alerts still firing" in entry.text for entry in incident.timeline)


def test_after_the_idle_gap_it_takes_no_new_members() -> None:
    """Related trouble much later is another incident."""
    later = firing("payment", "disk", at=200_000, kind="log", severity="error")
    assert len(run([ALERT, later, mark(210_000)], idle_gap_ms=100_000)) == 2


@pytest.mark.parametrize("state", ["closed", "merged"])
@pytest.mark.parametrize("step", sorted(lifecycle.LEGAL))
def test_nothing_leaves_a_final_state(state: str, step: str) -> None:
    """Closed and merged are the end."""
    assert isinstance(lifecycle.after(state, step), lifecycle.Refusal)


def test_versions_count_facts() -> None:
    """Opening, second alert, resolve of each, resolve, close: six facts, the last is version six."""
    second = firing("payment", "other", at=1_000, kind="log", severity="error")
    incident = only(ALERT, second, DONE, resolved(second, 61_000), mark(2_000_000))
    assert incident.version == 6
