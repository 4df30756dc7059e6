"""The incident and what hangs on it: memberships with reasons, hints with evidence, timeline."""

from __future__ import annotations

import msgspec

STATES = ("open", "acknowledged", "mitigated", "resolved", "closed", "reopened", "merged")
CATEGORIES = ("service disruption", "performance degradation", "security incident", "operational issue")
KINDS = ("incident", "service request", "problem")
"""ITIL tells them apart: something is broken; somebody wants something; the cause behind several incidents"""
LEVELS = ("high", "medium", "low")
IMPACT_FIGURES = (
    "customers",
    "customer_share",
    "partners",
    "transactions",
    "damage",
    "payment_delay_ms",
)
"""people affected and their share of the base, financial partners, transactions, money, delay of payments"""

FILINGS = (
    "customer notice", "gdpr notification", "nis2 early warning", "nis2 notification", "nis2 final report",
    "dora initial", "dora intermediate", "dora final",
)  # fmt: skip
"""reports and notices that are handed in; their clocks have the same names"""


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One named piece of evidence for a membership, and what it weighed."""

    name: str
    """first | series | service | topology | labels | text | together | time | fading | merge | split |
    released"""
    weight: float
    detail: str


class Member(msgspec.Struct, frozen=True):
    """An alert in an incident, and why it is there."""

    alert_id: str
    service: str
    kind: str
    metric: str
    severity: str
    started_at: int
    detected_at: int
    resolved_at: int | None
    strength: float
    summary: str
    joined_at: int
    reasons: tuple[Reason, ...]


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One checkable fact behind a hint."""

    kind: str
    """onset | path | strength | change | log | absent | similar"""
    text: str
    """for a person, with times and numbers"""
    weight: float
    at_ms: int | None = None
    ref: str = ""
    """id of the alert, change or past incident it points to"""


class Hint(msgspec.Struct, frozen=True):
    """A candidate cause."""

    service: str
    confidence: float
    """[0, 1]; over all hints of an incident they sum to at most 1"""
    evidence: tuple[Evidence, ...]
    cause: str = ""
    """the leading signal, template or change in words"""


class ServiceRole(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service's part in an incident, with what the catalogue says of it."""

    service: str
    role: str
    """suspected cause | affected"""
    owner: str = ""
    tier: int = 0
    """1 .. 4, 0: not said"""
    runbook: str = ""
    links: tuple[tuple[str, str], ...] = ()
    """title, address; of the suspected cause only"""


class Similar(msgspec.Struct, frozen=True, gc=False):
    """A past incident with much the same symptoms, and what people found out about it."""

    id: str
    similarity: float
    """[0, 1]"""
    why: str
    """the symptoms both have, in words"""
    closed_at: int
    same: bool = False
    """it has the same signature"""
    cause: str = ""
    cause_service: str = ""
    fix: str = ""
    runbook: str = ""


class TimelineEntry(msgspec.Struct, frozen=True, gc=False):
    at_ms: int
    kind: str
    """alert | resolved | change | action | merge | state | flap"""
    text: str
    ref: str = ""


class Pause(msgspec.Struct, frozen=True, gc=False):
    """A time in which the service level clocks of an incident stand still."""

    from_ms: int
    until_ms: int | None
    """None: still paused"""
    reason: str
    by: str


class Filing(msgspec.Struct, frozen=True, gc=False):
    """A report or notice that was handed in: what its clock waits for, and the next may count from."""

    name: str
    """as its clock is named: `dora initial`, `gdpr notification`, `customer notice`, ..."""
    at_ms: int
    by: str
    note: str = ""


class Figure(msgspec.Struct, frozen=True, gc=False):
    """One figure of an incident's impact."""

    name: str
    """one of `IMPACT_FIGURES`"""
    value: float
    unit: str
    status: str
    """estimate | confirmed"""
    basis: str
    """where it comes from, in words: the catalogue's entry, a metric's fall, a person"""
    by: str = ""
    """who stated it; empty: Tocsin"""
    at_ms: int = 0


class Edit(msgspec.Struct, frozen=True, gc=False):
    """A change a person made to what stood there: the audit."""

    at_ms: int
    by: str
    field: str
    before: str
    after: str
    reason: str = ""
    action: str = ""
    """id of the action"""


class Incident(msgspec.Struct, frozen=True):
    """One version of an incident. Versions only grow; the newest is the truth."""

    id: str
    version: int
    domain: str
    state: str
    title: str
    category: str
    severity: str
    priority: str
    """P1 .. P4"""
    started_at: int
    detected_at: int
    opened_at: int
    updated_at: int
    """event time of this version"""
    acknowledged_at: int | None
    mitigated_at: int | None
    resolved_at: int | None
    closed_at: int | None
    first_resolved_at: int | None
    active_ms: int
    """time between start and resolve, without the calm before a reopening"""
    resolved_by: str
    """\"\" while open | auto | human"""
    acknowledged_by: str
    reopened: int
    services: tuple[ServiceRole, ...]
    alerts: tuple[str, ...]
    """member alert ids, in order of joining"""
    members: tuple[Member, ...]
    hints: tuple[Hint, ...]
    """best first"""
    timeline: tuple[TimelineEntry, ...]
    changes: tuple[str, ...] = ()
    """ids of changes in evidence"""
    merged_into: str = ""
    merged_from: tuple[str, ...] = ()
    recurrence_of: str = ""
    owner: str = ""
    """of the suspected cause, or of all services that have one"""
    truncated_members: int = 0
    """members beyond the cap, counted but not carried"""
    calls: tuple[tuple[str, str, float], ...] = ()
    """caller, callee, share of calls that failed: between its services, and on their ways to the cause"""
    signature: str = ""
    """the same for incidents of the same kind; see `correlator.symptoms`"""
    similar: tuple[Similar, ...] = ()
    """incidents that had closed before this one opened, most similar first"""
    suggestion: str = ""
    """cause and fix of the most similar one for which they are recorded, in a sentence"""
    problem: str = ""
    """id of the problem that incidents with its signature have become"""
    kind: str = "incident"
    """one of `KINDS`"""
    source: str = "detected"
    """detected | reported: by whom it was noticed first"""
    reported_by: str = ""
    assignee: str = ""
    """the team or person it was assigned to by a person; `owner` is what the catalogue says"""
    impact_level: str = ""
    """high | medium | low: how much hangs on what is affected"""
    urgency: str = ""
    """high | medium | low: how fast it gets worse"""
    priority_basis: str = ""
    """why this priority, in a sentence"""
    impact: tuple[Figure, ...] = ()
    reputation: tuple[str, ...] = ()
    """tags: press, social media, complaints, ..."""
    aware_at: int | None = None
    """when the organisation knew: regulatory clocks count from here"""
    major_at: int | None = None
    """when it was classified as major"""
    pauses: tuple[Pause, ...] = ()
    filings: tuple[Filing, ...] = ()
    edits: tuple[Edit, ...] = ()
    cause: str = ""
    """as people recorded it"""
    cause_service: str = ""
    fix: str = ""
