"""What the respond stage keeps of an incident: the newest version without what it has no use for."""

from __future__ import annotations

import msgspec

from correlator.incident import Filing, Incident, Pause

MOST_SERVICES = 100


class Case(msgspec.Struct, array_like=True):
    """All times are ms UTC."""

    id: str
    version: int
    domain: str
    state: str
    kind: str
    title: str
    severity: str
    category: str
    priority: str
    opened_at: int
    updated_at: int
    acknowledged_at: int | None
    resolved_at: int | None
    closed_at: int | None
    aware_at: int | None
    major_at: int | None
    reopened: int
    pauses: tuple[Pause, ...]
    filings: tuple[Filing, ...]
    services: tuple[str, ...]
    suspect: str
    owner: str
    assignee: str
    runbook: str
    calm_ms: int = 0
    """time between its resolves and the reopenings that followed"""
    signs: tuple[str, ...] = ()
    """what past incidents are compared by"""
    team: str = ""
    """set by `correlator.routing`"""

    @property
    def labels(self) -> dict[str, str]:
        """What matchers see."""
        return {
            "service": self.suspect or (self.services[0] if self.services else ""),
            "severity": self.severity,
            "category": self.category,
            "priority": self.priority,
            "owner": self.owner,
            "assignee": self.assignee,
            "domain": self.domain,
            "kind": self.kind,
        }

    def filed(self, name: str) -> int | None:
        """When a report or notice was handed in; None: not yet."""
        return next((filing.at_ms for filing in self.filings if filing.name == name), None)

    @property
    def waits(self) -> bool:
        """Nobody has taken it yet."""
        return self.state in ("open", "reopened") and self.kind == "incident"


def case_of(incident: Incident) -> Case:
    """Of one version."""
    suspect = next((s.service for s in incident.services if s.role == "suspected cause"), "")
    if not suspect and len(incident.services) == 1:
        suspect = incident.services[0].service  # nothing else can be meant
    runbook = next((s.runbook for s in incident.services if s.service == suspect), "")
    services = tuple(s.service for s in incident.services[:MOST_SERVICES])
    metrics = sorted({f"{m.service} {m.metric}" for m in incident.members})[:MOST_SERVICES]
    return Case(
        id=incident.id,
        version=incident.version,
        domain=incident.domain,
        state=incident.state,
        kind=incident.kind,
        title=incident.title,
        severity=incident.severity,
        category=incident.category,
        priority=incident.priority,
        opened_at=incident.opened_at,
        updated_at=incident.updated_at,
        acknowledged_at=incident.acknowledged_at,
        resolved_at=incident.resolved_at,
        closed_at=incident.closed_at,
        aware_at=incident.aware_at,
        major_at=incident.major_at,
        reopened=incident.reopened,
        pauses=incident.pauses,
        filings=incident.filings,
        services=services,
        suspect=suspect,
        owner=incident.owner,
        assignee=incident.assignee,
        runbook=runbook,
        calm_ms=_calm(incident),
        signs=(f"category {incident.category}", *(f"service {s}" for s in services), *metrics),
    )


def _calm(incident: Incident) -> int:
    end = incident.resolved_at if incident.resolved_at is not None else incident.updated_at
    return max(0, end - incident.started_at - incident.active_ms) if incident.reopened else 0
