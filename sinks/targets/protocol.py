"""What a target implements. Pure: it says what to send and reads the answer; `sinks.targets.engine` sends.

A target is given an item (an incident version, a notice, a status update) and what became of it before, and
returns the requests to make, one after the other. What an answer tells (a ticket's key, a thread) is kept in
the `Notification`, so that the next request can name it, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from correlator.afterwards import StatusUpdate
from correlator.incident import Incident
from correlator.response import Notice
from sinks.notification import Notification

Item = Incident | Notice | StatusUpdate

OVER = ("resolved", "closed", "merged")
"""states in which a target must not know an incident as open"""


class Request(NamedTuple):
    """One HTTP request."""

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    about: str = ""
    """what it does, for people and for `read`: opened, updated, acknowledged, resolved, looked up, ..."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """names in lower case"""
    body: bytes

    def json(self) -> object:
        """The body, or None when it is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


class Done(NamedTuple):
    """The target has taken it. Empty fields: as they were."""

    external_id: str = ""
    url: str = ""
    open: bool | None = None
    """the target now knows it as open, or not; None: as before"""
    note: str = ""
    """what the next request of the same item needs to know; forgotten after it"""


class Later(NamedTuple):
    """Not now: too busy, broken, or not as it should be configured. It is tried again."""

    reason: str
    after_s: float = 0.0


class Refused(NamedTuple):
    """It will never take this one."""

    reason: str


Outcome = Done | Later | Refused


class Unavailable(Exception):
    """A target with a way of its own to send was not reached."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class Target(Protocol):
    """One target as configured."""

    name: str
    kind: str

    def dedup_key(self, item: Item) -> str:
        """What the target knows it by: the same for everything about one incident."""
        ...

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        """The next request; None: it has nothing (more) to be told. Asked again after each answer.

        `known`: what became of it so far; its `step` counts the requests answered for this item.
        """
        ...

    def fingerprint(self, item: Item) -> str:
        """What is the same is not told again."""
        ...

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        """What an answer means."""
        ...


def retry_after(answer: Answer) -> float:
    """Seconds its header asks for; 0: none."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    if text:
        from email.utils import parsedate_to_datetime

        try:
            until = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return 0.0
        try:
            now = parsedate_to_datetime(answer.headers.get("date", ""))
        except (TypeError, ValueError):
            return 60.0  # at some time that cannot be compared
        return max(0.0, (until - now).total_seconds())
    return 0.0


def usual(answer: Answer) -> Outcome | None:
    """What most services mean by a status; None for 2xx, which the target reads itself."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 429 or status >= 500 or status in (408, 425):
        return Later(f"HTTP {status}", retry_after(answer))
    if status in (401, 403):
        # Whoever configured it must act; until then nothing is lost.
        return Later(f"HTTP {status}: check its secret and its rights", max(30.0, retry_after(answer)))
    if 300 <= status < 400:
        return Later(f"HTTP {status}: it has moved; correct its url", 30.0)
    return Refused(f"HTTP {status}: {answer.body[:300].decode('utf-8', 'replace')}")
