"""What the incident page says and offers: the sentence, and which steps are open to whom."""

from __future__ import annotations

from typing import Any

import pytest

from console.access.identity import Identity
from console.incident.headline import MOST_CHARS, clause, headline
from console.incident.steps import LABELS, NEXT, steps, why_not
from correlator.incident import Evidence, Figure, Hint, Pause, ServiceRole
from correlator.lifecycle import LEGAL
from tests.console.test_routes import LEAST
from tests.sinks.make import incident

STATES = ("open", "acknowledged", "mitigated", "resolved", "reopened", "closed", "merged")
MANAGER = Identity("mia", "manager")


def hinted(**changes: Any) -> Any:
    change = Evidence(
        kind="change", text="deployment 81c2 at 13:58, by ann", weight=1.0, at_ms=5_000, ref="c1"
    )
    hint = Hint(service="inventory", confidence=0.8, evidence=(change,), cause="store locks; p99 up at 14:01")
    return incident(**({"hints": (hint,)} | changes))


def test_cause_names_service_and_first_clause() -> None:
    assert headline(hinted()).cause == "inventory, store locks"


def test_change_in_evidence_comes_with_its_time() -> None:
    said = headline(hinted())
    assert (said.change, said.changed_at) == ("deployment 81c2", 5_000)


def test_without_hints_no_cause_is_claimed() -> None:
    said = headline(incident(hints=()))
    assert (said.cause, said.change, said.changed_at) == ("", "", None)


def test_with_nothing_at_all_there_is_still_a_sentence() -> None:
    assert headline(incident(hints=(), services=(), members=(), impact=())).what.startswith("something ")


def test_symptom_is_the_service_nobody_affected_calls() -> None:
    roles = (ServiceRole("inventory", "affected"), ServiceRole("checkout", "affected"))
    said = headline(incident(services=roles, calls=(("checkout", "inventory", 1.0),)))
    assert said.what.startswith("checkout ")


@pytest.mark.parametrize(
    ("status", "words"), [("confirmed", "for 1,200 customers"), ("estimated", "for about 1,200 customers")]
)
def test_customers_are_about_unless_confirmed(status: str, words: str) -> None:
    figure = Figure(name="customers", value=1200, unit="customers", status=status, basis="orders")
    assert headline(incident(impact=(figure,))).whom == words


def test_long_clause_is_cut() -> None:
    assert len(clause("x" * 1000)) == MOST_CHARS


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", [verb for verb in LABELS if verb in LEGAL and verb != "merge"])
def test_manager_may_exactly_the_legal_steps(verb: str, state: str) -> None:
    assert (why_not(verb, incident(state=state), MANAGER) == "") == (state in LEGAL[verb])


@pytest.mark.parametrize("verb", LABELS)
def test_viewer_is_told_the_role_each_step_needs(verb: str) -> None:
    said = why_not(verb, incident(), Identity("vic", "viewer"))
    assert said == f"needs the role {LEAST[verb]}, yours is viewer"


@pytest.mark.parametrize("state", NEXT)
def test_usual_next_step_is_open_to_a_manager(state: str) -> None:
    assert [one.why_not for one in steps(incident(state=state), MANAGER) if one.first] == [""]


@pytest.mark.parametrize(("until", "verb"), [(None, "pause"), (9, "resume")])
def test_clocks_are_paused_or_resumed_once(until: int | None, verb: str) -> None:
    pause = Pause(from_ms=1, until_ms=until, reason="waits for a supplier", by="mia")
    assert why_not(verb, incident(pauses=(pause,)), MANAGER).startswith("its clocks")


def test_nothing_to_undo_without_a_merge() -> None:
    assert why_not("undo", incident(), MANAGER) == "nothing was merged into it"
