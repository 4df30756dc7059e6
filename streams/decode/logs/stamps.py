"""Times as they stand in log lines: ISO 8601, without a zone, without a year, in logfmt, in access logs.

A time without a zone is the host's local time, and nothing in the line says which that is. It is
taken as UTC if it is within `NEAR_MS` of the record's reference time, or so far away that no zone
could explain it (an old file read in); in between, the reference time stands in.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import takewhile

from streams.decode.otlp import RowFault
from streams.decode.times import any_ms

NEAR_MS = 600_000
ZONE_MS = 14 * 3_600_000
"""the largest offset of a time zone"""

MONTHS = {
    **{"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6},
    **{"Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12},
}

_NONE = (-1, 0)
_LONGEST = 48
_NAMES = frozenset(("time", "ts", "timestamp", "t"))
"""keys of logfmt under which a line's time stands first"""


def iso_ms(text: str) -> int:
    """An ISO 8601 time, UTC where it names no zone, or an epoch number as text. Raises `RowFault`."""
    if text[4:5] != "-":
        return any_ms(text)  # digits alone are an epoch, not the basic format of ISO 8601
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return any_ms(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    # Exact: a double holds microseconds since 1970 without loss.
    return round(found.timestamp() * 1_000_000) // 1_000


def local_ms(ms: int, reference_ms: int) -> int:
    """A time without a zone, read as UTC, or the reference time (see above)."""
    apart = abs(ms - reference_ms)
    return reference_ms if reference_ms >= 0 and NEAR_MS < apart <= ZONE_MS else ms


def bsd_ms(text: str, reference_ms: int) -> int:
    """`Mmm dd hh:mm:ss` (15 characters) in the year that brings it nearest to the reference; -1 if none."""
    if len(text) != 15 or text[6] != " " or text[9] != ":" or text[12] != ":":
        return -1
    clock = text[7:9] + text[10:12] + text[13:15]
    if not (clock.isascii() and clock.isdecimal()):
        return -1
    hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:])
    if hour > 23 or minute > 59 or second > 60:
        return -1
    day = _day_ms(text[:6], max(reference_ms, 0) // 86_400_000)
    return -1 if day < 0 else local_ms(day + (hour * 3_600 + minute * 60 + second) * 1_000, reference_ms)


@lru_cache(maxsize=1024)
def _day_ms(text: str, today: int) -> int:
    """Midnight of a day such as `Nov 22` or `Nov  2`, nearest to `today` (days since 1970); -1 if none."""
    month, day = MONTHS.get(text[:3], 0), text[4:].lstrip()
    if not month or text[3] != " " or not (day.isascii() and day.isdecimal()):
        return -1
    year = datetime.fromtimestamp(today * 86_400, UTC).year
    found = []
    for candidate in (year - 1, year, year + 1):
        try:
            at = datetime(candidate, month, int(day), tzinfo=UTC)
        except ValueError:  # 29 February of another year
            continue
        found.append(int(at.timestamp()) // 86_400)
    best = min(found, key=lambda at: abs(at - today), default=-1)
    return best * 86_400_000 if best >= 0 else -1


def leading(text: str, reference_ms: int) -> tuple[int, int]:
    """Time a line begins with, and where the rest begins; (-1, 0) if it begins with none."""
    first = text[:1]
    start = 0
    if first == "[":
        start, first = 1, text[1:2]
    if first in "12" and first:
        found = _dated(text, start, reference_ms)
        return found if found[0] >= 0 else _access(text)
    if first in MONTH_LETTERS and text[start : start + 3] in MONTHS:
        ms = bsd_ms(text[start : start + 15], reference_ms)
        return (ms, start + 15) if ms >= 0 else _NONE
    if first == "t" and "=" in text[:10]:
        return _logfmt(text, reference_ms)
    return _access(text)


MONTH_LETTERS = "JFMASOND"


def _dated(text: str, start: int, reference_ms: int) -> tuple[int, int]:
    """`2026-11-22T18:58:23.327+01:00`, with a space instead of T, a comma, slashes, a zone set apart."""
    at = start + 19
    ms = _second_ms(text[start:at])
    if ms < 0:
        return _NONE
    after = text[at : at + 10]
    if after[:1] in (".", ","):
        digits = after[1:4]
        if not digits.isdecimal():
            digits = "".join(takewhile(str.isdecimal, digits))
        ms += int(f"{digits:0<3}")
        at += 1 + len(digits)
        while text[at : at + 1].isdecimal() and at < start + 30:
            at += 1
    zone = text[at : at + 7]
    if zone[:1] == " ":
        if zone[1:4] in ("UTC", "GMT"):
            return ms, at + 4
        if zone[1:2] not in ("+", "-") or not zone[2:3].isdecimal():  # " - INFO" is no zone
            return local_ms(ms, reference_ms), at
        zone, at = zone[1:], at + 1
    if zone[:1] == "Z":
        return ms, at + 1
    if zone[:1] in ("+", "-"):
        offset = _offset_ms(zone[:6])
        return (ms - offset, at + 6) if offset is not None else _NONE
    return _NONE if zone[:1].isalnum() else (local_ms(ms, reference_ms), at)


@lru_cache(maxsize=4_096)
def _second_ms(text: str) -> int:
    """A date and a time to the second, read as UTC; -1 if it is none."""
    if len(text) != 19 or text[10] not in "T ":
        return -1
    try:
        found = datetime.fromisoformat(f"{text[:10].replace('/', '-')}T{text[11:]}")
    except ValueError:
        return -1
    return -1 if found.tzinfo is not None else int(found.replace(tzinfo=UTC).timestamp()) * 1_000


@lru_cache(maxsize=256)
def _offset_ms(zone: str) -> int | None:
    """Offset of `+01:00`, `+0100` or `+01`; None if it is none."""
    digits = zone[1:].replace(":", "").rstrip()
    if len(digits) > 4 or not digits[:2].isdecimal():
        return None
    minutes = digits[2:4] if digits[2:4].isdecimal() and len(digits) == 4 else "0"
    found = (int(digits[:2]) * 60 + int(minutes)) * 60_000
    return -found if zone[0] == "-" else found


def _logfmt(text: str, reference_ms: int) -> tuple[int, int]:
    name, _, rest = text[: _LONGEST + 12].partition("=")
    if name not in _NAMES:
        return _NONE
    quote = '"' if rest.startswith('"') else " "
    value = rest.lstrip('"').partition(quote)[0]
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return _NONE
    if found.tzinfo is None:
        return local_ms(iso_ms(value), reference_ms), 0
    return round(found.timestamp() * 1_000_000) // 1_000, 0


def _access(text: str) -> tuple[int, int]:
    """The time of an access log: `1.2.3.4 - - [22/Nov/2026:18:58:23 +0000] "GET …`."""
    at = text.find("[", 0, 120) + 1
    if not at or text[at + 2 : at + 3] != "/" or text[at + 6 : at + 7] != "/":
        return _NONE
    month = MONTHS.get(text[at + 3 : at + 6], 0)
    iso = f"{text[at + 7 : at + 11]}-{month:02}-{text[at : at + 2]}T{text[at + 12 : at + 20]}"
    try:
        return iso_ms(iso + text[at + 21 : at + 26]), 0
    except RowFault:
        return _NONE
