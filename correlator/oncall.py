"""Who is on call: rotations with hand-overs at a local time of day, stand-ins, and calendars (iCalendar).

A hand-over at 09:00 stays at 09:00 when clocks change. Pure: calendar files are read before (`calendars`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from config.response import Schedule

MOST_CHARS = 200
DAY_MS = 86_400_000
AHEAD_DAYS = 62
"""so far ahead one looks for whoever comes next when nobody is on call"""


class Shift(NamedTuple):
    """Somebody's turn. Times in ms UTC; the end does not belong to it; None: not known."""

    person: str
    from_ms: int | None
    until_ms: int | None


class CalendarError(ValueError):
    """A calendar file cannot be read; the message names it and says why."""


def read_calendar(path: Path) -> bytes:
    """Its bytes, once they are known to be a calendar."""
    from icalendar import Calendar

    try:
        raw = path.read_bytes()
        Calendar.from_ical(raw)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise CalendarError(f"calendar {path}: {error}: expected an iCalendar file (.ics)") from error
    return raw


def on_call(schedule: Schedule, at_ms: int, calendars: Mapping[str, bytes]) -> list[Shift]:
    """Who is on call at a moment; a stand-in replaces the rotation. Nobody: an empty list."""
    zone = ZoneInfo(schedule.zone)
    now = datetime.fromtimestamp(at_ms / 1000, UTC)
    for override in schedule.overrides:
        begin, end = (_moment(text, zone) for text in (override.from_, override.until))
        if begin <= now < end:
            return [Shift(override.person, _ms(begin), _ms(end))]
    if schedule.calendar:
        return _from_calendar(calendars[schedule.name], now, zone)
    return [_turn(schedule, zone, now)]


class Duty(NamedTuple):
    """Who is on call by one schedule at a moment, and who comes next."""

    schedule: str
    zone: str
    shifts: tuple[Shift, ...]
    until_ms: int | None
    """the first end of these shifts; None: not known, or nobody is on call"""
    then: tuple[Shift, ...]

    @property
    def people(self) -> list[str]:
        return [shift.person for shift in self.shifts]


def duty(schedule: Schedule, at_ms: int, calendars: Mapping[str, bytes]) -> Duty:
    """What `tocsin oncall` and the console say of a schedule."""
    shifts = tuple(on_call(schedule, at_ms, calendars))
    until_ms = min((shift.until_ms for shift in shifts if shift.until_ms is not None), default=None)
    return Duty(schedule.name, schedule.zone, shifts, until_ms, _next(schedule, at_ms, until_ms, calendars))


def calendar_of(schedule: Schedule) -> dict[str, bytes]:
    """The file of a schedule that has one, as `on_call` wants it. Raises `CalendarError`."""
    return {schedule.name: read_calendar(Path(schedule.calendar))} if schedule.calendar else {}


def overrides_of(schedule: Schedule, since_ms: int) -> list[Shift]:
    """Stand-ins that are not over at `since_ms`, by start."""
    zone = ZoneInfo(schedule.zone)
    found = [
        Shift(one.person, _ms(_moment(one.from_, zone)), _ms(_moment(one.until, zone)))
        for one in schedule.overrides
    ]
    return sorted(
        (s for s in found if (s.until_ms or 0) > since_ms), key=lambda s: (s.from_ms or 0, s.person)
    )


def _next(
    schedule: Schedule, at_ms: int, until_ms: int | None, calendars: Mapping[str, bytes]
) -> tuple[Shift, ...]:
    """Who is on call after these shifts, or when nobody is, whoever comes first."""
    if until_ms is not None:
        return tuple(on_call(schedule, until_ms, calendars))
    for days in range(1, AHEAD_DAYS):
        found = on_call(schedule, at_ms + days * DAY_MS, calendars)
        if found:
            return tuple(found)
    return ()


def _turn(schedule: Schedule, zone: ZoneInfo, now: datetime) -> Shift:
    """Hand-overs are so many days apart on the calendar, each at the same local time of day."""
    first = _moment(schedule.start, zone).astimezone(zone).replace(tzinfo=None)
    local = now.astimezone(zone).replace(tzinfo=None)
    number = (local - first) // timedelta(days=schedule.every)

    def begin(turn: int) -> datetime:
        return (first + timedelta(days=turn * schedule.every)).replace(tzinfo=zone)

    # In the hour that is there twice, or not at all, local time may mislead by one turn.
    while begin(number) > now:
        number -= 1
    while begin(number + 1) <= now:
        number += 1
    person = schedule.people[number % len(schedule.people)]
    return Shift(person, _ms(begin(number)), _ms(begin(number + 1)))


def _from_calendar(raw: bytes, now: datetime, zone: ZoneInfo) -> list[Shift]:
    import recurring_ical_events

    found = []
    around = (now - timedelta(days=2), now + timedelta(days=2))
    for event in recurring_ical_events.of(_calendar(raw)).between(*around):
        begin, end = (_utc(event[name].dt, zone) for name in ("DTSTART", "DTEND"))
        if begin <= now < end:
            found += [Shift(person, _ms(begin), _ms(end)) for person in _people(event)]
    return sorted(set(found), key=lambda shift: (shift.from_ms or 0, shift.person))


@lru_cache(maxsize=64)
def _calendar(raw: bytes) -> Any:
    from icalendar import Calendar

    return Calendar.from_ical(raw)


def _people(event: Any) -> Iterable[str]:
    """Attendees by name or address; an event without any is named after its person."""
    attendees = event.get("ATTENDEE", [])
    for one in attendees if isinstance(attendees, list) else [attendees]:
        name = str(one.params.get("CN", "")) or str(one).removeprefix("mailto:")
        yield name[:MOST_CHARS]
    if not attendees:
        yield str(event.get("SUMMARY", "somebody"))[:MOST_CHARS]


def _utc(when: Any, zone: ZoneInfo) -> datetime:
    """Whole days, and times without a zone, are those of the schedule's zone."""
    if not isinstance(when, datetime):
        return datetime(when.year, when.month, when.day, tzinfo=zone).astimezone(UTC)
    return (when if when.tzinfo is not None else when.replace(tzinfo=zone)).astimezone(UTC)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
