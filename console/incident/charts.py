"""Charts of the signals of an incident, on one axis of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from console.plotting import plain, thinned
from correlator.incident import Incident
from detectors.alert import Alert
from detectors.explore import Explored

AT_ONCE = 8
BEFORE_MS = 20 * 60_000
LEARN_MS = 60 * 60_000
"""read before what is shown, so that what is usual is known there"""
MOST_POINTS = 2_000
AFTER_MS = 10 * 60_000
MOST_MS = 6 * 3_600_000


class Chart(msgspec.Struct, frozen=True):
    alert: Alert
    spec: str
    """JSON for charts.js; empty: no samples are kept"""
    odd: str = ""
    """what was odd about its oddest sample, in a sentence; empty: not known"""
    odd_at: int | None = None


def window(incident: Incident, now_ms: int) -> tuple[int, int]:
    """From some time before it began to some time after it ended; of a long one the first hours."""
    end = incident.resolved_at if incident.resolved_at is not None else now_ms
    begin = incident.started_at - BEFORE_MS
    return begin, min(end + AFTER_MS, begin + MOST_MS, now_ms)


def around(alert: Alert) -> tuple[int, int]:
    """The time of a small picture: some minutes before it until some after it, an hour at most."""
    end = alert.resolved_at if alert.resolved_at is not None else alert.last_seen_at
    begin = alert.started_at - BEFORE_MS
    return begin, min(end + 5 * 60_000, begin + 3_600_000)


def leading(alerts: Sequence[Alert], incident: Incident) -> list[Alert]:
    """Alerts with numbers: those of the suspected cause first, then the strongest."""
    cause = incident.hints[0].service if incident.hints else ""
    found = [alert for alert in alerts if alert.kind != "log"]
    return sorted(found, key=lambda a: (a.service != cause, -abs(a.strength), a.started_at, a.id))


def chart(alert: Alert, found: Explored | None, incident: Incident, begin: int, until: int) -> Chart:
    """One signal with what was expected, when it was odd, and the changes."""
    if found is None or not len(found.ts_ms) or found.ts_ms[-1] < begin:
        return Chart(alert, "")
    text = msgspec.json.encode(spec(alert, found, marks(incident), begin, until)).decode()
    end = alert.resolved_at if alert.resolved_at is not None else until
    worst = next((one for one in found.worst if alert.started_at <= one.ts_ms <= end), None)
    return Chart(alert, text, worst.text, worst.ts_ms) if worst is not None else Chart(alert, text)


def spec(
    alert: Alert, found: Explored, changes: Sequence[Mapping[str, Any]], begin: int, until: int
) -> dict[str, Any]:
    """For charts.js."""
    shown = np.flatnonzero((found.ts_ms >= begin) & (found.ts_ms <= until))
    shown = thinned(shown, found.score[shown], MOST_POINTS)
    end = alert.resolved_at if alert.resolved_at is not None else until
    return {
        "title": f"{alert.service} {alert.metric}",
        "unit": alert.unit or found.unit,
        "t": found.ts_ms[shown].tolist(),
        "series": [
            {"name": "value", "values": plain(found.value[shown]), "tone": "main"},
            {"name": "expected", "values": plain(found.expected[shown]), "tone": "calm", "dash": True},
        ],
        "band": {"name": "usual", "lower": plain(found.lower[shown]), "upper": plain(found.upper[shown])},
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
