"""What an incident is called, and how bad it is: by rule, from its evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def category(alerts: Sequence[Alert]) -> str:
    """One of `incident.CATEGORIES`.

    Security words decide first; then failures and silence are a disruption, slowness is a
    degradation, and what only moves resources is an operational issue.
    """
    texts = [f"{a.metric} {a.summary}".lower() for a in alerts]
    if any(word in text for text in texts for word in SECURITY_WORDS):
        return "security incident"
    metrics = [a.metric.lower() for a in alerts]
    failing = any(
        a.kind == "absent" or a.kind == "log" or any(word in m for word in FAILURE_WORDS)
        for a, m in zip(alerts, metrics, strict=True)
    )
    if failing:
        return "service disruption"
    if any(word in metric for metric in metrics for word in SLOW_WORDS):
        return "performance degradation"
    return "operational issue"


def priority(severity: str, services: int) -> str:
    """P1 .. P4 from how bad it is and how far it spreads (three services or more raise it by one)."""
    rank = 3 - SEVERITIES.index(severity)
    return f"P{max(1, min(4, rank + 1 - (services >= 3)))}"


def title(alerts: Sequence[Alert], hints: Sequence[Hint]) -> str:
    """One sentence: what happens where, and the suspected cause if there is one."""
    worst = max(alerts, key=lambda a: (SEVERITIES.index(a.severity), abs(a.strength), -a.started_at, a.id))
    services = sorted({a.service for a in alerts})
    if hints:
        lead = hints[0]
        own = [a for a in alerts if a.service == lead.service]
        what = lead.cause or (own[0].summary if own else worst.summary)
        others = len([s for s in services if s != lead.service])
        also = f", {others} more service{'s' * (others > 1)} affected" if others else ""
        return _cut(f"{lead.service}: {_headline(what, lead.service)}") + also
    also = f" and {len(services) - 1} more service{'s' * (len(services) > 2)}" if len(services) > 1 else ""
    return _cut(f"{worst.service}{also}: {_headline(worst.summary, worst.service)}")


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
