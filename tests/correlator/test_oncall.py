"""Who is on call: rotations over nights in which clocks change, stand-ins, calendars."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.response import Schedule
from correlator.oncall import CalendarError, on_call, read_calendar

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp() * 1000)


def rotation(**more: object) -> Schedule:
    raw = {
        "name": "r",
        "zone": "Europe/Berlin",
        "people": ["ann", "bob"],
        "start": "2026-03-23T09:00",
        "every": 7,
    }
    return msgspec.convert(raw | more, Schedule)


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ("2026-03-23T09:00", "ann"),
        ("2026-03-30T08:59", "ann"),  # summer time began the day before: 9 o'clock stays 9 o'clock
        ("2026-03-30T09:00", "bob"),
        ("2026-04-06T09:00", "ann"),
        ("2026-10-26T08:59", "ann"),
        ("2026-10-26T09:00", "bob"),  # and after it ended
        ("2026-03-23T08:59", "bob"),  # before the first hand-over the rotation is taken to have gone on
    ],
)
def test_hand_overs_keep_their_time_of_day(when: str, who: str) -> None:
    """Each Monday at nine, local time."""
    (shift,) = on_call(rotation(), at(when), {})
    assert shift.person == who
    assert shift.from_ms is not None
    assert shift.until_ms is not None
    assert shift.from_ms <= at(when) < shift.until_ms


def test_a_stand_in_replaces_the_rotation_for_as_long() -> None:
    """Then it is the turn of whoever's turn it is."""
    override = {"person": "zoe", "from": "2026-03-24T00:00", "until": "2026-03-25T00:00"}
    one = rotation(overrides=[override])
    people = [
        on_call(one, at(t), {})[0].person
        for t in ("2026-03-23T23:59", "2026-03-24T00:00", "2026-03-25T00:00")
    ]
    assert people == ["ann", "zoe", "ann"]


CALENDAR = b"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20260323T180000
DTEND;TZID=Europe/Berlin:20260324T080000
RRULE:FREQ=DAILY;COUNT=10
SUMMARY:Ann
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTAMP:20260101T000000Z
DTSTART:20260401T060000Z
DTEND:20260401T160000Z
SUMMARY:day shift
ATTENDEE;CN=Bob:mailto:bob@example.org
ATTENDEE:mailto:cleo@example.org
END:VEVENT
END:VCALENDAR
""".replace(b"\n", b"\r\n")


def test_calendars_name_people_by_summary_or_attendee() -> None:
    """Recurrences are expanded, in their own zone, also after summer time began."""
    one = msgspec.convert({"name": "c", "calendar": "x.ics"}, Schedule)
    calendars = {"c": CALENDAR}

    def people(when: str) -> list[str]:
        return [shift.person for shift in on_call(one, at(when), calendars)]

    assert people("2026-03-24T03:00") == ["Ann"]
    assert people("2026-03-30T07:59") == ["Ann"]
    assert people("2026-03-30T12:00") == []
    assert people("2026-04-01T09:00") == ["Bob", "cleo@example.org"]


def test_whole_days_are_those_of_the_schedules_zone() -> None:
    """From midnight in Berlin, not in Greenwich."""
    day = b"BEGIN:VEVENT\r\nUID:3\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:20260710\r\n"
    day += b"DTEND;VALUE=DATE:20260711\r\nSUMMARY:Zoe\r\nEND:VEVENT\r\nEND:VCALENDAR"
    raw = CALENDAR.replace(b"END:VCALENDAR", day)
    one = msgspec.convert({"name": "c", "calendar": "x.ics", "zone": "Europe/Berlin"}, Schedule)
    found = [
        [shift.person for shift in on_call(one, at(when), {"c": raw})]
        for when in ("2026-07-09T23:59", "2026-07-10T00:00", "2026-07-10T23:59", "2026-07-11T00:00")
    ]
    assert found == [[], ["Zoe"], ["Zoe"], []]


def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(CalendarError, match=r"none\.ics"):
        read_calendar(tmp_path / "none.ics")
    (tmp_path / "bad.ics").write_text("hello")
    with pytest.raises(CalendarError, match=r"bad\.ics"):
        read_calendar(tmp_path / "bad.ics")
    (tmp_path / "good.ics").write_bytes(CALENDAR)
    assert read_calendar(tmp_path / "good.ics") == CALENDAR


@given(hours=st.integers(0, 24 * 800), every=st.integers(1, 30))
def test_somebody_is_always_on_call(hours: int, every: int) -> None:
    """No gap and no overlap at any hour of two years: the shift found holds the moment."""
    moment = at("2026-01-01T00:00") + hours * 3_600_000
    (shift,) = on_call(rotation(every=every), moment, {})
    assert shift.from_ms is not None
    assert shift.until_ms is not None
    assert shift.from_ms <= moment < shift.until_ms
    (following,) = on_call(rotation(every=every), shift.until_ms, {})
    assert following.from_ms == shift.until_ms
