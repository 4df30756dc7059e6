"""Time that counts: since a start, without pauses, and only within business hours where there are some.

Business hours are wall-clock times of their zone: when clocks change, an hour more or less passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config.response import DAYS, Hours
from correlator.incident import Pause

FAR = 2**62
MOST_DAYS = 4_000
"""looked ahead for business hours"""

Span = tuple[int, int]
"""from, until (ms UTC); the end does not belong to it"""


def reached(start_ms: int, length_ms: int, hours: Hours | None, pauses: Sequence[Pause]) -> int:
    """When `length_ms` of counting time have passed since `start_ms`.

    A pause without an end is taken to have none yet: time counts on from its beginning.
    """
    left = length_ms
    at = start_ms
    for begin, end in running(start_ms, hours, pauses):
        at = begin
        if end - begin >= left:
            return begin + left
        left -= end - begin
        at = end
    return at + left


def running(start_ms: int, hours: Hours | None, pauses: Sequence[Pause]) -> Iterator[Span]:
    """Spans of counting time from `start_ms` on, in order."""
    stops = sorted((p.from_ms, p.until_ms) for p in pauses if p.until_ms is not None)
    for begin, end in _open(start_ms, hours):
        for stop, again in stops:
            if again <= begin or stop >= end:
                continue
            if stop > begin:
                yield begin, stop
            begin = max(begin, again)
        if begin < end:
            yield begin, end


def _open(start_ms: int, hours: Hours | None) -> Iterator[Span]:
    if hours is None:
        yield start_ms, FAR
        return
    zone = ZoneInfo(hours.zone)
    first = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone).date()
    for number in range(MOST_DAYS):
        day = first + timedelta(days=number)
        if DAYS[day.weekday()] not in hours.days:
            continue
        begin, end = (_instant(day, text, zone) for text in (hours.from_, hours.to))
        if end > start_ms and end > begin:
            yield max(begin, start_ms), end


def _instant(day: date, text: str, zone: ZoneInfo) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    moment = datetime.combine(day, time(hour % 24, minute), zone)
    if hour == 24:
        moment = datetime.combine(moment.date() + timedelta(days=1), time(0), zone)
    return round(moment.timestamp() * 1000)


def paused_ms(start_ms: int, until_ms: int, pauses: Sequence[Pause]) -> int:
    """How long it has stood still between the two, in pauses that have ended."""
    total = 0
    spans = ((max(start_ms, p.from_ms), min(until_ms, p.until_ms)) for p in pauses if p.until_ms is not None)
    for begin, end in spans:
        total += max(0, end - begin)
    return total
