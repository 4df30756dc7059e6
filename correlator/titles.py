"""What an incident is called, and how bad it is: by rule, from its evidence."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from correlator.incident import Hint
from detectors.alert import SEVERITIES, Alert

SECURITY_WORDS = ("intrusion", "unauthorized", "unauthorised", "brute force", "malware", "exfiltration")
FAILURE_WORDS = (
    "error",
    "exception",
    "fail",
    "5xx",
    "panic",
    "crash",
    "success",
    "availability",
    "unavailable",
)
SLOW_WORDS = ("latency", "duration", "wait", "time", "queue", "lag", "active_requests")


SECURITY, FAILING, SLOW = 4, 2, 1
"""traits, in rising order of what decides the category"""


def traits(alert: Alert) -> int:
    """Sum of `SECURITY`, `FAILING` and `SLOW`, as far as an alert speaks of each."""
    found = _traits(alert.metric)
    summary = alert.summary.lower()
    for word in SECURITY_WORDS:
        if word in summary:
            found |= SECURITY
    return found | FAILING if alert.kind in ("absent", "log") else found


@lru_cache(maxsize=10_000)
def _traits(metric: str) -> int:
    name = metric.lower()
    marks = ((SECURITY, SECURITY_WORDS), (FAILING, FAILURE_WORDS), (SLOW, SLOW_WORDS))
    return sum(mark for mark, words in marks if any(word in name for word in words))


def category(traits: int) -> str:
    """One of `incident.CATEGORIES`, from the traits of all alerts.

    Security words decide first; then failures and silence are a disruption, slowness is a
    degradation, and what only moves resources is an operational issue.
    """
    if traits & SECURITY:
        return "security incident"
    if traits & FAILING:
        return "service disruption"
    return "performance degradation" if traits & SLOW else "operational issue"


def priority(severity: str, services: int) -> str:
    """P1 .. P4 from how bad it is and how far it spreads (three services or more raise it by one)."""
    rank = 3 - SEVERITIES.index(severity)
    return f"P{max(1, min(4, rank + 1 - (services >= 3)))}"


def title(alerts: Sequence[Alert], services: Collection[str], hints: Sequence[Hint]) -> str:
    """One sentence: what happens where, and the suspected cause if there is one.

    `services`: those of the alerts, each once.
    """
    if hints:
        lead = hints[0]
        own = (a.summary for a in alerts if a.service == lead.service)
        what = lead.cause or next(own, "") or _worst(alerts).summary
        others = len(services) - (lead.service in services)
        also = f", {others} more service{'s' * (others > 1)} affected" if others else ""
        return _cut(f"{lead.service}: {_headline(what, lead.service)}") + also
    also = f" and {len(services) - 1} more service{'s' * (len(services) > 2)}" if len(services) > 1 else ""
    worst = _worst(alerts)
    return _cut(f"{worst.service}{also}: {_headline(worst.summary, worst.service)}")


def _worst(alerts: Sequence[Alert]) -> Alert:
    return max(alerts, key=lambda a: (SEVERITIES.index(a.severity), abs(a.strength), -a.started_at, a.id))


_WHEN = re.compile(
    r",? (since \d\d:\d\d:\d\d UTC|\d\d:\d\d:\d\d UTC to \d\d:\d\d:\d\d UTC)(; accepted[^;]*)?$"
)
"""how a summary ends; an incident has its own times"""


def _headline(text: str, service: str) -> str:
    """A summary without the name that stands before it and the times that stand beside it."""
    return _WHEN.sub("", text.removeprefix(f"{service} "))


def _cut(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
