"""Which deadlines an incident has, and how they stand: functions of the incident, the settings and a time.

Service levels count from opening: to respond until somebody acknowledges, to resolve until it is resolved; a
reopening lets the second run on, without the calm in between. People's pauses and business hours make them
stand still. Deadlines of contracts and regulations never do:

  GDPR article 33(1)      72 h from awareness                                  security incidents
  NIS2 article 23(4)      early warning 24 h and notification 72 h from awareness, final report one month
                          after the notification was handed in                  major incidents
  DORA article 19, and    initial: 4 h from classification as major, at the latest 24 h from awareness unless
                          it was classified later than that;
  RTS 2025/301 article 5  intermediate 72 h after the initial was handed in; final one month after the
                          intermediate was handed in                            major incidents

They run for services that the catalogue lists as regulated. How they stand changes at the moment of a fact or
of the deadline itself, not when somebody looks: whoever looks later finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from config.durations import in_words, millis
from config.response import Hours, Respond
from correlator.case import Case
from correlator.hours import FAR, paused_ms, reached
from correlator.response import CLOCK_STATES, Clock
from correlator.selectors import Selector
from streams.records.digest import digest_hex

HOUR_MS = 3_600_000
RANK = {
    state: number
    for number, state in enumerate(("running", "paused", "warned", "missed", "met", "cancelled"))
}
"""orders the states one version of the facts may go through"""


class Deadline(NamedTuple):
    """One clock as the facts set it."""

    name: str
    kind: str
    start_ms: int
    warn_ms: int
    due_ms: int
    stopped_ms: int | None
    basis: str
    paused_ms: int = 0
    paused_from: int | None = None
    """it stands still since then"""


class Policy:
    """The settings, read once."""

    def __init__(self, settings: Respond, regulated: Mapping[str, tuple[str, ...]]) -> None:
        """`regulated`: service -> rules with a duty to report that it falls under."""
        self.settings = settings
        self.regulated = regulated
        self.zone = ZoneInfo(settings.zone)
        self.notices = [(n, millis(n.within), Selector(n.matchers)) for n in settings.customer_notices]
        self.sla: dict[str, tuple[int, int, Hours | None]] = {
            severity: (_ms(target.respond), _ms(target.resolve), target.hours)
            for severity, target in settings.sla.items()
        }


def _ms(text: str) -> int:
    return millis(text) if text else 0


def deadlines(case: Case, policy: Policy) -> list[Deadline]:
    """All that it has, in a fixed order; none for what is no incident, or was merged into another one."""
    if case.kind != "incident" or case.state == "merged":
        return []
    return [*_levels(case, policy), *_customers(case, policy), *_regulations(case, policy)]


def _levels(case: Case, policy: Policy) -> Iterator[Deadline]:
    respond, resolve, hours = policy.sla.get(case.severity, (0, 0, None))
    every = f"severity {case.severity}"
    if respond:
        # Whoever resolves it has responded, and what ends by itself needs no response.
        stop = case.acknowledged_at if case.acknowledged_at is not None else case.resolved_at
        yield _level(case, policy, "sla respond", respond, hours, stop, every)
    if resolve:
        yield _level(case, policy, "sla resolve", resolve, hours, case.resolved_at, every)


def _level(
    case: Case, policy: Policy, name: str, length: int, hours: Hours | None, stop: int | None, every: str
) -> Deadline:
    start = case.opened_at
    pauses = [p for p in case.pauses if stop is None or p.from_ms < stop]
    # Time in which it was taken to be over does not count.
    calm = case.calm_ms if name == "sla resolve" else 0
    warn = reached(start, round(length * policy.settings.warn_share), hours, pauses) + calm
    due = reached(start, length, hours, pauses) + calm
    within = f", {hours.from_} to {hours.to} {hours.zone}" if hours is not None else ""
    basis = f"{in_words(length)} from opening ({every}{within})"
    held = pauses[-1].from_ms if pauses and pauses[-1].until_ms is None else None
    if stop is not None or (held is not None and held >= due):
        held = None
    still = paused_ms(start, stop if stop is not None else held if held is not None else FAR, pauses)
    return Deadline(name, "sla", start, warn, due, stop, basis, still, held)


def _customers(case: Case, policy: Policy) -> Iterator[Deadline]:
    for notice, length, selector in policy.notices:
        if selector.matches(case.labels):
            name = "customer notice" if len(policy.notices) == 1 else f"customer notice {notice.name}"
            stop = case.filed("customer notice")
            basis = f"{in_words(length)} from opening (contract {notice.name})"
            yield _plain(policy, name, "customer", case.opened_at, case.opened_at + length, stop, basis)


def _regulations(case: Case, policy: Policy) -> Iterator[Deadline]:
    rules = {rule for service in case.services for rule in policy.regulated.get(service, ())}
    rules &= set(policy.settings.regulations)
    aware, major = case.aware_at, case.major_at
    if "gdpr" in rules and case.category == "security incident" and aware is not None:
        name, basis = "gdpr notification", "72 h from awareness (GDPR article 33)"
        yield _regulatory(case, policy, name, aware, aware + 72 * HOUR_MS, basis)
    if "nis2" in rules and major is not None and aware is not None:
        name, basis = "nis2 early warning", "24 h from awareness (NIS2 article 23)"
        yield _regulatory(case, policy, name, aware, aware + 24 * HOUR_MS, basis)
        name, basis = "nis2 notification", "72 h from awareness (NIS2 article 23)"
        yield _regulatory(case, policy, name, aware, aware + 72 * HOUR_MS, basis)
        if (filed := case.filed("nis2 notification")) is not None:
            basis = "one month after the notification (NIS2 article 23)"
            due = month_after(filed, policy.zone)
            yield _regulatory(case, policy, "nis2 final report", filed, due, basis)
    if "dora" in rules and major is not None:
        due = major + 4 * HOUR_MS
        if aware is not None and major <= aware + 24 * HOUR_MS:
            due = min(due, aware + 24 * HOUR_MS)
        basis = "4 h from classification as major, at most 24 h from awareness (DORA article 19)"
        yield _regulatory(case, policy, "dora initial", major, due, basis)
        if (filed := case.filed("dora initial")) is not None:
            basis = "72 h after the initial report (DORA article 19)"
            yield _regulatory(case, policy, "dora intermediate", filed, filed + 72 * HOUR_MS, basis)
        if (filed := case.filed("dora intermediate")) is not None:
            basis = "one month after the intermediate report (DORA article 19)"
            yield _regulatory(case, policy, "dora final", filed, month_after(filed, policy.zone), basis)


def _regulatory(case: Case, policy: Policy, name: str, start: int, due: int, basis: str) -> Deadline:
    return _plain(policy, name, "regulatory", start, max(start, due), case.filed(name), basis)


def _plain(
    policy: Policy, name: str, kind: str, start: int, due: int, stop: int | None, basis: str
) -> Deadline:
    warn = start + round((due - start) * policy.settings.warn_share)
    return Deadline(name, kind, start, warn, due, stop, basis)


def month_after(at_ms: int, zone: ZoneInfo) -> int:
    """The same day and time of the next month there, or its last day where it has no such day."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    then: datetime = local + relativedelta(months=1)
    return round(then.replace(tzinfo=zone).timestamp() * 1000)


def state(one: Deadline, now_ms: int) -> tuple[str, int]:
    """How it stands, and since when."""
    if one.stopped_ms is not None:
        return ("met" if one.stopped_ms <= one.due_ms else "missed"), one.stopped_ms
    if one.paused_from is not None and one.paused_from <= now_ms:
        return "paused", one.paused_from
    if now_ms >= one.due_ms:
        return "missed", one.due_ms
    if now_ms >= one.warn_ms:
        return "warned", one.warn_ms
    return "running", one.start_ms


def next_change(one: Deadline, now_ms: int) -> int | None:
    """When time alone makes it stand otherwise; None: never."""
    how, _ = state(one, now_ms)
    if how == "running":
        return one.warn_ms
    return one.due_ms if how == "warned" else None


def clock(case: Case, one: Deadline, facts: int, now_ms: int) -> Clock:
    """The message. `facts`: version of the incident that set these facts, from which its own follows."""
    how, since = state(one, now_ms)
    return Clock(
        id=clock_id(case.id, one.name),
        version=facts * len(CLOCK_STATES) + RANK[how],
        incident=case.id,
        domain=case.domain,
        name=one.name,
        kind=one.kind,
        state=how,
        started_at=one.start_ms,
        warn_at=one.warn_ms,
        due_at=one.due_ms,
        stopped_at=one.stopped_ms,
        paused_ms=one.paused_ms,
        at_ms=since,
        basis=one.basis,
        severity=case.severity,
        owner=case.team,
    )


def clock_id(incident: str, name: str) -> str:
    return digest_hex("clock", incident, name)
