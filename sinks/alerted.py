"""Alerts of an incident, whole."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.alert import Alert
from sinks.reader import Reader
from sinks.rows import ALERTS, alert_of


def alerts_of(reader: Reader, ids: Sequence[str], limit: int = 2_000) -> list[Alert]:
    """The newest versions, the gravest first, then by start."""
    columns = ", ".join(f"`{name}`" for name in ALERTS.columns)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM alerts
        WHERE id IN {{ids:Array(String)}}
        ORDER BY indexOf(['info', 'warning', 'error', 'critical'], severity) DESC, alerts.started_at, id
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        ids=list(ids[:limit]),
        limit=limit,
    )
    return [alert_of(row) for row in rows]
