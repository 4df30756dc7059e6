"""When a group becomes an incident. One short, weak deviation of one series is not one.

A group opens when it holds at least one alert of severity warning or higher and
- an alert that is enough on its own: severity error or critical, telemetry that vanished, something
  a person or another system reported, or a deviation of at least `STRONG` normal spreads; or
- alerts of two different signals that support each other; or
- an alert that has been firing for `SETTLE_MS`.
Groups that never open vanish when their alerts have resolved.
"""

from __future__ import annotations

from correlator.group import Group
from detectors.alert import SEVERITIES, Alert

STRONG = 12.0
SETTLE_MS = 60_000
_WARNING = SEVERITIES.index("warning")
_ERROR = SEVERITIES.index("error")


def opening_reason(group: Group, now_ms: int) -> str | None:
    """Why `group` is an incident at `now_ms`, or None while it has to wait."""
    alerts = [h.alert for h in group.held]
    grave = [a for a in alerts if SEVERITIES.index(a.severity) >= _WARNING]
    if not grave:
        return None
    for alert in grave:
        enough = _enough(alert)
        if enough:
            return enough
    signals = {(a.service, a.metric) for a in alerts}
    if len(signals) >= 2:
        return f"{len(signals)} signals support each other"
    lasting = [a for a in grave if a.resolved_at is None and now_ms - a.detected_at >= SETTLE_MS]
    if lasting:
        return f"still firing after {SETTLE_MS // 1000} s"
    return None


def _enough(alert: Alert) -> str | None:
    if SEVERITIES.index(alert.severity) >= _ERROR:
        return f"severity {alert.severity}"
    if alert.kind in ("absent", "external", "probe", "manual"):
        return f"an alert of kind {alert.kind}"
    if abs(alert.strength) >= STRONG:
        return f"{abs(alert.strength):.1f} normal spreads from expected, at least {STRONG:.0f}"
    return None
