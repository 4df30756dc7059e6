"""What a route says for the audit of the request at hand: what is done, to what, and what is odd about it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from console.access.identity import Identity


@dataclass(slots=True)
class Note:
    """Filled in on the way; `console.access.audit.Audited` makes it and reads it in the end."""

    request_id: str
    action: str = ""
    target: str = ""
    what: str = ""
    reason: str = ""
    domain: str = ""
    by: Identity | None = None
    """who it is where the request alone does not say, as with a login"""
    status: int = 0
    """what is meant where the answer says something else, as when a browser is sent to the login"""


# A context variable, so that actions can be noted deep down without every call handing on its request.
current: ContextVar[Note | None] = ContextVar("note", default=None)


def audit(
    action: str = "",
    *,
    target: str = "",
    what: str = "",
    reason: str = "",
    domain: str = "",
    by: Identity | None = None,
    status: int = 0,
) -> None:
    """Adds to the note of this request; what is empty leaves what was said before. Never give it a secret.

    Requests that change nothing leave a record only with an action of `console.access.audit.ALWAYS`.
    """
    note = current.get()
    if note is None:
        return
    note.action = action or note.action
    note.target = target or note.target
    note.what = what or note.what
    note.reason = reason or note.reason
    note.domain = domain or note.domain
    note.by = by or note.by
    note.status = status or note.status
