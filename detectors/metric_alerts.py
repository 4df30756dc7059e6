"""From the gate's events to alerts in words."""

from __future__ import annotations

import math
from typing import Any

from detectors.alert import SEVERITIES, Alert, alert_id
from detectors.control import Control
from detectors.gate import ACCEPT, BY_DAY, BY_RULE, BY_SHAPE, BY_WEEK, RESOLVE
from detectors.thresholds import threshold_words
from detectors.words import clock, compare, instance_of, name_of, quantity, unit_of, usual
from streams.records.pages import Series

_USUAL = {BY_DAY: " for the time of day", BY_WEEK: " for the time of week"}


def metric_alert(event: Any, series: Series, control: Control) -> Alert:
    """One version of a metric alert; `event` is a record of `detectors.state.EVENT`."""
    series = control.shown(series)
    fingerprint = f"{series.fp:016x}"
    over = int(event["kind"]) in (RESOLVE, ACCEPT)
    started = int(event["started_at"])
    at = int(event["ts"])
    return Alert(
        id=alert_id(fingerprint, "metric", started),
        version=int(event["version"]),
        state="resolved" if over else "firing",
        kind="metric",
        fingerprint=fingerprint,
        service=series.service,
        metric=series.metric,
        severity=SEVERITIES[int(event["severity"])],
        started_at=started,
        detected_at=int(event["fired_at"]),
        last_seen_at=at,
        resolved_at=int(event["over_at"]) if over else None,
        summary=_summary(event, series, control),
        value=float(event["value"]),
        expected=float(event["expected"]),
        lower=_finite(event["lower"]),
        upper=_finite(event["upper"]),
        score=float(event["score"]),
        strength=float(event["strength"]),
        unit=unit_of(series),
        instance=instance_of(series),
        labels=series.labels,
        resource=series.resource,
    )


def _finite(limit: Any) -> float | None:
    """A limit, or None for a direction in which there is none."""
    return float(limit) if math.isfinite(limit) else None


def _summary(event: Any, series: Series, control: Control) -> str:
    unit = unit_of(series)
    value, expected = float(event["value"]), float(event["expected"])
    reason = int(event["reason"])
    since = clock(int(event["started_at"]))
    if reason == BY_RULE:
        text = threshold_words(value, series, control)
    else:
        text = f"{name_of(series)} {quantity(value, unit)}"
        if reason == BY_SHAPE and float(event["lower"]) <= value <= float(event["upper"]):
            text += f", a value or jump it has not shown before (usually {usual(value, expected, unit)})"
        else:
            text += f", {compare(value, expected)} {usual(value, expected, unit)}{_USUAL.get(reason, '')}"
    if int(event["kind"]) == ACCEPT:
        return f"{text}, since {since}; accepted as its new normal"
    if int(event["kind"]) == RESOLVE:
        return f"{text}, {since} to {clock(int(event['over_at']))}"
    return f"{text}, since {since}"
