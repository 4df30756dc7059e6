"""Who looks after an incident: its team, who is on call for it, and how far it has been escalated.

The team is the one a person assigned it to; else that of the first route whose matchers hold; else the owner
of the suspected cause, by the catalogue. Tiers of the escalation policy are asked one after the other, from
opening (or reopening) on, until somebody acknowledges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from config.durations import millis
from config.response import Policy, Respond, Tier
from correlator.case import Case
from correlator.oncall import on_call
from correlator.response import Notice
from correlator.selectors import Selector
from detectors.alert import SEVERITIES
from streams.records.digest import digest_hex


class Team(NamedTuple):
    """Whose it is, and why."""

    name: str
    reason: str


class Step(NamedTuple):
    """A tier of a policy for one incident."""

    at_ms: int
    tier: Tier


class Router:
    """The settings, read once."""

    def __init__(self, settings: Respond, calendars: Mapping[str, bytes]) -> None:
        """`calendars`: schedule -> its iCalendar file."""
        self._calendars = calendars
        self._schedules = {schedule.name: schedule for schedule in settings.schedules}
        self._routes = [(route.team, Selector(route.matchers), route.matchers) for route in settings.routes]
        self._policies = settings.policies

    def team(self, case: Case) -> Team:
        """Empty when nothing says whose it is."""
        if case.assignee:
            return Team(case.assignee, "assigned by a person")
        labels = case.labels
        for team, selector, matchers in self._routes:
            if selector.matches(labels):
                return Team(team, f"route {', '.join(matchers)}")
        if case.owner:
            return Team(case.owner, f"owns {case.suspect or 'what is affected'}, by the catalogue")
        return Team("", "nothing says whose it is")

    def policy(self, case: Case) -> Policy | None:
        """The first for its team, else the first for all teams."""
        rank = SEVERITIES.index(case.severity)
        fitting = [p for p in self._policies if rank >= SEVERITIES.index(p.min_severity)]
        own = (p for p in fitting if case.team in p.teams)
        return next(own, next((p for p in fitting if not p.teams), None))

    def people(self, names: Sequence[str], at_ms: int) -> tuple[str, ...]:
        """Schedules replaced by who is on call then; other names stand for themselves."""
        found: list[str] = []
        for name in names:
            schedule = self._schedules.get(name)
            if schedule is None:
                found.append(name)
            else:
                found += [shift.person for shift in on_call(schedule, at_ms, self._calendars)]
        return tuple(dict.fromkeys(found))


def steps(policy: Policy | None, since_ms: int) -> list[Step]:
    """When each tier is asked."""
    found, at_ms = [], since_ms
    for tier in policy.tiers if policy is not None else ():
        found.append(Step(at_ms, tier))
        at_ms += millis(tier.wait)
    return found


def escalation(case: Case, number: int, step: Step, people: tuple[str, ...], levels: int) -> Notice:
    """What a tier is told."""
    asked = f" (tier {number} of {levels})" if levels > 1 else ""
    return Notice(
        id=digest_hex("escalation", case.id, str(case.reopened), str(number)),
        incident=case.id,
        domain=case.domain,
        kind="escalation",
        severity=case.severity,
        title=case.title,
        text=f"{case.priority} {case.severity}: {case.title}. Please acknowledge{asked}.",
        to=people,
        at_ms=step.at_ms,
    )
