"""What follows from incidents: clocks that run, who is on duty, what somebody has to be told.

Messages of the respond stage, on one topic, each under a key of its own (`key`); the newest version of
a key is the truth. All times are ms UTC.
"""

from __future__ import annotations

import msgspec

CLOCK_STATES = ("running", "paused", "warned", "met", "missed", "cancelled")


class Clock(msgspec.Struct, frozen=True, tag="clock", kw_only=True):
    """One deadline of one incident."""

    id: str
    """digest of incident and name"""
    version: int
    incident: str
    domain: str
    name: str
    """sla respond | sla resolve | customer notice | gdpr notification | nis2 early warning |
    nis2 notification | nis2 final report | dora initial | dora intermediate | dora final"""
    kind: str
    """sla | customer | regulatory"""
    state: str
    """one of `CLOCK_STATES`"""
    started_at: int
    warn_at: int
    """pauses so far included, as in `due_at`"""
    due_at: int
    stopped_at: int | None
    """when what it waits for happened"""
    paused_ms: int
    at_ms: int
    """event time of this version: of the fact, or the deadline itself, that made it"""
    basis: str
    """which rule set it and what it counts from, in a sentence"""
    severity: str = ""
    owner: str = ""

    @property
    def key(self) -> str:
        return f"clock/{self.id}"


class Duty(msgspec.Struct, frozen=True, tag="duty", kw_only=True):
    """Who is asked to look after an incident, and how far it has been escalated."""

    incident: str
    version: int
    domain: str
    team: str
    reason: str
    """why this team: the catalogue, a routing rule, a person"""
    on_call: tuple[str, ...]
    """people who are on call for it at `at_ms`"""
    level: int
    """tier of the escalation policy reached, from 1"""
    levels: int
    policy: str
    next_at: int | None
    """when the next tier is asked unless somebody acknowledges before"""
    acknowledged: bool
    predicted_team: str = ""
    predicted_confidence: float = 0.0
    predicted_accuracy: float | None = None
    """share of past predictions that were right; None: none could be checked yet"""
    predicted_n: int = 0
    """past predictions that could be checked"""
    runbook: str = ""
    containment: tuple[str, ...] = ()
    """what may limit the damage, from the catalogue"""
    at_ms: int = 0

    @property
    def key(self) -> str:
        return f"duty/{self.incident}"


class Notice(msgspec.Struct, frozen=True, tag="notice", kw_only=True):
    """Something somebody has to be told now, beside the incident itself."""

    id: str
    """digest of what it is about: the same however often it is worked out"""
    incident: str
    domain: str
    kind: str
    """escalation | clock warned | clock missed | clock met"""
    severity: str
    title: str
    text: str
    to: tuple[str, ...]
    """people or teams; targets decide how to reach them"""
    at_ms: int
    clock: str = ""
    """id of the clock it is about"""

    @property
    def key(self) -> str:
        return f"notice/{self.id}"


Response = Clock | Duty | Notice
