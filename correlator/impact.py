"""How much an incident matters: priority from impact and urgency, and what it is estimated to have cost.

Impact comes from what the catalogue says of the services affected, urgency from severity and spread; the
matrix of the two is ITIL's usual one and may be set otherwise (`correlate.priority_matrix`). Where the
catalogue says nothing of any of the services, severity and spread decide alone. Figures are estimated only
where the catalogue has the number, marked as estimates with their basis, and give way to what people state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from config.catalogue import Service
from config.settings import Level
from correlator import titles
from correlator.group import Told
from correlator.incident import LEVELS, Figure
from correlator.statements import UNITS
from detectors.alert import SEVERITIES, Alert

URGENCY = {"critical": "high", "error": "medium", "warning": "low", "info": "low"}
WIDE = 3
"""so many services make it one step more urgent"""
MINUTE_MS = 60_000.0


class Standing(NamedTuple):
    """Impact, urgency and the priority they make."""

    impact: str
    urgency: str
    priority: str
    basis: str


def stand(
    severity: str,
    services: int,
    entries: Iterable[Service],
    told: Told,
    matrix: Mapping[Level, Sequence[str]],
) -> Standing:
    """`services`: how many take part; `entries`: what the catalogue knows of them. People's word wins."""
    found = _impact(entries)
    urgency, urgent = _urgency(severity, services)
    impact, why = (told.impact_level, "stated") if told.impact_level else found
    if told.urgency:
        urgency, urgent = told.urgency, "stated"
    if not impact:
        priority = titles.priority(severity, services)
        basis = f"{urgent}; the catalogue does not say what hangs on them"
    else:
        priority = matrix[_level(impact)][LEVELS.index(urgency)]
        basis = f"impact {impact} ({why}), urgency {urgency} ({urgent})"
    if told.priority:
        return Standing(impact, urgency, told.priority, f"stated by a person; by rule {priority}: {basis}")
    return Standing(impact, urgency, priority, basis)


def _level(name: str) -> Level:
    return "high" if name == "high" else "medium" if name == "medium" else "low"


def _urgency(severity: str, services: int) -> tuple[str, str]:
    level = URGENCY[severity]
    text = f"severity {severity}, {services} service{'s' * (services != 1)}"
    if services >= WIDE and level != "high":
        level = LEVELS[LEVELS.index(level) - 1]
    return level, text


def _impact(entries: Iterable[Service]) -> tuple[str, str]:
    """The highest of all services, and which one it is."""
    best, why = "", ""
    for one in entries:
        level, reason = impact_of(one)
        if level and (not best or LEVELS.index(level) < LEVELS.index(best)):
            best, why = level, f"{one.service}: {reason}"
    return best, why


def impact_of(one: Service) -> tuple[str, str]:
    """high, medium, low or unknown (empty), and why."""
    business = one.business
    if business.impact:
        return business.impact, "as the catalogue says"
    if one.tier is not None:
        return ("high", "medium", "low", "low")[one.tier - 1], f"tier {one.tier}"
    if business.regulated:
        return "high", f"regulated ({', '.join(business.regulated)})"
    if business.revenue_per_minute or business.transactions_per_minute or business.customers:
        return "medium", "business depends on it"
    return "", ""


def estimates(
    entries: Iterable[Service], alerts: Iterable[Alert], category: str, active_ms: int, told: Told
) -> tuple[Figure, ...]:
    """Figures of impact in the order of their names: stated ones, and estimates of the others."""
    found: dict[str, Figure] = {}
    known = list(entries)
    seen = list(alerts) if known else []
    for one in known:
        share, basis = failing(one.service, seen, category)
        if share > 0:
            _estimate(found, one, share, basis, active_ms)
    found.update(told.figures)
    return tuple(found[name] for name in UNITS if name in found)


def failing(service: str, alerts: Sequence[Alert], category: str) -> tuple[float, str]:
    """Share of its requests that fail at the worst, and where that is read from; 0: nothing says so."""
    worst, metric = 0.0, ""
    for alert in alerts:
        if alert.service == service and alert.value is not None and _is_ratio(alert) and alert.value > worst:
            worst, metric = min(1.0, alert.value), alert.metric
    if metric:
        return worst, f"{worst:.0%} fail by {metric}"
    down = category == "service disruption" and any(
        a.service == service and a.kind in ("absent", "manual", "external") and _grave(a) for a in alerts
    )
    return (1.0, "taken to be down") if down else (0.0, "")


def _is_ratio(alert: Alert) -> bool:
    name = alert.metric.lower()
    ratio = "ratio" in name or "share" in name or alert.unit == "1"
    return ratio and any(word in name for word in titles.FAILURE_WORDS) and 0 <= (alert.value or 0.0) <= 1


def _grave(alert: Alert) -> bool:
    return SEVERITIES.index(alert.severity) >= SEVERITIES.index("error")


def _estimate(found: dict[str, Figure], one: Service, share: float, basis: str, active_ms: int) -> None:
    business = one.business
    minutes = active_ms / MINUTE_MS
    lasting = f"{one.service}: {basis}, for {minutes:.1f} min"

    def take(name: str, value: float, text: str) -> None:
        known = found.get(name)
        if known is None or value > known.value:
            found[name] = Figure(name, round(value, 4), UNITS[name], "estimate", text)

    if business.users is not None:
        users = business.users * share
        take("customers", round(users), f"{one.service}: {business.users} users, {basis}")
        if business.customer_base:
            share_of_all = min(1.0, users / business.customer_base)
            take("customer_share", share_of_all, f"{one.service}: {users:.0f} of {business.customer_base}")
    if business.partners:
        take("partners", len(business.partners), f"{one.service}: {', '.join(business.partners[:5])}")
    if business.transactions_per_minute is not None:
        many = round(business.transactions_per_minute * minutes * share)
        take("transactions", many, f"{lasting}, {business.transactions_per_minute:g} a minute")
    if business.revenue_per_minute is not None:
        value = business.revenue_per_minute * minutes * share
        take("damage", value, f"{lasting}, {business.revenue_per_minute:g} a minute")
    if business.payments:
        take("payment_delay_ms", active_ms, f"{lasting}; payments wait for it")
