"""When a group becomes an incident. One series that deviates for a moment is not one.

A group opens when it holds at least one alert of severity warning or higher and
- an alert that is enough on its own: a critical one, logged failures, a service that fell silent,
  something a person or another system reported, trouble of the pipeline itself; or
- two different signals that support each other (quantiles of one metric are one signal); or
- an alert that has been firing for the time its severity asks for (`SETTLE_MS`), or twice the time it
  took to notice it.
Groups that never open vanish when their alerts have resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from correlator import measures
from correlator.group import Group
from detectors.alert import SEVERITIES, Alert

SETTLE_MS = {"warning": 60_000, "error": 15_000}
CIRCUMSTANTIAL_MS = 1_800_000
"""what need not hurt anybody has to fire for this long to count alone"""
OWN_SERVICE = "tocsin"
"""what the pipeline says of itself; its rules are thresholds, not statistics"""
_WARNING = SEVERITIES.index("warning")
_ERROR = SEVERITIES.index("error")
_CRITICAL = SEVERITIES.index("critical")
_FIGURE = re.compile(r"[._]?(p\d\d|avg|average|mean|max|min)(?=\W|$)", re.IGNORECASE)


def settle_ms(alert: Alert) -> int:
    """How long it must have been firing to count without support."""
    if circumstantial(alert):
        return CIRCUMSTANTIAL_MS
    return max(SETTLE_MS.get(alert.severity, 0), 2 * (alert.detected_at - alert.started_at))


@lru_cache(maxsize=10_000)
def base(metric: str) -> str:
    """A metric's name without the statistic taken of it."""
    return _FIGURE.sub("", metric)


def signal(alert: Alert) -> str:
    """What it is about: `service NUL metric`, without the statistic taken of it."""
    return f"{alert.service}\0{base(alert.metric)}"


def opening_reason(group: Group) -> str | None:
    """Why `group` is an incident, or None while it has to wait for company or time."""
    if not group.grave:
        return None
    if group.enough:
        return group.enough
    if len(group.signals) >= 2:
        return f"{len(group.signals)} signals support each other"
    return None


def settled(group: Group, now_ms: int) -> str | None:
    """Whether an alert of warning or higher has been firing for long enough."""
    for alert in _waiting(group):
        if now_ms - alert.detected_at >= settle_ms(alert):
            return f"still firing after {settle_ms(alert) / 1000:.0f} s"
    return None


def next_settling(group: Group) -> int | None:
    """When the next of its alerts will have been firing for long enough."""
    return min((a.detected_at + settle_ms(a) for a in _waiting(group)), default=None)


def _waiting(group: Group) -> Iterator[Alert]:
    alerts = (group.held[index].alert for index in group.active.values())
    return (a for a in alerts if may_settle(a))


def may_settle(alert: Alert) -> bool:
    """Warning or worse: whether it can open a group alone, in time."""
    return alert.severity != "info"


def is_grave(alert: Alert) -> bool:
    """Warning or worse, and of something that hurts: it opens a group with support, and may begin it."""
    return may_settle(alert) and not circumstantial(alert)


def circumstantial(alert: Alert) -> bool:
    """Whether what it shows need not hurt anybody by itself."""
    if alert.kind != "metric" or not _circumstantial(alert.service, alert.metric, alert.labels):
        return False
    # A machine in a critical state is trouble, whoever runs on it.
    return not (alert.severity == "critical" and measures.is_shared(alert.metric))


def is_felt(alert: Alert) -> bool:
    """Whether somebody suffers from what it shows: slowness, failures, errors, silence; not what a
    service uses up, nor what is circumstantial or mere evidence."""
    if alert.kind != "metric":
        return may_settle(alert)
    return is_grave(alert) and not _resource(alert.metric)


@lru_cache(maxsize=10_000)
def _resource(metric: str) -> bool:
    return measures.kind_of(metric) == measures.RESOURCE


@lru_cache(maxsize=20_000)
def _circumstantial(service: str, metric: str, labels: tuple[tuple[str, str], ...]) -> bool:
    return measures.circumstantial(service, metric, dict(labels))


def enough(alert: Alert) -> str | None:
    """Why it is enough alone, if it is."""
    level = SEVERITIES.index(alert.severity)
    if level < _WARNING or circumstantial(alert):
        return None
    if level >= _CRITICAL:
        return f"severity {alert.severity}"
    if alert.service == OWN_SERVICE and level >= _ERROR:
        return "the pipeline reports trouble of its own"
    if alert.kind in ("log", "absent") and level >= _ERROR:
        return f"a {alert.kind} alert of severity {alert.severity}"
    if alert.kind in ("external", "probe", "manual"):
        return f"an alert of kind {alert.kind}"
    return None
