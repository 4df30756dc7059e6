"""What people write about an incident beside its course: action items, the review, status updates.

Messages on one topic, each under a key of its own (`key`); the newest version is the truth. All times
are ms UTC.
"""

from __future__ import annotations

import msgspec

ITEM_STATES = ("open", "in progress", "done", "dropped")
UPDATE_STATES = ("draft", "held", "sent", "withdrawn")


class ActionItem(msgspec.Struct, frozen=True, tag="action_item", kw_only=True):
    """Something to be done so that it does not come back."""

    id: str
    version: int
    incident: str
    text: str
    owner: str
    state: str
    """one of `ITEM_STATES`"""
    due: str
    """a date, YYYY-MM-DD, or empty"""
    created_at: int
    at_ms: int
    actor: str
    note: str = ""
    done_at: int | None = None

    @property
    def key(self) -> str:
        return f"item/{self.id}"


class Review(msgspec.Struct, frozen=True, tag="review", kw_only=True):
    """The post-incident review as people have edited it; without one the generated draft stands."""

    incident: str
    version: int
    text: str
    """Markdown"""
    actor: str
    at_ms: int

    @property
    def key(self) -> str:
        return f"review/{self.incident}"


class StatusUpdate(msgspec.Struct, frozen=True, tag="status_update", kw_only=True):
    """What employees or customers are told."""

    id: str
    version: int
    incident: str
    audience: str
    """employees | customers"""
    about: str
    """the incident's state it speaks of"""
    state: str
    """one of `UPDATE_STATES`; held: waits until the verification window is over"""
    title: str
    text: str
    actor: str
    """who released or changed it; empty: Tocsin"""
    at_ms: int
    sent_at: int | None = None

    @property
    def key(self) -> str:
        return f"update/{self.id}"


Written = ActionItem | Review | StatusUpdate
