"""What follows from incidents: service levels, deadlines of contracts and regulations, who is asked and when.

Durations are texts (15m, 4h, 3d); times of day are HH:MM in the zone beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from config.durations import millis
from config.matchers import parse

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


class Problem(NamedTuple):
    """What is wrong with a setting."""

    key: str
    value: Any
    expected: str


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a service level clock runs; it stands still in between."""

    zone: str = "UTC"
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri")
    from_: str = msgspec.field(name="from", default="08:00")
    to: str = "18:00"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Service level of one severity. Empty: no such clock."""

    respond: str = ""
    resolve: str = ""
    hours: Hours | None = None
    """None: around the clock"""


class CustomerNotice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A contract: customers are told within so much time of incidents that all matchers hold of."""

    name: str
    within: str
    matchers: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Incidents that all matchers hold of go to a team. The first route that fits decides."""

    team: str
    matchers: tuple[str, ...]


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody stands in. ISO 8601, in the schedule's zone unless it says otherwise."""

    person: str
    from_: str = msgspec.field(name="from")
    until: str


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is on call: a rotation, or a calendar file (iCalendar) whose events are named after people."""

    name: str
    zone: str = "UTC"
    people: tuple[str, ...] = ()
    """in turn"""
    start: str = ""
    """first hand-over, ISO 8601 without a zone; its time of day is that of each hand-over"""
    every: Annotated[int, Meta(ge=1, le=366)] = 7
    """days"""
    overrides: tuple[Override, ...] = ()
    calendar: str = ""
    """path of a file, from the settings file's folder"""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is asked, and for how long before the next tier is."""

    to: tuple[str, ...]
    """names of schedules, teams or people"""
    wait: str = "15m"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an incident is escalated until somebody acknowledges it."""

    name: str
    teams: tuple[str, ...] = ()
    """whose incidents; none: of all teams that have no policy of their own"""
    min_severity: Literal["info", "warning", "error", "critical"] = "info"
    tiers: tuple[Tier, ...] = ()


class Respond(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The respond stage."""

    sla: dict[Literal["info", "warning", "error", "critical"], Target] = msgspec.field(
        default_factory=lambda: {
            "critical": Target(respond="15m", resolve="4h"),
            "error": Target(respond="1h", resolve="1d"),
            "warning": Target(respond="8h", resolve="5d"),
        }
    )
    """by severity"""
    warn_share: Annotated[float, Meta(gt=0, lt=1)] = 0.8
    """share of the time after which a clock warns"""
    customer_notices: tuple[CustomerNotice, ...] = ()
    zone: str = "UTC"
    """in which the months of regulations are counted"""
    regulations: tuple[Literal["gdpr", "nis2", "dora"], ...] = ("gdpr", "nis2", "dora")
    """whose clocks run, for services of which the catalogue says that they fall under them"""
    routes: tuple[Route, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    policies: tuple[Policy, ...] = ()


def problems(respond: Respond) -> Iterator[Problem]:
    """What the types alone cannot say, in order."""
    yield from _zone("respond.zone", respond.zone)
    for severity, target in respond.sla.items():
        key = f"respond.sla.{severity}"
        for name, text in (("respond", target.respond), ("resolve", target.resolve)):
            if text:
                yield from _duration(f"{key}.{name}", text)
        if target.hours is not None:
            yield from _hours(f"{key}.hours", target.hours)
    for i, notice in enumerate(respond.customer_notices):
        key = f"respond.customer_notices[{i}]"
        yield from _duration(f"{key}.within", notice.within)
        yield from _matchers(f"{key}.matchers", notice.matchers)
    for i, route in enumerate(respond.routes):
        yield from _matchers(f"respond.routes[{i}].matchers", route.matchers)
    yield from _distinct("respond.customer_notices", [n.name for n in respond.customer_notices])
    yield from _distinct("respond.schedules", [s.name for s in respond.schedules])
    yield from _distinct("respond.policies", [p.name for p in respond.policies])
    for i, schedule in enumerate(respond.schedules):
        yield from _schedule(f"respond.schedules[{i}]", schedule)
    for i, policy in enumerate(respond.policies):
        if not policy.tiers:
            yield Problem(f"respond.policies[{i}].tiers", [], "at least one tier")
        for j, tier in enumerate(policy.tiers):
            key = f"respond.policies[{i}].tiers[{j}]"
            yield from _duration(f"{key}.wait", tier.wait)
            if not tier.to:
                yield Problem(f"{key}.to", [], "at least one schedule, team or person")


def _schedule(key: str, schedule: Schedule) -> Iterator[Problem]:
    yield from _zone(f"{key}.zone", schedule.zone)
    if bool(schedule.people) == bool(schedule.calendar):
        yield Problem(f"{key}.people", list(schedule.people), "people, or a calendar, and not both")
    if schedule.people:
        yield from _moment(f"{key}.start", schedule.start)
    for i, override in enumerate(schedule.overrides):
        yield from _moment(f"{key}.overrides[{i}].from", override.from_)
        yield from _moment(f"{key}.overrides[{i}].until", override.until)
        if override.from_ >= override.until:
            yield Problem(
                f"{key}.overrides[{i}].until", override.until, f"later than from ({override.from_})"
            )


def _hours(key: str, hours: Hours) -> Iterator[Problem]:
    yield from _zone(f"{key}.zone", hours.zone)
    for name, text in (("from", hours.from_), ("to", hours.to)):
        if not _CLOCK.fullmatch(text):
            yield Problem(f"{key}.{name}", text, "a time of day, HH:MM")
    if hours.from_ >= hours.to:
        yield Problem(f"{key}.to", hours.to, f"later than from ({hours.from_})")
    if not hours.days:
        yield Problem(f"{key}.days", [], "at least one day")


def _zone(key: str, name: str) -> Iterator[Problem]:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        yield Problem(key, name, "a time zone such as Europe/Berlin")


def _duration(key: str, text: str) -> Iterator[Problem]:
    try:
        if millis(text) < 1:
            yield Problem(key, text, "more than nothing")
    except ValueError as error:
        yield Problem(key, text, str(error))


def _matchers(key: str, texts: tuple[str, ...]) -> Iterator[Problem]:
    for text in texts:
        try:
            parse(text)
        except ValueError as error:
            yield Problem(key, text, str(error))


def _moment(key: str, text: str) -> Iterator[Problem]:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        yield Problem(key, text, "a date and time such as 2026-03-02T09:00")


def _distinct(key: str, names: list[str]) -> Iterator[Problem]:
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Problem(key, name, "distinct names")
