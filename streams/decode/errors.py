"""Why a record or a row is refused: the closed list of reasons, and the exception that carries one."""

from __future__ import annotations

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

REASONS = (UNDECODABLE, UNKNOWN_FORMAT, OVERSIZED, EMPTY, WRONG_TYPE, NON_FINITE, FUTURE, ANCIENT)


class BadRecord(Exception):
    """The whole record is refused. `reason` is one of `REASONS`; `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
