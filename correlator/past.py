"""What is kept and told of the past: incidents that have closed, what was found out about them, problems."""

from __future__ import annotations

import msgspec

from correlator.group import Finding

PROBLEM_STATES = ("open", "known_error", "resolved", "closed")


class Past(msgspec.Struct, array_like=True):
    """What is kept of an incident that has closed."""

    number: int
    """in the order of closing, from 1"""
    id: str
    domain: str
    signature: str
    words: str
    """the signature's"""
    title: str
    started_at: int
    closed_at: int
    services: list[str]
    symptoms: tuple[str, ...]
    finding: Finding | None = None


class Knowledge(msgspec.Struct, frozen=True, tag="knowledge", kw_only=True):
    """What is known of one incident's cause; written again, with a higher version, when people correct it."""

    incident: str
    version: int
    domain: str
    title: str
    started_at: int
    services: tuple[str, ...]
    cause: str
    cause_service: str
    fix: str
    runbook: str
    actor: str
    at_ms: int


class Problem(msgspec.Struct, frozen=True, tag="problem", kw_only=True):
    """One version of a problem. Versions only grow; the newest is the truth. Times are ms UTC."""

    id: str
    version: int
    domain: str
    state: str
    """one of `PROBLEM_STATES`"""
    signature: str
    title: str
    """the signature in words"""
    opened_at: int
    updated_at: int
    first_seen: int
    """start of its first incident"""
    last_seen: int
    """start of its newest incident"""
    count: int
    """incidents so far"""
    incidents: tuple[str, ...]
    """ids by start; the newest hundred"""
    starts: tuple[int, ...]
    """of these"""
    services: tuple[str, ...]
    interval_ms: int
    """median time from the start of one incident to that of the next"""
    reopened: int = 0
    resolved_at: int | None = None
    closed_at: int | None = None
    owner: str = ""
    workaround: str = ""
    cause: str = ""
    cause_service: str = ""
    fix: str = ""
    runbook: str = ""
    actor: str = ""
    """who did what made this version; empty: Tocsin itself"""
    note: str = ""
    """what they said with it"""
