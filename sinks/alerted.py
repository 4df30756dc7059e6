"""Alerts of an incident, whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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


def labels_of_alerts(reader: Reader, ids: Sequence[str], limit: int = 2_000) -> list[dict[str, str]]:
    """What matchers see of each, but for the domain, as `correlator.selectors.labels_of` has it."""
    rows = reader.ask(
        """
        SELECT mapUpdate(resource, labels) AS labels, instance, service, metric, kind, severity FROM alerts
        WHERE id IN {ids:Array(String)} ORDER BY alerts.started_at, id LIMIT {limit:UInt32}
        """,
        ids=list(ids[:limit]),
        limit=limit,
    )
    own = ("instance", "service", "metric", "kind", "severity")
    return [{**row["labels"], **{name: row[name] for name in own if row[name]}} for row in rows]


def known_values(
    reader: Reader, services: Collection[str], names: Collection[str], most: int = 20
) -> Mapping[str, list[str]]:
    """Label -> values that series of these services have; empty where no history is kept."""
    rows = reader.ask(
        """
        SELECT name, groupUniqArray({most:UInt8})(value) AS found
        FROM (
            SELECT mapUpdate(resource, labels) AS known FROM series WHERE service IN {services:Array(String)}
        )
        ARRAY JOIN mapKeys(known) AS name, mapValues(known) AS value
        WHERE name IN {names:Array(String)} AND value != ''
        GROUP BY name
        """,
        services=list(services),
        names=list(names),
        most=most,
    )
    return {row["name"]: row["found"] for row in rows}
