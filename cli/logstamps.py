"""Times in log files of any origin: which layout a file has, found in its first lines, and each line's time.

What stands first in a line is read as the decoders do (`streams.decode.logs.stamps`); here are the layouts
of files that no shipper sends. A time without a zone is read as UTC, one without a year as the nearest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from streams.decode.logs import stamps

NO_TIME = -1
LEAST_SHARE = 0.1
"""of the first lines that must have a time of a layout"""
_HEAD = 160
"""characters of a line in which its time is looked for"""
_AWAY_MS = 2 * 86_400_000
"""what is read without a year or zone is not corrected by a clock that is this far away"""

_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MON = r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
_FRACTION = r"(?:[.,:](?P<f>\d{1,9}))?"
_ZONE = r"(?: ?(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w:]))?"


class Stamp(NamedTuple):
    """A line's time and where what follows it begins; 0 if it does not stand first."""

    ms: int
    end: int


NONE = Stamp(NO_TIME, 0)
Layout = Callable[[str], Stamp]


def _regex(pattern: str, near_ms: int, anywhere: bool = False) -> Layout:
    compiled = re.compile(pattern)
    find = compiled.search if anywhere else compiled.match

    def read(line: str) -> Stamp:
        found = find(line, 0, _HEAD)
        if found is None:
            return NONE
        said = found.groupdict()
        day = tuple(said.get(name) or "" for name in ("Y", "y", "mon", "m", "d", "p"))
        ms = _second_ms(day, (found["H"], found["M"], found["S"]), near_ms)
        if ms < 0:
            return NONE
        fraction = said.get("f") or ""
        ms += int(f"{fraction[:3]:0<3}") if fraction else 0
        zone = said.get("z") or ""
        if zone[:1] in ("+", "-"):
            digits = zone[1:].replace(":", "")
            offset = (int(digits[:2]) * 60 + int(digits[2:])) * 60_000
            ms -= offset if zone[0] == "+" else -offset
        return Stamp(ms, found.end() if found.start() <= 1 else 0)

    return read


@lru_cache(maxsize=8_192)
def _second_ms(day: tuple[str, ...], clock: tuple[str, ...], near_ms: int) -> int:
    year, short, name, month, date, half = day
    hour, minute, second = map(int, clock)
    if half:
        hour = hour % 12 + (12 if half[0] in "Pp" else 0)
    number = stamps.MONTHS[name] if name else int(month)
    whole = int(year) if year else 2000 + int(short) if short else 0
    first = int(date)
    if not name and number > 12 >= first:
        number, first = first, number
    around = datetime.fromtimestamp(near_ms / 1000, UTC).year
    found = []
    for each in (whole,) if whole else (around - 1, around, around + 1):
        try:
            at = datetime(each, number, first, hour, minute, min(second, 59), tzinfo=UTC)
        except ValueError:
            continue
        found.append(int(at.timestamp()) * 1_000)
    return min(found, key=lambda ms: abs(ms - near_ms), default=-1)


def _epoch(anywhere: bool) -> Layout:
    compiled = re.compile(r"(?<![\w.-])\[?(?P<s>1\d{9})(?P<ms>\d{3})?(?:\.(?P<f>\d{1,9}))?\b(?!-)")
    find = compiled.search if anywhere else compiled.match

    def read(line: str) -> Stamp:
        found = find(line, 0, _HEAD)
        if found is None:
            return NONE
        millis = found["ms"] or f"{(found['f'] or '')[:3]:0<3}"
        return Stamp(int(found["s"]) * 1_000 + int(millis), found.end() if found.start() == 0 else 0)

    return read


def layouts(near_ms: int) -> dict[str, Layout]:
    """All layouts by name, in the order in which they are preferred; years are taken near `near_ms`."""

    def leading(line: str) -> Stamp:
        return Stamp(*stamps.leading(line[:_HEAD], near_ms + _AWAY_MS))

    def prioritised(line: str) -> Stamp:
        end = line.find(">", 1, 5) + 1 if line[:1] == "<" else 0
        if not end:
            return NONE
        at = end + 2 * (line[end : end + 2] == "1 ")
        ms, stop = stamps.leading(line[at:_HEAD], near_ms + _AWAY_MS)
        return Stamp(ms, at + stop if stop else 0)

    ymd = r"(?P<Y>\d{4})(?P<sep>[-/.])(?P<m>\d\d)(?P=sep)(?P<d>\d\d)"
    return {
        "leading": leading,
        "syslog": prioritised,
        "ctime": _regex(rf"\[?{_DAY} {_MON} +(?P<d>\d\d?) {_CLOCK}{_FRACTION} (?P<Y>\d{{4}})\]?", near_ms),
        "day month year": _regex(
            rf"\[?(?:{_DAY},? )?(?P<d>\d\d?)[-/. ]{_MON}[-/. ](?P<Y>\d{{4}})[ :T]+{_CLOCK}{_FRACTION}"
            rf"{_ZONE}\]?",
            near_ms,
        ),
        "compact": _regex(
            r"(?P<Y>(?:19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)[-T _](?P<H>\d\d?):?(?P<M>\d\d?):?(?P<S>\d\d?)"
            + _FRACTION,
            near_ms,
        ),
        "short": _regex(
            r"(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d) (?P<H>[0-2]\d)(?P<M>[0-5]\d)(?P<S>[0-5]\d)\b", near_ms
        ),
        "short with clock": _regex(
            rf"\[?(?P<y>\d\d)[-/](?P<m>\d\d)[-/](?P<d>\d\d) {_CLOCK}{_FRACTION}\]?", near_ms
        ),
        "month day year": _regex(
            rf"\[?(?P<m>\d\d?)[/](?P<d>\d\d?)[/](?P<Y>\d{{4}}),? {_CLOCK}{_FRACTION}"
            r"(?: (?P<p>[AaPp][Mm]))?\]?",
            near_ms,
        ),
        "day.month.year": _regex(
            rf"\[?(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<Y>\d{{4}}),? {_CLOCK}{_FRACTION}\]?", near_ms
        ),
        "klog": _regex(rf"[IWEF](?P<m>\d\d)(?P<d>\d\d) {_CLOCK}{_FRACTION}", near_ms),
        "month-day": _regex(rf"\[?(?P<m>\d\d)[-.](?P<d>\d\d) {_CLOCK}{_FRACTION}\]?", near_ms),
        "epoch": _epoch(False),
        "inside": _regex(rf"{ymd}[T _-]{_CLOCK}{_FRACTION}{_ZONE}", near_ms, anywhere=True),
        "inside, dotted": _regex(
            rf"{ymd}-(?P<H>\d\d)\.(?P<M>\d\d)\.(?P<S>\d\d){_FRACTION}", near_ms, anywhere=True
        ),
        "inside, syslog": _regex(rf"\b{_MON} +(?P<d>\d\d?) {_CLOCK}", near_ms, anywhere=True),
        "inside, day month year": _regex(
            rf"\b(?P<d>\d\d?)[-/ ]{_MON}[-/ ](?P<Y>\d{{4}})[ :T]{_CLOCK}{_FRACTION}{_ZONE}",
            near_ms,
            anywhere=True,
        ),
        "epoch inside": _epoch(True),
    }


def choose(lines: Sequence[str], near_ms: int) -> tuple[str, Layout] | None:
    """The layout that most of these lines have, the preferred one of equals; None if hardly any has one."""
    best, most = None, max(1.0, LEAST_SHARE * len(lines)) - 0.5
    for name, read in layouts(near_ms).items():
        hits = sum(read(line).ms >= 0 for line in lines)
        if hits > most * 1.05:
            best, most = (name, read), float(hits)
    return best
