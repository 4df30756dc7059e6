"""Who is on call, by schedule and by policy, and what is wrong with schedules. Calendars are read here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from config.response import Policy, Respond, Tier
from correlator.oncall import CalendarError, Duty, Shift, calendar_of, duty, overrides_of

MOST_OVERRIDES = 20


class OnDuty(NamedTuple):
    """One schedule."""

    name: str
    key: str
    zone: str
    duty: Duty | None
    overrides: list[Shift]
    trouble: str
    """why it is not known who is on call, or empty"""


class Asked(NamedTuple):
    """One tier of a policy, and whom it reaches now."""

    tier: Tier
    people: list[tuple[str, str]]
    """name in the file, who that is now (empty: nobody)"""


class Escalation(NamedTuple):
    """One policy."""

    policy: Policy
    key: str
    tiers: list[Asked]


def on_duty(respond: Respond, at_ms: int) -> list[OnDuty]:
    """All schedules, in the order of the file."""
    found = []
    for i, schedule in enumerate(respond.schedules):
        now: Duty | None = None
        trouble = ""
        try:
            now = duty(schedule, at_ms, calendar_of(schedule))
        except CalendarError as error:
            trouble = str(error)
        overrides = overrides_of(schedule, at_ms)[:MOST_OVERRIDES]
        found.append(OnDuty(schedule.name, f"respond.schedules[{i}]", schedule.zone, now, overrides, trouble))
    return found


def escalations(respond: Respond, schedules: list[OnDuty]) -> list[Escalation]:
    """Policies with the people of their schedules. Other names stand for themselves."""
    known = {one.name: one for one in schedules}

    def who(name: str) -> str:
        one = known.get(name)
        return name if one is None else ", ".join(one.duty.people) if one.duty else ""

    return [
        Escalation(
            policy,
            f"respond.policies[{i}]",
            [Asked(tier, [(name, who(name)) for name in tier.to]) for tier in policy.tiers],
        )
        for i, policy in enumerate(respond.policies)
    ]


def local(at_ms: int | None, zone: str) -> str:
    """A moment on the clock of a zone: Mon 2026-03-02 09:00."""
    if at_ms is None:
        return "–"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"
