"""What somebody did at the console, or was refused: who, what, when, from where. A message and a row."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

OUTCOMES = ("done", "refused", "failed")

WORD, NAME, SAYS = 60, 200, 400
"""characters of a word of our own, of a name somebody gave, of a sentence"""
Word = Annotated[str, Meta(max_length=WORD)]
Name = Annotated[str, Meta(max_length=NAME)]
Says = Annotated[str, Meta(max_length=SAYS)]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the console, or with `n` above 1 the last of several that differ in nothing but time.

    Never holds a token, a cookie, or what was written in a note.
    """

    id: Word
    """kept once by it"""
    at: int
    """ms UTC, when it was answered"""
    who: Name = ""
    """empty: nobody we know"""
    role: Word = ""
    via: Word = "nobody"
    """oidc | token | local | nobody"""
    action: Word
    """login | login_refused | logout | token_refused | acknowledge | silence | reinject | refused | ..."""
    target: Name = ""
    """id of an incident, problem/ID, silence/NAME, or empty"""
    what: Says = ""
    """fields that were changed, and to what where that is short"""
    reason: Says = ""
    """why it was refused or failed"""
    outcome: Word
    """of `OUTCOMES`"""
    status: int
    """of HTTP"""
    method: Word
    route: Name = ""
    """path with placeholders: /incidents/{id}/review; empty: there is none"""
    address: Name = ""
    agent: Name = ""
    """what the program calls itself"""
    request_id: Word
    """as in the answer's X-Request-Id"""
    domain: Name = ""
    """of the incident or problem, where it is about one"""
    n: int = 1
    """requests it stands for"""


def clipped(text: str, most: int) -> str:
    """Of bounded length, on one line, and text that can be encoded."""
    plain = "".join(c if c.isprintable() else " " for c in text[: most + 1])
    plain = plain.encode("utf-8", "replace").decode()
    return plain if len(plain) <= most else plain[: most - 1] + "…"
