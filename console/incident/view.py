"""From what is stored of an incident to what its page shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from console.incident.headline import Headline, headline
from console.incident.members import Asked, Members, members
from correlator.incident import Evidence, Hint, Incident
from correlator.response import Clock

FIRST = Asked()


class Proof(msgspec.Struct, frozen=True):
    """A piece of evidence with where to see for oneself."""

    kind: str
    text: str
    weight: float
    at_ms: int | None
    href: str
    """empty: nothing to point to"""


class HintView(msgspec.Struct, frozen=True):
    service: str
    confidence: float
    cause: str
    proofs: tuple[Proof, ...]


class ClockView(msgspec.Struct, frozen=True):
    """A deadline; `spent`: share of the time allowed that has gone, 0 to 1."""

    clock: Clock
    spent: float


class View(msgspec.Struct, frozen=True):
    headline: Headline
    hints: tuple[HintView, ...]
    members: Members
    clocks: tuple[ClockView, ...]


def view(
    incident: Incident,
    clocks: Sequence[Clock],
    now_ms: int,
    asked: Asked = FIRST,
    where: str = "",
) -> View:
    """The page of a version at a time. `asked`: which alerts; `where`: what they share."""
    return View(
        headline=headline(incident, where),
        hints=tuple(_hint(hint, incident) for hint in incident.hints),
        members=members(incident, asked),
        clocks=tuple(ClockView(clock, _spent(clock, now_ms)) for clock in _in_order(clocks)),
    )


def _hint(hint: Hint, incident: Incident) -> HintView:
    proofs = tuple(
        Proof(one.kind, one.text, one.weight, one.at_ms, _href(one, incident)) for one in hint.evidence
    )
    return HintView(hint.service, hint.confidence, hint.cause, proofs)


def _href(evidence: Evidence, incident: Incident) -> str:
    """Where the proof is on the page, or another incident."""
    if evidence.kind == "path":
        return "#map"
    if not evidence.ref:
        return ""
    if evidence.kind == "similar":
        return f"/incidents/{evidence.ref}"
    if evidence.ref in incident.changes or evidence.kind == "change":
        return f"#change-{evidence.ref}"
    return f"#alert-{evidence.ref}"


_URGENT = {"missed": 0, "warned": 1, "running": 2, "paused": 3, "met": 4, "cancelled": 5}


def _in_order(clocks: Sequence[Clock]) -> list[Clock]:
    """What is overdue and not stopped first, then by deadline."""
    return sorted(clocks, key=lambda c: (c.stopped_at is not None, _URGENT.get(c.state, 6), c.due_at, c.name))


def _spent(clock: Clock, now_ms: int) -> float:
    end = clock.stopped_at if clock.stopped_at is not None else now_ms
    allowed = clock.due_at - clock.started_at
    return min(1.0, max(0.0, (end - clock.started_at) / allowed)) if allowed > 0 else 1.0
