"""Deadlines against tables worked out by hand: pauses, business hours, nights when clocks change, months."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.response import CustomerNotice, Hours, Respond, Target
from correlator.case import Case, case_of
from correlator.clocks import Policy, clock, deadlines, month_after, next_change, state
from correlator.hours import reached, running
from correlator.incident import Filing, Pause
from tests.sinks.make import incident

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR = 60_000, 3_600_000


def at(text: str) -> int:
    """ms UTC of a local time in Berlin; with an offset where it is there twice."""
    found = datetime.fromisoformat(text)
    return round((found if found.tzinfo else found.replace(tzinfo=BERLIN)).timestamp() * 1000)


def case(**fields: object) -> Case:
    """A critical incident of `bank`, opened at 10:00 on a Wednesday."""
    base = case_of(incident())
    opened = at("2026-03-04T10:00")
    plain = {"severity": "critical", "opened_at": opened, "updated_at": opened, "services": ("bank",)}
    return msgspec.structs.replace(base, **(plain | fields))


def policy(**settings: object) -> Policy:
    given = Respond(**({"zone": "Europe/Berlin"} | settings))  # type: ignore[arg-type]
    return Policy(given, {"bank": ("gdpr", "nis2", "dora")})


def found(one: Case, rules: Policy | None = None) -> dict[str, tuple[int, int, int | None]]:
    """Name -> start, due, stop."""
    return {d.name: (d.start_ms, d.due_ms, d.stopped_ms) for d in deadlines(one, rules or policy())}


OPEN = at("2026-03-04T10:00")
DAY_HOURS = msgspec.convert({"zone": "Europe/Berlin", "from": "09:00", "to": "17:00"}, Hours)


@pytest.mark.parametrize(
    ("start", "hours_of_work", "due"),
    [
        ("2026-03-04T10:00", 4, "2026-03-04T14:00"),
        ("2026-03-04T15:00", 4, "2026-03-05T11:00"),  # two hours today, two tomorrow
        ("2026-03-06T16:00", 2, "2026-03-09T10:00"),  # over a weekend
        ("2026-03-07T12:00", 1, "2026-03-09T10:00"),  # opened on a Saturday
        ("2026-03-27T16:00", 9, "2026-03-30T17:00"),  # over the night in which an hour is left out
        ("2026-10-23T16:00", 9, "2026-10-26T17:00"),  # and that in which one is there twice
    ],
)
def test_business_hours_count_on_the_wall_clock(start: str, hours_of_work: int, due: str) -> None:
    """From 9 to 17 in Berlin, Monday to Friday, whatever happens at night."""
    assert reached(at(start), hours_of_work * HOUR, DAY_HOURS, ()) == at(due)


def test_around_the_clock_an_hour_is_an_hour_in_the_longest_night() -> None:
    """Four hours from midnight of 25 October end at 3 o'clock: one hour is there twice."""
    start = at("2026-10-25T00:00")
    assert reached(start, 4 * HOUR, None, ()) == at("2026-10-25T03:00")
    assert reached(at("2026-03-29T00:00"), 4 * HOUR, None, ()) == at("2026-03-29T05:00")


def test_a_clock_that_runs_at_night_counts_what_passes() -> None:
    """Business hours from 0 to 6: seven hours pass in the longest night, five in the shortest."""
    night = msgspec.convert({"zone": "Europe/Berlin", "from": "00:00", "to": "06:00", "days": ["sun"]}, Hours)
    for day, hours in (("2026-10-25", 7), ("2026-03-29", 5), ("2026-03-01", 6)):
        begin, end = next(iter(running(at(f"{day}T00:00"), night, ())))
        assert (end - begin) / HOUR == hours


def test_pauses_put_off_what_is_due() -> None:
    """Only while it runs, each once, however they overlap; one that begins after the stop counts nothing."""
    pauses = (
        Pause(OPEN + 10 * MINUTE, OPEN + 40 * MINUTE, "x", "y"),
        Pause(OPEN + 30 * MINUTE, OPEN + 50 * MINUTE, "x", "y"),
    )
    one = case(pauses=pauses)
    assert found(one)["sla resolve"] == (OPEN, OPEN + 4 * HOUR + 40 * MINUTE, None)
    stopped = case(pauses=pauses, acknowledged_at=OPEN + 5 * MINUTE)
    assert found(stopped)["sla respond"] == (OPEN, OPEN + 15 * MINUTE, OPEN + 5 * MINUTE)


def test_an_open_pause_holds_a_clock_that_is_not_over() -> None:
    """It stands still from there; one that had been missed before stays missed."""
    one = case(pauses=(Pause(OPEN + 20 * MINUTE, None, "x", "y"),))
    by_name = {d.name: d for d in deadlines(one, policy())}
    assert state(by_name["sla resolve"], OPEN + 10 * HOUR) == ("paused", OPEN + 20 * MINUTE)
    assert state(by_name["sla respond"], OPEN + 10 * HOUR) == ("missed", OPEN + 15 * MINUTE)


def test_how_it_stands_changes_at_its_own_moments() -> None:
    """Running, warned at 80 % of the time, missed when due; stopped late it stays missed."""
    (respond, *_) = deadlines(case(), policy())
    assert state(respond, OPEN + 11 * MINUTE) == ("running", OPEN)
    assert state(respond, OPEN + 12 * MINUTE) == ("warned", OPEN + 12 * MINUTE)
    assert state(respond, OPEN + 99 * MINUTE) == ("missed", OPEN + 15 * MINUTE)
    assert next_change(respond, OPEN) == OPEN + 12 * MINUTE
    assert next_change(respond, OPEN + 12 * MINUTE) == OPEN + 15 * MINUTE
    (late, *_) = deadlines(case(acknowledged_at=OPEN + 20 * MINUTE), policy())
    assert state(late, OPEN + 99 * MINUTE) == ("missed", OPEN + 20 * MINUTE)
    (just, *_) = deadlines(case(acknowledged_at=OPEN + 15 * MINUTE), policy())
    assert state(just, OPEN + 99 * MINUTE)[0] == "met"


def test_dora_counts_from_classification_at_most_a_day_from_awareness() -> None:
    """Four hours after classification; classified late, a day after awareness."""
    aware = OPEN
    soon = found(case(aware_at=aware, major_at=OPEN + HOUR))
    assert soon["dora initial"] == (OPEN + HOUR, OPEN + 5 * HOUR, None)
    late = found(case(aware_at=aware, major_at=OPEN + 22 * HOUR))
    assert late["dora initial"][1] == aware + 24 * HOUR
    later = found(case(aware_at=aware, major_at=OPEN + 30 * HOUR))  # classified later than that
    assert later["dora initial"][1] == OPEN + 34 * HOUR
    assert "dora intermediate" not in soon


def test_the_chain_counts_from_what_was_handed_in() -> None:
    """72 h after the initial report, a month after the intermediate one: from when they were submitted."""
    filings = (
        Filing("dora initial", OPEN + 3 * HOUR, "a"),
        Filing("dora intermediate", at("2026-03-06T12:30"), "a"),
    )
    chain = found(case(aware_at=OPEN, major_at=OPEN, filings=filings))
    assert chain["dora initial"] == (OPEN, OPEN + 4 * HOUR, OPEN + 3 * HOUR)
    assert chain["dora intermediate"] == (OPEN + 3 * HOUR, OPEN + 75 * HOUR, at("2026-03-06T12:30"))
    # A month later summer time has begun: 12:30 stays 12:30.
    assert chain["dora final"] == (at("2026-03-06T12:30"), at("2026-04-06T12:30"), None)


def test_nis2_and_gdpr_count_from_awareness() -> None:
    """24 h and 72 h from awareness, the final report a month after the notification; GDPR for security."""
    one = found(case(aware_at=OPEN, major_at=OPEN + HOUR, category="security incident"))
    assert one["nis2 early warning"][1] == OPEN + 24 * HOUR
    assert one["nis2 notification"][1] == OPEN + 72 * HOUR
    assert one["gdpr notification"] == (OPEN, OPEN + 72 * HOUR, None)
    assert "nis2 final report" not in one
    filed = (Filing("nis2 notification", at("2026-03-05T08:00"), "a"),)
    assert found(case(aware_at=OPEN, major_at=OPEN, filings=filed))["nis2 final report"][1] == at(
        "2026-04-05T08:00"
    )
    assert "gdpr notification" not in found(case(aware_at=OPEN, major_at=OPEN))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31T10:00", "2026-02-28T10:00"),
        ("2028-01-31T10:00", "2028-02-29T10:00"),
        ("2026-03-01T02:30", "2026-04-01T02:30"),
        ("2026-02-28T02:30", "2026-03-28T02:30"),
        ("2026-12-31T23:59", "2027-01-31T23:59"),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last(start: str, end: str) -> None:
    """The calendar's month, in the zone that is set."""
    assert month_after(at(start), BERLIN) == at(end)


def test_who_has_no_clocks() -> None:
    """Service requests, and what was merged; regulations only where the catalogue and settings say so."""
    assert found(case(kind="service request")) == {}
    assert found(case(state="merged")) == {}
    assert set(found(case(aware_at=OPEN, major_at=OPEN, services=("shop",)))) == {
        "sla respond",
        "sla resolve",
    }
    none = policy(regulations=(), sla={})
    assert found(case(aware_at=OPEN, major_at=OPEN), none) == {}


def test_customers_are_told_by_contract() -> None:
    """Only where the matchers hold; several contracts are several clocks."""
    both = (
        CustomerNotice(name="gold", within="2h", matchers=('severity="critical"',)),
        CustomerNotice(name="all", within="1d"),
        CustomerNotice(name="mail", within="1h", matchers=('service="mail"',)),
    )
    told = found(case(), policy(customer_notices=both, sla={}))
    assert {name: due - OPEN for name, (_, due, _) in told.items()} == {
        "customer notice gold": 2 * HOUR,
        "customer notice all": 24 * HOUR,
    }


def test_levels_are_those_of_the_severity() -> None:
    """Another severity, another time; one without a target has no clock."""
    rules = policy(sla={"error": Target(resolve="1h")})
    assert found(case(severity="error"), rules)["sla resolve"][1] == OPEN + HOUR
    assert found(case(severity="critical"), rules) == {}


@given(
    pauses=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 200)), max_size=6),
    length=st.integers(1, 1_000),
)
def test_time_that_counts_adds_up(pauses: list[tuple[int, int]], length: int) -> None:
    """Between start and due exactly the length lies outside of all pauses."""
    spans = [Pause(a * MINUTE, (a + b) * MINUTE, "x", "y") for a, b in pauses]
    due = reached(0, length * MINUTE, None, spans) // MINUTE
    counted = sum(not any(a <= minute < a + b for a, b in pauses) for minute in range(due))
    assert counted == length


def test_versions_grow_with_facts_and_with_time() -> None:
    """The same facts later: higher; newer facts: higher whatever time has made of the older ones."""
    one = case(version=5)
    (respond, *_) = deadlines(one, policy())
    early, late = (clock(one, respond, 5, now) for now in (OPEN, OPEN + HOUR))
    (stopped, *_) = deadlines(case(version=6, acknowledged_at=OPEN + MINUTE), policy())
    newer = clock(one, stopped, 6, OPEN)
    assert early.version < late.version < newer.version
    assert [c.state for c in (early, late, newer)] == ["running", "missed", "met"]
