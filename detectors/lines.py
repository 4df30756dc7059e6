"""What a single log line says: severity, exception type, stack trace."""

from __future__ import annotations

import re
from typing import NamedTuple

WARN, ERROR, FATAL = 13, 17, 21
"""OpenTelemetry severity numbers where the levels begin"""
HEAD = 200
"""characters in which a level word is looked for"""

_LEVEL = re.compile(
    r"\b(?:(FATAL|CRITICAL|PANIC|EMERG|ALERT)|(ERROR|SEVERE|ERR)|(WARN|WARNING)|(INFO|NOTICE|DEBUG|TRACE))\b"
)
_LEVELS = (FATAL, ERROR, WARN, 9)
_TYPE_END = re.compile(r"(?:Exception|Error)\b")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.$]{0,118}\Z")
_STACK = ("Traceback (most recent call last)", "\n\tat ", "\n    at ")


class Line(NamedTuple):
    """One log record, in the order in which lines are sorted."""

    ts: int
    service: str
    instance: str
    body: str
    severity: int
    trace_id: str
    exception: str
    resource: tuple[tuple[str, str], ...]


def severity_of(severity: int, body: str) -> int:
    """The severity number sent, or what a level word near the beginning says (0: none)."""
    if severity:
        return severity
    found = _LEVEL.search(body, 0, HEAD)
    if found is None:
        return 0
    return next(level for level, word in zip(_LEVELS, found.groups(), strict=True) if word)


def has_stack(body: str) -> bool:
    """Whether the line carries a stack trace."""
    return any(mark in body for mark in _STACK)


def exception_of(body: str) -> str:
    """Type of the first exception named in a line (`java.io.IOException`, `ValueError`), or empty."""
    for found in _TYPE_END.finditer(body):
        word = _tail_word(body, found.end())
        simple = word.rpartition(".")[2]
        if simple not in ("Exception", "Error") and simple[:1].isupper():
            return word
    return ""


def _tail_word(body: str, end: int) -> str:
    """The dotted identifier that ends at `end`; at most 120 characters, so the search is linear."""
    start = end
    while start > 0 and end - start < 120 and (body[start - 1].isalnum() or body[start - 1] in "_.$"):
        start -= 1
    word = body[start:end].lstrip(".$0123456789")
    return word if _IDENTIFIER.match(word) else ""
