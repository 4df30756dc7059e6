"""What a single log line says: severity, where in the code it comes from, trace id."""

from __future__ import annotations

import re
from typing import NamedTuple

WARN, ERROR, FATAL = 13, 17, 21
"""OpenTelemetry severity numbers where the levels begin"""
HEAD = 200
"""characters in which a level word, a place in the code and a trace id are looked for"""

_LEVEL = re.compile(
    r"\b(?:(FATAL|CRITICAL|PANIC|EMERG|ALERT)|(ERROR|SEVERE|ERR)|(WARN|WARNING)|(INFO|NOTICE|DEBUG|TRACE))\b"
)
_LEVELS = (FATAL, ERROR, WARN, 9)
_FILE = re.compile(r"([\w$-]{1,60}\.(?:java|kt|scala|py|go|jsx?|tsx?|rs|cs|cc|cpp|c|rb|php)):(\d{1,6})\b")
_TRACE = re.compile(r"(?i)trace[ _.-]?id[\"']?\s{0,2}[:=]\s{0,2}[\"']?([0-9a-f]{16,32})\b")
_HEADER = re.compile(
    r"(?:\[?(?:<time>|\d[\d:.,TZ/+-]{5,40})\]?\s{1,4}){0,3}"  # date, time
    r"(?:(?:\[?(?:<\*>|[A-Z][a-z]{2})\s{1,4}){0,3}\[?<\*>(?:[:.,/+-]<\*>){1,7}\]?:?\s{1,4})?"  # masked
    r"(?:\[?(?:FATAL|CRITICAL|ERROR|SEVERE|WARN|WARNING|INFO|NOTICE|DEBUG|TRACE)\]?:?\s{1,8})?"
    r"(?:[^\s]{1,100}#(?:\d{1,6}|<\*>)\s{1,4})?"  # logger#line
    r"(?:(?i:trace|span)[ _.-]?(?i:id)\s{0,2}[:=]\s{0,2}[^\s]{1,40}\s{1,4}){0,3}"
)


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
    source: str = ""
    """partition it came from, and its place there: no part of what it says"""
    order: int = 0

    @property
    def said(self) -> tuple[object, ...]:
        """What it says. Ingest delivers at least once: lines equal in this are the same line."""
        return self[:8]


def severity_of(severity: int, body: str) -> int:
    """The severity number sent, or what a level word near the beginning says (0: none)."""
    if severity:
        return severity
    found = _LEVEL.search(body, 0, HEAD)
    if found is None:
        return 0
    return next(level for level, word in zip(_LEVELS, found.groups(), strict=True) if word)


def band_of(severity: int) -> int:
    """0 below WARN, 1 WARN, 2 ERROR, 3 FATAL."""
    return (severity >= WARN) + (severity >= ERROR) + (severity >= FATAL)


def site_of(body: str) -> str:
    """Where in the code the line comes from, where its head says so: `a.b.C#12`, `server.go:45`."""
    at = body.find("#", 1, HEAD)
    if at > 0 and body[at + 1 : at + 2].isdigit() and not body[at - 1].isspace():
        start = body.rfind(" ", max(0, at - 100), at) + 1
        end = at + 1
        while end < len(body) and end - at < 8 and body[end].isdigit():
            end += 1
        return body[start:end]
    if body.find(":", 1, HEAD) < 0:
        return ""
    found = _FILE.search(body, 0, HEAD)
    return "" if found is None else found.group()


def trace_of(line: Line) -> str:
    """The line's trace id: its own, or one its text names."""
    if line.trace_id:
        return line.trace_id
    found = _TRACE.search(line.body, 0, 2 * HEAD)
    return "" if found is None else found.group(1).lower()


def message_of(text: str) -> str:
    """The text without the time, level, logger and ids at its head; the whole text if that is all."""
    return text[end:] if (found := _HEADER.match(text)) and (end := found.end()) < len(text) else text
