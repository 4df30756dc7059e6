"""Why a record or a row is refused: the closed list of reasons, and the exception that carries one."""

from __future__ import annotations

import msgspec

UNDECODABLE = "undecodable"
"""The bytes are not what the topic's format says."""
UNKNOWN_FORMAT = "unknown-format"
"""`format: auto`, and no format fits."""
OVERSIZED = "oversized"
EMPTY = "empty"
"""No value at all, and no control header either."""
WRONG_TYPE = "wrong-type"
"""Readable, but a field is missing or has the wrong type or shape."""
NON_FINITE = "non-finite"
FUTURE = "future"
ANCIENT = "ancient"

BAD_PAGE = "bad-page"
"""Not from here: detect could not read one of our own pages."""

REASONS = (UNDECODABLE, UNKNOWN_FORMAT, OVERSIZED, EMPTY, WRONG_TYPE, NON_FINITE, FUTURE, ANCIENT, BAD_PAGE)


UNREADABLE_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for input it cannot read: malformed or wrong-typed, not UTF-8, nested too deeply."""


class BadRecord(Exception):
    """The whole record is refused. `reason` is one of `REASONS`; `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def json_fault(error: Exception) -> tuple[str, str]:
    """Reason and detail of one of `UNREADABLE_JSON`; msgspec's words name what was expected and where."""
    if isinstance(error, msgspec.ValidationError):
        return WRONG_TYPE, str(error)[:300]
    if isinstance(error, RecursionError):
        return UNDECODABLE, "JSON nested too deeply"
    return UNDECODABLE, f"not JSON: {error}"[:300]
