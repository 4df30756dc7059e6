"""Charts of the signals of an incident, on one axis of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from correlator.incident import Incident
from detectors.alert import Alert
from sinks.history import Judged

AT_ONCE = 8
BEFORE_MS = 20 * 60_000
AFTER_MS = 10 * 60_000
MOST_MS = 6 * 3_600_000


class Chart(msgspec.Struct, frozen=True):
    alert: Alert
    spec: str
    """JSON for charts.js; empty: no samples are kept"""


def window(incident: Incident, now_ms: int) -> tuple[int, int]:
    """From some time before it began to some time after it ended; of a long one the first hours."""
    end = incident.resolved_at if incident.resolved_at is not None else now_ms
    begin = incident.started_at - BEFORE_MS
    return begin, min(end + AFTER_MS, begin + MOST_MS, now_ms)


def leading(alerts: Sequence[Alert], incident: Incident) -> list[Alert]:
    """Alerts with numbers: those of the suspected cause first, then the strongest."""
    cause = incident.hints[0].service if incident.hints else ""
    found = [alert for alert in alerts if alert.kind != "log"]
    return sorted(found, key=lambda a: (a.service != cause, -abs(a.strength), a.started_at, a.id))


def chart(alert: Alert, samples: Judged | None, incident: Incident, until_ms: int) -> Chart:
    """One signal with what was expected, when it was odd, and the changes."""
    if samples is None or not samples.ts:
        return Chart(alert, "")
    return Chart(alert, msgspec.json.encode(spec(alert, samples, marks(incident), until_ms)).decode())


def spec(
    alert: Alert, samples: Judged, changes: Sequence[Mapping[str, Any]], until_ms: int
) -> dict[str, Any]:
    end = alert.resolved_at if alert.resolved_at is not None else min(until_ms, samples.ts[-1])
    return {
        "title": f"{alert.service} {alert.metric}",
        "unit": alert.unit,
        "t": samples.ts,
        "series": [
            {"name": "value", "values": samples.value, "tone": "main"},
            {"name": "expected", "values": samples.expected, "tone": "calm", "dash": True},
        ],
        "band": {"name": "usual", "lower": samples.lower, "upper": samples.upper},
        "spans": [{"from": alert.started_at, "to": end, "text": "out of the usual", "tone": "bad"}],
        "marks": list(changes),
        "sync": "incident",
        "height": 170,
    }


def marks(incident: Incident) -> list[dict[str, Any]]:
    """Changes in evidence, and when somebody acted."""
    found: list[dict[str, Any]] = [
        {"at": entry.at_ms, "text": entry.text[:60], "tone": "mark"}
        for entry in incident.timeline
        if entry.kind == "change"
    ]
    for name, at in (("acknowledged", incident.acknowledged_at), ("resolved", incident.resolved_at)):
        if at is not None:
            found.append({"at": at, "text": name, "tone": "ok"})
    return found[:12]
