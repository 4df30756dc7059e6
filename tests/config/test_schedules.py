"""Windows in local time: clocks that change, weekdays, midnight, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import schedules
from config.schedules import Schedule, Window, window_problems

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shown(at_ms: int | None, zone: str) -> str:
    return "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)):%m-%d %H:%M%z}"


def spans(count: int, at: str, zone: str, **window: Any) -> list[tuple[str, str]]:
    """The first spans that end after `at` (UTC), in local time."""
    rule = Window(zone=zone, **window)
    assert not list(window_problems("w", rule))
    schedule, found, at_ms = Schedule(rule), [], utc(at)
    while len(found) < count:
        span = schedule.next(at_ms)
        assert span is not None
        assert span.end is not None
        assert schedule.at(span.start) == span
        assert schedule.at(span.end - 1) is not None
        found.append((shown(span.start, zone), shown(span.end, zone)))
        at_ms = span.end
    return found


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        (BERLIN, "2026-03-27T23:00", [("03-28 02:30+0100", "03-28 03:30+0100"),
                                      ("03-29 03:30+0200", "03-29 04:30+0200"),
                                      ("03-30 02:30+0200", "03-30 03:30+0200")]),
        (BERLIN, "2026-10-23T23:00", [("10-24 02:30+0200", "10-24 03:30+0200"),
                                      ("10-25 02:30+0200", "10-25 02:30+0100"),
                                      ("10-26 02:30+0100", "10-26 03:30+0100")]),
        (NEW_YORK, "2026-03-07T06:00", [("03-07 02:30-0500", "03-07 03:30-0500"),
                                        ("03-08 03:30-0400", "03-08 04:30-0400"),
                                        ("03-09 02:30-0400", "03-09 03:30-0400")]),
        (NEW_YORK, "2026-10-31T05:00", [("10-31 02:30-0400", "10-31 03:30-0400"),
                                        ("11-01 02:30-0500", "11-01 03:30-0500"),
                                        ("11-02 02:30-0500", "11-02 03:30-0500")]),
    ],
)  # fmt: skip
def test_a_window_keeps_its_local_time_when_clocks_change(zone: str, at: str, expected: Any) -> None:
    """Skipped times are read with the offset before; those that come twice mean the first (RFC 5545)."""
    window = {"from_": "2026-01-01T02:30", "rrule": "FREQ=DAILY", "duration": "1h"}
    assert spans(3, at, zone, **window) == expected


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [(BERLIN, "2026-03-28T12:00", 7), (BERLIN, "2026-10-24T12:00", 9),
     (NEW_YORK, "2026-03-07T12:00", 7), (NEW_YORK, "2026-10-31T12:00", 9)],
)  # fmt: skip
def test_a_window_across_midnight_ends_by_the_clock_on_the_wall(zone: str, at: str, hours: int) -> None:
    """22:00 to 06:00 in the night in which clocks change is an hour shorter or longer."""
    window = Window(from_="2026-01-01T22:00", rrule="FREQ=DAILY", to="06:00", zone=zone)
    span = Schedule(window).next(utc(at))
    assert span is not None
    assert span.end is not None
    assert span.end - span.start == hours * 3_600_000
    assert shown(span.start, zone)[6:11] == "22:00"
    assert shown(span.end, zone)[6:11] == "06:00"


def test_the_last_sunday_of_the_month() -> None:
    """March's and October's are those on which clocks change in Europe."""
    window = {"from_": "2026-01-25T20:00", "rrule": "FREQ=MONTHLY;BYDAY=-1SU", "duration": "2h"}
    found = spans(10, "2026-01-01", BERLIN, **window)
    assert [start[:5] for start, _ in found] == [
        "01-25", "02-22", "03-29", "04-26", "05-31", "06-28", "07-26", "08-30", "09-27", "10-25",
    ]  # fmt: skip
    assert {start[6:11] for start, _ in found} == {"20:00"}


def test_weekdays_and_until() -> None:
    """UNTIL in UTC, as the standard wants it, and `until` of the window: none begins after."""
    rule = "FREQ=WEEKLY;BYDAY=SA,SU;UNTIL=20260110T230000Z"
    window = {"from_": "2026-01-03T00:00", "rrule": rule, "to": "08:00"}
    found = spans(3, "2026-01-01", BERLIN, **window)
    assert [start for start, _ in found] == ["01-03 00:00+0100", "01-04 00:00+0100", "01-10 00:00+0100"]
    schedule = Schedule(Window(zone=BERLIN, **window))
    # 23:00 UTC on the 10th is midnight in Berlin, the start of the 11th: still in.
    assert schedule.next(utc("2026-01-10T12:00")) == schedule.at(utc("2026-01-11T00:00"))
    assert schedule.next(utc("2026-01-12T00:00")) is None
    cut = Schedule(Window(from_="2026-01-03", until="2026-01-04", rrule="FREQ=DAILY", to="08:00"))
    assert cut.at(utc("2026-01-03T04:00"))
    assert cut.at(utc("2026-01-04T04:00")) is None


def test_a_window_without_recurrence() -> None:
    """From is in, until is out; each may be left out; an offset wins over the zone."""
    both = Schedule(Window(from_="2026-03-29T02:30", until="2026-03-29T04:00+00:00", zone=BERLIN))
    assert both.at(utc("2026-03-29T01:30"))
    assert both.at(utc("2026-03-29T01:29")) is None
    assert both.at(utc("2026-03-29T03:59"))
    assert both.at(utc("2026-03-29T04:00")) is None
    assert Schedule(Window()).at(0) == (0, None)


def test_occurrences_that_overlap_hold_to_the_last_end() -> None:
    """Daily, three days each."""
    schedule = Schedule(Window(from_="2026-01-01", rrule="FREQ=DAILY;COUNT=4", duration="3d"))
    span = schedule.at(utc("2026-01-03T12:00"))
    assert span is not None
    assert span.end == utc("2026-01-06")
    assert schedule.at(utc("2026-01-07")) is None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from((BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe", "Asia/Kolkata")),
    st.integers(0, 23), st.sampled_from((0, 15, 30, 59)), st.integers(1, 30 * 60),
    st.lists(st.integers(0, 365 * 24 * 60), min_size=1, max_size=8),
)  # fmt: skip
def test_whatever_it_is_asked_first_the_answers_are_the_same(
    zone: str, hour: int, minute: int, length: int, asked: list[int]
) -> None:
    """And those of a look at every single day: in a span is what began within its length."""
    window = Window(
        from_=f"2026-01-01T{hour:02}:{minute:02}", rrule="FREQ=DAILY", duration=f"{length}m", zone=zone
    )
    schedule, first = Schedule(window), utc("2026-01-01")
    for minutes in asked:
        at_ms = first + minutes * 60_000
        span = schedule.at(at_ms)
        assert span == Schedule(window).at(at_ms)
        starts = []
        for day in range(-3, 3):
            local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).date() + timedelta(days=day)
            if local.year >= 2026:
                start = datetime(local.year, local.month, local.day, hour, minute, tzinfo=ZoneInfo(zone))
                starts.append(round(start.timestamp() * 1000))
        inside = [start for start in starts if start <= at_ms < start + length * 60_000]
        assert (span is not None) == bool(inside)
        if span is not None:
            assert span.start == max(inside)


def test_what_never_ends_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more occurrences than stated, however far one looks."""
    monkeypatch.setattr(schedules, "MOST_OCCURRENCES", 500)
    window = Window(
        from_="2000-01-01", rrule="FREQ=DAILY;BYHOUR=0,6,12,18;BYMINUTE=0,15,30,45", duration="1m"
    )
    schedule = Schedule(window)
    assert schedule.at(utc("2099-01-01")) is None
    assert len(schedule._starts) == 500


@pytest.mark.parametrize(
    ("window", "key", "expected"),
    [
        ({"zone": "Berlin"}, "zone", "an IANA time zone"),
        ({"from_": "tomorrow"}, "from", "a time such as"),
        ({"from_": "2026-01-02", "until": "2026-01-01"}, "until", "a time after from"),
        ({"duration": "1h"}, "duration", "nothing without rrule"),
        ({"rrule": "FREQ=DAILY", "to": "06:00"}, "from", "with rrule the first occurrence"),
        ({"from_": "2026-01-01", "rrule": "FREQ=DAILY", "to": "24:00"}, "to", "a time of day"),
        ({"from_": "2026-01-01", "rrule": "FREQ=DAILY", "duration": "0s"}, "duration", "a duration such as"),
        ({"from_": "2026-01-01", "rrule": "FREQ=DAILY;INTERVAL=0", "to": "06:00"}, "rrule", "an RFC 5545"),
        ({"from_": "2026-01-01", "rrule": "FREQ=MINUTELY", "to": "06:00"}, "rrule", "an RFC 5545"),
        ({"from_": "2026-01-01", "rrule": "EVERY DAY", "to": "06:00"}, "rrule", "an RFC 5545"),
        ({"from_": "2026-01-01", "rrule": "FREQ=DAILY;UNTIL=20269999", "to": "06:00"}, "rrule",
         "an RFC 5545"),
        ({"from_": "2026-01-01", "rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "to": "06:00"}, "rrule",
         "a recurrence that comes at least once"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(window: dict[str, str], key: str, expected: str) -> None:
    """Key and what was expected."""
    found, _, wanted = next(iter(window_problems("w", Window(**window))))
    assert found == f"w.{key}"
    assert wanted.startswith(expected)
