"""What became of telling one target of one incident: a message of the notify stage, and a row."""

from __future__ import annotations

import msgspec

NOTIFICATION_STATES = ("queued", "sent", "retrying", "refused", "failed", "skipped")


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version under `key` is the truth: it carries what a restart needs to know."""

    target: str
    """its name in the settings"""
    kind: str
    """type of target: pagerduty, slack, ..."""
    dedup_key: str
    """what the target knows it by: the same for everything about one incident"""
    incident: str
    about: str
    """opened | updated | acknowledged | resolved | escalation | clock warned | ... """
    version: int
    """grows with every attempt"""
    incident_version: int
    state: str
    """one of `NOTIFICATION_STATES`"""
    attempts: int
    queued_at: int
    at_ms: int
    """wall clock, ms UTC"""
    external_id: str = ""
    """the target's own name for it: ticket key, thread, ..."""
    url: str = ""
    status: int = 0
    """of HTTP; 0: none"""
    error: str = ""
    open: bool = False
    """the target has been told that it is open and not yet that it is resolved"""
    step: int = 0
    """requests answered for an item that takes several"""
    note: str = ""
    """what the next of them needs to know"""
    doing: int = 0
    """version of the incident they are for"""
    fingerprint: str = ""
    """of what it was told last; what is the same is not told again"""

    @property
    def key(self) -> str:
        return f"{self.target}/{self.dedup_key}"
