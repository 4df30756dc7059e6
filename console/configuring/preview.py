"""What a silence would have held back in the last 24 hours. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from config.schedules import Span
from config.settings import Correlate
from config.suppression import Silence
from console.configuring.known import Day
from correlator.rehearse import rehearse
from correlator.silencing import lasting, occurrences, only_silence
from detectors.alert import Alert

MOST_EXAMPLES = 10
MOST_SERVICES = 12
MOST_INCIDENTS = 20
MOST_SPANS = 5


class Touched(NamedTuple):
    """An open incident of whose alerts some would have been held back."""

    id: str
    title: str
    state: str
    severity: str
    started_at: int
    matched: int
    alerts: int


class Preview(NamedTuple):
    """Times are ms UTC."""

    since_ms: int
    until_ms: int
    alerts: int
    """looked at"""
    matched: int
    firing: int
    """of those matched: still firing"""
    services: list[tuple[str, int]]
    severities: list[tuple[str, int]]
    examples: list[Alert]
    """the newest"""
    incidents: list[Touched]
    spans: list[Span]
    """when it holds, from now on"""
    zone: str
    truncated: bool
    """only the newest alerts of the day were looked at"""
    ids: frozenset[str]
    """of all alerts matched"""


def preview(silence: Silence, day: Day, settings: Correlate, now_ms: int) -> Preview:
    """Tried as if it had been in force all day: what it is for has often happened before.

    The suppressor of the correlator decides, not a second reading of the matchers.
    """
    tried = rehearse(only_silence(lasting(silence), settings), day.alerts, day.until_ms)
    ids = frozenset(record.alert for record in tried.records)
    held = [alert for alert in day.alerts if alert.id in ids]
    touched = [
        Touched(one.id, one.title, one.state, one.severity, one.started_at, count, len(one.alerts))
        for one in day.incidents
        if (count := len(one.alerts & ids))
    ]
    return Preview(
        since_ms=day.since_ms,
        until_ms=day.until_ms,
        alerts=tried.alerts,
        matched=len(held),
        firing=sum(alert.resolved_at is None for alert in held),
        services=Counter(alert.service for alert in held).most_common(MOST_SERVICES),
        severities=Counter(alert.severity for alert in held).most_common(),
        examples=held[: -MOST_EXAMPLES - 1 : -1],
        incidents=touched[:MOST_INCIDENTS],
        spans=occurrences(silence, now_ms, MOST_SPANS),
        zone=silence.zone,
        truncated=day.truncated,
        ids=ids,
    )
