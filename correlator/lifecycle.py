"""The life of an incident: which steps are legal, and which times they set.

    open -> acknowledged -> mitigated -> resolved -> closed
    resolved -> reopened (an anomaly or a person, inside the verification window)
    open, acknowledged, mitigated, reopened -> merged

Steps may be skipped forwards (an open incident can be resolved), never backwards.
"""

from __future__ import annotations

from typing import NamedTuple

from correlator.group import Group

LEGAL: dict[str, dict[str, str]] = {
    "acknowledge": {"open": "acknowledged", "reopened": "acknowledged"},
    "mitigate": {"open": "mitigated", "acknowledged": "mitigated", "reopened": "mitigated"},
    "resolve": {
        "open": "resolved",
        "acknowledged": "resolved",
        "mitigated": "resolved",
        "reopened": "resolved",
    },
    "reopen": {"resolved": "reopened"},
    "close": {"resolved": "closed"},
    "merge": {"open": "merged", "acknowledged": "merged", "mitigated": "merged", "reopened": "merged"},
}
"""step -> state before -> state after"""

HUMAN = ("acknowledge", "mitigate", "resolve", "reopen", "close")
"""steps people may take"""


class Refusal(NamedTuple):
    """Why a step is not taken."""

    reason: str


def after(state: str, step: str) -> str | Refusal:
    """State after `step`, or why it is illegal."""
    if step not in LEGAL:
        return Refusal(f"unknown action {step!r}; known: {', '.join(HUMAN)}")
    following = LEGAL[step].get(state)
    if following is None:
        return Refusal(f"cannot {step} an incident that is {state}")
    return following


def apply(group: Group, step: str, at_ms: int, actor: str = "") -> Refusal | None:
    """Take a step at `at_ms` (event time, ms UTC); `actor` is empty when Tocsin itself acts.

    Times keep their order (detected <= acknowledged <= mitigated <= resolved <= closed): a clock
    that runs behind counts as the earliest moment the step could have happened.
    """
    following = after(group.state, step)
    if isinstance(following, Refusal):
        return following
    at_ms = max(at_ms, group.noticed_at)
    if step == "acknowledge":
        # The first acknowledge is the one MTTA counts; after a reopening only the state follows.
        if group.acknowledged_at is None:
            group.acknowledged_at = at_ms
            group.acknowledged_by = actor
    elif step == "mitigate":
        if group.mitigated_at is None:
            group.mitigated_at = max(at_ms, group.acknowledged_at or at_ms)
    elif step == "resolve":
        _resolve(group, at_ms, actor)
    elif step == "reopen":
        group.calm_ms += max(0, at_ms - (group.resolved_at or at_ms))
        group.resolved_at = None
        group.resolved_by = ""
        group.reopened += 1
    elif step == "close":
        group.closed_at = max(at_ms, group.resolved_at or at_ms)
    group.state = following
    return None


def _resolve(group: Group, at_ms: int, actor: str) -> None:
    at_ms = max(at_ms, group.acknowledged_at or at_ms, group.mitigated_at or at_ms)
    group.resolved_at = at_ms
    group.resolved_by = "human" if actor else "auto"
    if group.first_resolved_at is None:
        group.first_resolved_at = at_ms


def active_ms(group: Group) -> int:
    """Time between start and resolve (or the newest version), without the calm before reopenings."""
    end = group.resolved_at if group.resolved_at is not None else group.updated_at
    return max(0, end - group.began_at - group.calm_ms)
