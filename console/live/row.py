"""An incident as a line of the list: what a person needs to decide whether to look at it. Pure."""

from __future__ import annotations

import msgspec

from correlator.incident import Incident, Member
from correlator.response import Clock
from detectors.alert import SEVERITIES

ACTIVE = ("open", "acknowledged", "mitigated", "reopened")
OVER = ("resolved", "closed", "merged")
_TEXT_CHARS = 4_000
"""of what can be searched for in an incident; the page of past incidents searches everything"""


class Row(msgspec.Struct, frozen=True):
    """One incident in the list. Times are ms UTC."""

    id: str
    version: int
    domain: str
    state: str
    priority: str
    severity: str
    category: str
    title: str
    started_at: int
    detected_at: int
    acknowledged_at: int | None
    resolved_at: int | None
    updated_at: int
    services: tuple[str, ...]
    owner: str
    """the team: whom it was assigned to, else the owner by the catalogue"""
    acknowledged_by: str
    alerts: int
    cause_service: str
    """of the first hint; empty: none"""
    cause: str
    """the first hint in words"""
    confidence: float
    leading_alert: str
    """id of the alert whose signal says most; empty: none"""
    leading: str
    """that signal in words"""
    text: str
    """lower case, to search in"""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


class Due(msgspec.Struct, frozen=True):
    """The deadline of an incident that matters next."""

    name: str
    state: str
    """running | paused | warned | missed"""
    due_at: int


def row_of(incident: Incident) -> Row:
    """The line of one version."""
    hint = incident.hints[0] if incident.hints else None
    leading = leading_member(incident)
    return Row(
        id=incident.id,
        version=incident.version,
        domain=incident.domain,
        state=incident.state,
        priority=incident.priority,
        severity=incident.severity,
        category=incident.category,
        title=incident.title,
        started_at=incident.started_at,
        detected_at=incident.detected_at,
        acknowledged_at=incident.acknowledged_at,
        resolved_at=incident.resolved_at,
        updated_at=incident.updated_at,
        services=tuple(role.service for role in incident.services),
        owner=incident.assignee or incident.owner,
        acknowledged_by=incident.acknowledged_by,
        alerts=len(incident.alerts) + incident.truncated_members,
        cause_service=hint.service if hint else "",
        cause=hint.cause if hint else "",
        confidence=hint.confidence if hint else 0.0,
        leading_alert=leading.alert_id if leading else "",
        leading=leading.summary if leading else "",
        text=_text_of(incident),
    )


def leading_member(incident: Incident) -> Member | None:
    """The member whose signal says most: of the suspected cause if it has any, with numbers if there are."""
    cause = incident.hints[0].service if incident.hints else ""
    return max(
        incident.members,
        key=lambda m: (
            m.kind == "metric",
            m.service == cause,
            SEVERITIES.index(m.severity) if m.severity in SEVERITIES else 0,
            abs(m.strength),
            -m.started_at,
            m.alert_id,
        ),
        default=None,
    )


def due_of(clocks: tuple[Clock, ...]) -> Due | None:
    """What is due next of what still runs; else the last one that was missed and never met."""
    running = [clock for clock in clocks if clock.state in ("running", "warned", "paused")]
    if running:
        first = min(running, key=lambda clock: (clock.due_at, clock.name))
        return Due(first.name, first.state, first.due_at)
    missed = [clock for clock in clocks if clock.state == "missed" and clock.stopped_at is None]
    if missed:
        last = max(missed, key=lambda clock: (clock.due_at, clock.name))
        return Due(last.name, last.state, last.due_at)
    return None


def _text_of(incident: Incident) -> str:
    parts = [incident.id, incident.title, incident.owner, incident.assignee]
    parts += [incident.cause, incident.suggestion]
    parts += [role.service for role in incident.services]
    parts += [hint.cause for hint in incident.hints]
    parts += [member.summary for member in incident.members]
    parts += [entry.text for entry in incident.timeline if entry.kind == "action"]
    return "\n".join(part for part in parts if part)[:_TEXT_CHARS].lower()
