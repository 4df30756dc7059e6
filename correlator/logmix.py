"""What changed in a service's log: new and more frequent failures, lines that no longer come.

Lines are reduced to templates by masking what varies. For each template the count in the window
is held against what the service's normal mix would give (Poisson deviance); recent normal lines
count more than old ones, so that an earlier fault does not pass for normal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

HALF_LIFE_MS = 180_000
PRIOR_LINES = 60.0
"""weight of the whole past against the recent one, in lines"""
MOST_WORDS = 14
MOST_CHARACTERS = 120
ERROR = 13
"""severity number from which a line tells of trouble (warn)"""
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{4,}")
_WORDS = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]")
_VARYING = re.compile(r"(?<![#\w])[0-9a-fA-F]*\d[0-9a-zA-Z:.,/_-]*")


class Line(NamedTuple):
    ts: int
    severity: int
    template: str
    trace: str = ""
    span: str = ""
    """ids the line carries, if any"""


class Finding(NamedTuple):
    """One template whose count is off."""

    weight: float
    """deviance, weighed by what it means"""
    template: str
    seen: int
    expected: float
    severity: int
    first_ms: int | None


def template(body: str) -> str:
    """The line with numbers, ids and long tokens masked, cut short."""
    words = _UUID.sub("*", body[:400]).split()[:MOST_WORDS]
    masked = ("*" if len(w) > 48 and "[" not in w else _VARYING.sub("*", w) for w in words)
    return " ".join(masked)[:MOST_CHARACTERS]


def findings(normal: Sequence[Line], window: Sequence[Line], start_ms: int) -> list[Finding]:
    """Templates that are off, heaviest first. Without normal lines there is nothing to compare."""
    if not normal:
        return []
    recent: dict[str, float] = {}
    ever: dict[str, int] = {}
    weight = 0.0
    for line in normal:
        fresh = 0.5 ** ((start_ms - line.ts) / HALF_LIFE_MS)
        weight += fresh
        recent[line.template] = recent.get(line.template, 0.0) + fresh
        ever[line.template] = ever.get(line.template, 0) + 1
    counts: dict[str, int] = {}
    severity: dict[str, int] = {}
    first: dict[str, int] = {}
    for line in (*normal, *window):
        severity[line.template] = max(severity.get(line.template, 0), line.severity)
    for line in window:
        counts[line.template] = counts.get(line.template, 0) + 1
        first.setdefault(line.template, line.ts)
    lines = len(window)
    found = []
    for name in severity:
        past = (ever.get(name, 0) + 0.5) / (len(normal) + 10.0)
        expected = lines * (recent.get(name, 0.0) + PRIOR_LINES * past) / (weight + PRIOR_LINES)
        seen = counts.get(name, 0)
        deviance = 2 * ((seen * math.log(seen / expected) if seen else 0.0) - (seen - expected))
        meaning = _meaning(seen > expected, severity[name] >= ERROR, seen, expected)
        if meaning * deviance > 1.0:
            found.append(Finding(meaning * deviance, name, seen, expected, severity[name], first.get(name)))
    return sorted(found, key=lambda f: (-f.weight, f.template))


def _meaning(more: bool, trouble: bool, seen: int, expected: float) -> float:
    """More trouble says most; a step that no longer comes says half; ordinary lines vary with load."""
    if more:
        return 1.0 if trouble else 0.25
    if not seen and expected < 2.0:
        return 0.0
    return 0.1 if trouble else 0.5


def named(finding: Finding, services: Iterable[str]) -> list[str]:
    """Other services that a line of trouble names, sorted; ordinary lines accuse nobody."""
    if finding.severity < ERROR or finding.seen <= finding.expected:
        return []
    words = set(_WORDS.findall(finding.template))
    return sorted(service for service in services if service in words)


def weight_of(found: Iterable[Finding]) -> float:
    """A service's log evidence: its three heaviest findings."""
    return sum(sorted((f.weight for f in found), reverse=True)[:3])
