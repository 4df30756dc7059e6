"""When a silence or a maintenance window holds: from and until, or an RFC 5545 recurrence in a time zone.

Recurrences are computed in local time, then placed on the time line by the zone's rules, so that a window
at 02:00 stays at 02:00 when clocks change. As RFC 5545 (3.3.5) has it, a local time that is skipped is read
with the offset before the gap (02:30 becomes 03:30), and one that comes twice means the first.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from dateutil.rrule import rrulestr

from config.durations import EXPECTED, millis

MOST_OCCURRENCES = 50_000
"""of one recurrence; it ends after them"""
_MOST_SPANS = 1_000
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_SLACK = _DAY
"""local time and the time line disagree by less than this, whatever clocks do"""
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_LISTS = {
    "BYDAY": (r"[+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU)", 50),
    "BYMONTHDAY": (r"[+-]?\d{1,2}", 31),
    "BYMONTH": (r"\d{1,2}", 12),
    "BYSETPOS": (r"[+-]?\d{1,3}", 31),
    "BYHOUR": (r"\d{1,2}", 24),
    "BYMINUTE": (r"\d{1,2}", 4),
}
"""part -> form of one value, and how many of them at most"""
_UNTIL = re.compile(r"(\d{8})(T\d{6})?(Z?)")
_TO = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
EXPECTED_TIME = "a time such as 2026-03-29T22:00, in the zone, or with an offset: 2026-03-29T20:00Z"
EXPECTED_RULE = (
    "an RFC 5545 recurrence such as FREQ=WEEKLY;BYDAY=SA,SU or FREQ=MONTHLY;BYDAY=-1SU, of the parts FREQ "
    f"({', '.join(FREQUENCIES)}), INTERVAL, COUNT, UNTIL, WKST, {', '.join(_LISTS)}"
)
_FAR_YEARS = 7_600
"""19 times the 400 years after which the Gregorian calendar repeats. dateutil looks for the next occurrence
up to the year 9999; moved there, a rule that never comes is found out in tenths of a second, not in many."""


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When something holds. Without anything: always."""

    from_: str = msgspec.field(default="", name="from")
    """with `rrule`: the first occurrence, whose time of day the others have"""
    until: str = ""
    """with `rrule`: no occurrence begins at or after this"""
    rrule: str = ""
    duration: str = ""
    """of each occurrence, in elapsed time"""
    to: str = ""
    """HH:MM instead of `duration`: when each occurrence ends by the clock on the wall"""
    zone: str = "UTC"
    """IANA time zone"""


class Span(NamedTuple):
    """start <= t < end, ms UTC; None: no end."""

    start: int
    end: int | None


def window_problems(key: str, window: Window) -> Iterator[tuple[str, str, str]]:
    """Key, value and what was expected, in order; nothing when `Schedule` can be made of it."""
    zone = _zone(window.zone)
    if zone is None:
        yield f"{key}.zone", window.zone, "an IANA time zone such as Europe/Berlin"
        return
    times: dict[str, int] = {}
    for name, text in (("from", window.from_), ("until", window.until)):
        if text:
            try:
                times[name] = _moment(text, zone)
            except ValueError as error:
                yield f"{key}.{name}", text, str(error)
                return
    if len(times) == 2 and times["until"] <= times["from"]:
        yield f"{key}.until", window.until, f"a time after from ({window.from_})"
    if not window.rrule:
        for name, text in (("duration", window.duration), ("to", window.to)):
            if text:
                yield f"{key}.{name}", text, "nothing without rrule: say until"
        return
    if not window.from_:
        yield f"{key}.from", window.from_, f"with rrule the first occurrence: {EXPECTED_TIME}"
        return
    if bool(window.duration) == bool(window.to):
        yield f"{key}.duration", window.duration, "with rrule either duration or to"
    if window.duration and _length(window.duration) is None:
        yield f"{key}.duration", window.duration, f"{EXPECTED}, more than 0"
    if window.to and not _TO.fullmatch(window.to):
        yield f"{key}.to", window.to, "a time of day such as 06:00"
    try:
        rule = _starts(window.rrule, _local(window.from_, zone), zone)
    except ValueError as error:
        yield f"{key}.rrule", window.rrule, str(error)
        return
    if next(rule, None) is None:
        yield f"{key}.rrule", window.rrule, "a recurrence that comes at least once"


class Schedule:
    """The spans of a window that `window_problems` has nothing against. What it has computed it remembers."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._zone = _zone(window.zone) or ZoneInfo("UTC")
        self._from = _moment(window.from_, self._zone) if window.from_ else 0
        self._until = _moment(window.until, self._zone) if window.until else None
        self._last = None if self._until is None else self._here(self._until) + _SLACK
        self._starts: list[datetime] = []
        """of a recurrence, in local time, in order"""
        self._spans: dict[int, Span | None] = {}
        """by index in `_starts`: only those somebody asked for are put on the time line"""
        self._rest: Iterator[datetime] | None = None
        if window.rrule:
            self._rest = _starts(window.rrule, _local(window.from_, self._zone), self._zone)
        longest = timedelta(milliseconds=_length(window.duration) or 0) if window.duration else _DAY
        self._reach = longest + _SLACK

    @property
    def recurs(self) -> bool:
        return bool(self._window.rrule)

    def at(self, at_ms: int) -> Span | None:
        """The span that holds at `at_ms`; of several the one that ends last."""
        if not self.recurs:
            holds = self._from <= at_ms and (self._until is None or at_ms < self._until)
            return Span(self._from, self._until) if holds else None
        here = self._here(at_ms)
        self._make(here + _SLACK)
        found: Span | None = None
        for i in range(bisect_left(self._starts, here - self._reach), len(self._starts)):
            if self._starts[i] > here + _SLACK:
                break
            span = self._span(i)
            if span is not None and span.end is not None and span.start <= at_ms < span.end:
                found = max(found or span, span, key=lambda one: one.end or 0)
        return found

    def next(self, at_ms: int) -> Span | None:
        """The span that holds at `at_ms`, or else the next one."""
        holding = self.at(at_ms)
        if holding is not None or not self.recurs:
            return holding or (Span(self._from, self._until) if at_ms < self._from else None)
        i = bisect_left(self._starts, self._here(at_ms) - _SLACK)
        while True:
            if i == len(self._starts):
                self._make(self._starts[-1] + _TICK if self._starts else self._here(at_ms))
                if i == len(self._starts):
                    return None
            span = self._span(i)
            if span is not None and span.start > at_ms:
                return span
            i += 1

    def over_ms(self) -> int | None:
        """When a window without recurrence is over for good; None: never, or not known."""
        return None if self.recurs else self._until

    def _here(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self._zone).replace(tzinfo=None)

    def _make(self, to: datetime) -> None:
        """Starts up to the first one at or after `to`."""
        while self._rest is not None and not (self._starts and self._starts[-1] >= to):
            start = next(self._rest, None)
            late = start is not None and self._last is not None and start > self._last
            if start is None or late or len(self._starts) >= MOST_OCCURRENCES:
                self._rest = None
            else:
                self._starts.append(start)

    def _span(self, i: int) -> Span | None:
        """None when clocks skip it altogether, or when it would begin too late."""
        if i not in self._spans:
            if len(self._spans) >= _MOST_SPANS:
                self._spans.clear()
            start_ms = _ms(self._starts[i], self._zone)
            end_ms = self._end(self._starts[i], start_ms)
            late = self._until is not None and start_ms >= self._until
            self._spans[i] = None if late or end_ms <= start_ms else Span(start_ms, end_ms)
        return self._spans[i]

    def _end(self, start: datetime, start_ms: int) -> int:
        if not self._window.to:
            return start_ms + (_length(self._window.duration) or 0)
        clock = time.fromisoformat(self._window.to)
        day = start.date() if clock > start.time() else start.date() + _DAY
        return _ms(datetime.combine(day, clock), self._zone)


@lru_cache(256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # unknown, malformed, or the name of a folder
        return None


def _ms(local: datetime, zone: ZoneInfo) -> int:
    return round(local.replace(tzinfo=zone, fold=0).timestamp() * 1000)


def _parsed(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(EXPECTED_TIME) from None
    if not 1970 <= found.year < 2100 or (found.year == 1970 and found.timetuple().tm_yday == 1):
        raise ValueError(f"{EXPECTED_TIME}, between 1970 and 2100")
    return found


def _moment(text: str, zone: ZoneInfo) -> int:
    """ms UTC. Raises `ValueError` that says what was expected."""
    found = _parsed(text)
    return _ms(found, zone) if found.tzinfo is None else round(found.timestamp() * 1000)


def _local(text: str, zone: ZoneInfo) -> datetime:
    """Time on the wall in `zone`, without zone."""
    found = _parsed(text)
    return found if found.tzinfo is None else found.astimezone(zone).replace(tzinfo=None)


def _length(text: str) -> int | None:
    try:
        return millis(text) or None
    except ValueError:
        return None


def _starts(text: str, first: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Local starts in order. Raises `ValueError` that says what was expected."""
    far = first.replace(year=first.year + _FAR_YEARS)
    try:
        rule = rrulestr(";".join(_checked(text, zone)), dtstart=far)
    except ValueError as error:
        raise ValueError(
            str(error) if str(error) == EXPECTED_RULE else f"{EXPECTED_RULE} ({error})"
        ) from None
    return (found.replace(year=found.year - _FAR_YEARS) for found in rule)


def _checked(text: str, zone: ZoneInfo) -> Iterator[str]:
    """The parts of a rule, each one known, with UNTIL in local time and moved as the rest is."""
    seen = set()
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, _, value = part.partition("=")
        if name in seen or not _fine(name, value):
            raise ValueError(EXPECTED_RULE)
        seen.add(name)
        if name == "UNTIL":
            part = _far_until(value, zone)
        yield part
    if "FREQ" not in seen:
        raise ValueError(EXPECTED_RULE)


def _fine(name: str, value: str) -> bool:
    if name == "FREQ":
        return value in FREQUENCIES
    if name in ("INTERVAL", "COUNT"):
        return re.fullmatch(r"[1-9]\d{0,4}", value) is not None
    if name == "WKST":
        return value in ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    if name == "UNTIL":
        return _UNTIL.fullmatch(value) is not None
    form, most = _LISTS.get(name, ("", 0))
    values = value.split(",")
    return 0 < len(values) <= most and all(re.fullmatch(form, one) for one in values)


def _far_until(value: str, zone: ZoneInfo) -> str:
    """RFC 5545 wants UTC here; a date alone includes that day, as calendars have it."""
    day, clock, utc = re.fullmatch(_UNTIL, value).groups()  # type: ignore[union-attr]
    found = datetime.strptime(day + (clock or "T235959"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - zone follows
    if utc:
        found = found.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    if found.year + _FAR_YEARS > 9999:
        found = found.replace(year=9999 - _FAR_YEARS, month=12, day=31)
    return f"UNTIL={found.replace(year=found.year + _FAR_YEARS):%Y%m%dT%H%M%S}"
