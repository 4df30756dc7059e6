"""Durations as Prometheus writes them: 30s, 5m, 1h30m, 3d."""

from __future__ import annotations

import re

_FORM = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
LONGEST = 366 * 86_400_000
EXPECTED = "a duration such as 30s, 5m, 1h30m or 3d"


def millis(text: str) -> int:
    """ms. Raises `ValueError` that says what was expected."""
    found = _FORM.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise ValueError(EXPECTED)
    total = sum(int(n or 0) * size for n, (_, size) in zip(found.groups(), _UNITS, strict=True))
    if total > LONGEST:
        raise ValueError(f"{EXPECTED}, of at most a year")
    return total


def in_words(ms: int) -> str:
    """The largest unit that divides it: "5 min", "3 d", "90 s"."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def rounded(ms: int) -> str:
    """In the largest unit of which it has one: "6 min", "2.5 h"."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms >= size:
            return f"{round(ms / size, 1):g} {unit}"
    return f"{ms} ms"
