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

from correlator.group import Group
from detectors.alert import SEVERITIES, Alert

SETTLE_MS = {"warning": 60_000, "error": 15_000}
OWN_SERVICE = "tocsin"
"""what the pipeline says of itself; its rules are thresholds, not statistics"""
_WARNING = SEVERITIES.index("warning")
_ERROR = SEVERITIES.index("error")
_CRITICAL = SEVERITIES.index("critical")
_FIGURE = re.compile(r"[._]?(p\d\d|avg|average|mean|max|min)(?=\W|$)", re.IGNORECASE)


def settle_ms(alert: Alert) -> int:
    """How long it must have been firing to count without support."""
    return max(SETTLE_MS.get(alert.severity, 0), 2 * (alert.detected_at - alert.started_at))


def signal(alert: Alert) -> tuple[str, str]:
    """What it is about: service and metric, without the statistic taken of it."""
    return alert.service, _FIGURE.sub("", alert.metric)


def opening_reason(group: Group, now_ms: int) -> str | None:
    """Why `group` is an incident at `now_ms`, or None while it has to wait."""
    alerts = [h.alert for h in group.held]
    grave = [a for a in alerts if SEVERITIES.index(a.severity) >= _WARNING]
    if not grave:
        return None
    for alert in grave:
        if enough := _enough(alert):
            return enough
    signals = {signal(a) for a in alerts}
    if len(signals) >= 2:
        return f"{len(signals)} signals support each other"
    for alert in grave:
        if alert.resolved_at is None and now_ms - alert.detected_at >= settle_ms(alert):
            return f"still firing after {settle_ms(alert) / 1000:.0f} s"
    return None


def _enough(alert: Alert) -> str | None:
    level = SEVERITIES.index(alert.severity)
    if level >= _CRITICAL:
        return f"severity {alert.severity}"
    if alert.service == OWN_SERVICE and level >= _ERROR:
        return "the pipeline reports trouble of its own"
    if alert.kind in ("log", "absent") and level >= _ERROR:
        return f"a {alert.kind} alert of severity {alert.severity}"
    if alert.kind in ("external", "probe", "manual"):
        return f"an alert of kind {alert.kind}"
    return None
