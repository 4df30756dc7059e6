"""The alert: what detect says and correlate reads."""

from __future__ import annotations

import msgspec
from msgspec.structs import force_setattr

from streams.records.digest import digest_hex
from streams.records.interned import pairs

KINDS = ("metric", "log", "absent", "external", "probe", "manual")
SEVERITIES = ("info", "warning", "error", "critical")
"""in rising order"""


class Alert(msgspec.Struct, frozen=True, tag="alert", gc=False):
    """One version of an alert. The same id is sent again, with a higher version, when it resolves."""

    id: str
    version: int
    """1 firing, 2 resolved (a version in between may raise the severity)"""
    state: str
    """firing | resolved"""
    kind: str
    fingerprint: str
    """hex fingerprint of the series, or digest of service and template"""
    service: str
    metric: str
    """metric name; for kind log the template; for kind absent what went quiet"""
    severity: str
    started_at: int
    """ms UTC of the first anomalous sample"""
    detected_at: int
    """ms UTC of the sample at which the gate fired"""
    last_seen_at: int
    resolved_at: int | None
    summary: str
    """one sentence for a person, numbers with units"""
    value: float | None = None
    """at its worst so far"""
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    score: float = 0.0
    """[0, 1]"""
    strength: float = 0.0
    """deviation from expected in units of the series' own normal spread, signed"""
    unit: str = ""
    instance: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """identity labels of the series"""
    resource: tuple[tuple[str, str], ...] = ()
    """failure-domain context: host, zone, env, version, ..."""
    samples: tuple[str, ...] = ()
    """kind log: up to three sample lines; joint behaviour: the series it shows in, a line each"""
    trace_ids: tuple[str, ...] = ()
    count: int = 0
    """kind log: lines so far"""
    last_line: str = ""
    """kind log: the newest line; the first is the first of the samples"""


def alert_id(fingerprint: str, kind: str, started_at: int) -> str:
    """The same anomaly of the same series always has the same id."""
    return digest_hex(fingerprint, kind, str(started_at))


def share(alert: Alert) -> None:
    """Let equal label sets be one object: most alerts of a service carry the same."""
    force_setattr(alert, "labels", pairs(alert.labels))
    force_setattr(alert, "resource", pairs(alert.resource))
