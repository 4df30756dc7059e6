"""Questions the commands ask of ClickHouse. All SQL of the readers is here; times are ms UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from correlator.incident import Incident
from sinks.rows import INCIDENTS, incident_of

OPEN_STATES = ("open", "acknowledged", "mitigated", "reopened")
GROUPINGS = ("service", "team", "severity", "category", "week", "day")

_QUANTITIES = {
    "mttd": ("mttd_ms", ""),
    "mtta": ("mtta_ms", ""),
    "mttr": ("mttr_ms", ""),
    "mttr_auto": ("mttr_ms", "resolved_by = 'auto'"),
    "mttr_human": ("mttr_ms", "resolved_by = 'human'"),
}
_KEYS = {
    "service": "arrayJoin(arrayDistinct(services))",
    "team": "toString(team)",
    "severity": "toString(severity)",
    "category": "toString(category)",
    "week": "toString(toMonday(toDate(resolved_at, 'UTC')))",
    "day": "toString(toDate(resolved_at, 'UTC'))",
    "": "''",
}
_DAYS = {"day": 1, "week": 7}
"""groupings by time, and how many days each covers"""


class Summary(msgspec.Struct, frozen=True):
    """An incident in a list."""

    id: str
    version: int
    state: str
    priority: str
    severity: str
    category: str
    title: str
    started_at: int
    detected_at: int
    acknowledged_at: int | None
    resolved_at: int | None
    resolved_by: str
    services: tuple[str, ...]
    alerts: int
    cause: str
    """service of the first hint, or empty"""
    confidence: float
    """of the first hint"""
    owner: str = ""
    suggestion: str = ""
    """cause and fix of a similar incident of the past"""


class Timing(msgspec.Struct, frozen=True):
    """The row of `incident_timing`; None for what has not happened."""

    mttd_ms: int
    mtta_ms: int | None
    mttr_ms: int | None
    first_mttr_ms: int | None
    active_ms: int | None
    ack_from_open_ms: int | None
    resolve_from_open_ms: int | None


class Stat(msgspec.Struct, frozen=True):
    """Distribution of one quantity in ms; all None when n is 0."""

    n: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None


class Group(msgspec.Struct, frozen=True):
    """Timing of the incidents resolved in the period that share `key`."""

    key: str
    resolved: int
    auto: int
    human: int
    acknowledged: int
    ack_rate: float | None
    mttd: Stat
    mtta: Stat
    mttr: Stat
    mttr_auto: Stat
    mttr_human: Stat


class Noise(msgspec.Struct, frozen=True):
    """How many alerts became how many incidents, both by time of detection."""

    alerts: int
    incidents: int
    reduction: float | None
    """1 - incidents / alerts; None without alerts"""
    active: int
    """detected in the period and not resolved yet"""
    suppressed: int = 0
    """of the alerts: held back by a silence, maintenance, inhibition, deduplication or flap control"""


class Reader:
    """Asks one client. Raises `clickhouse_connect` errors."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def incidents(
        self,
        *,
        states: Sequence[str] = (),
        service: str = "",
        since_ms: int | None = None,
        domains: Sequence[str] = (),
        limit: int = 20,
    ) -> list[Summary]:
        """Newest first, by start. `service`: one that takes part; `since_ms`: updated since then.

        `domains`: only of these; none: all.
        """
        rows = self._rows(
            """
            SELECT
                id, version, state, priority, severity, category, title, started_at, detected_at,
                acknowledged_at, resolved_at, resolved_by, `services.service` AS services,
                length(alerts) + truncated_members AS alerts,
                JSONExtractString(hints, 1, 'service') AS cause,
                JSONExtractFloat(hints, 1, 'confidence') AS confidence,
                owner,
                suggestion
            FROM incidents
            WHERE (empty({states:Array(String)}) OR has({states:Array(String)}, state))
              AND ({service:String} = '' OR has(`services.service`, {service:String}))
              AND toUnixTimestamp64Milli(updated_at) >= {since:Int64}
              AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
            ORDER BY incidents.started_at DESC, id
            LIMIT {limit:UInt32}
            """,
            domains=list(domains),
            states=list(states),
            service=service,
            since=since_ms or 0,
            limit=limit,
        )
        return [msgspec.convert(row, Summary) for row in rows]

    def ids_like(self, prefix: str, limit: int = 6) -> list[str]:
        """Ids that begin with `prefix`, in order, at most `limit`."""
        rows = self._rows(
            "SELECT DISTINCT id FROM incident_versions WHERE startsWith(id, {prefix:String})"
            " ORDER BY id LIMIT {limit:UInt32}",
            prefix=prefix,
            limit=limit,
        )
        return [row["id"] for row in rows]

    def incident(self, id: str) -> Incident | None:
        """The newest version, whole."""
        columns = ", ".join(f"`{name}`" for name in INCIDENTS.columns)
        rows = self._rows(f"SELECT {columns} FROM incidents WHERE id = {{id:String}}", id=id)  # noqa: S608
        return incident_of(rows[0]) if rows else None

    def timing(self, id: str) -> Timing | None:
        """None for an incident merged into another, which is not counted by itself."""
        columns = ", ".join(Timing.__struct_fields__)
        rows = self._rows(f"SELECT {columns} FROM incident_timing WHERE id = {{id:String}}", id=id)  # noqa: S608
        return msgspec.convert(rows[0], Timing) if rows else None

    def report(self, since_ms: int, until_ms: int, by: str = "") -> list[Group]:
        """Incidents resolved in [since, until), by a key of `GROUPINGS`; "" for all of them together.

        By service an incident counts under each service that takes part. By day and by
        week (named by its Monday, UTC), those without a resolve between the first and the last are
        there, empty.
        """
        rows = self._rows(_report_sql(by), since=since_ms, until=until_ms)
        groups = [_group(row) for row in rows]
        return _with_empty(groups, _DAYS[by]) if by in _DAYS else groups

    def noise(self, since_ms: int, until_ms: int) -> Noise:
        """Alerts and incidents detected in [since, until)."""
        during = (
            "toUnixTimestamp64Milli(detected_at) >= {since:Int64}"
            " AND toUnixTimestamp64Milli(detected_at) < {until:Int64}"
        )
        sql = f"""
            SELECT
                (SELECT count() FROM alert_facts FINAL WHERE {during}) AS alerts,
                (
                    SELECT count() FROM alert_facts FINAL
                    WHERE {during} AND id IN (SELECT alert FROM suppressed_facts)
                ) AS suppressed,
                (SELECT count() FROM incident_timing WHERE {during}) AS incidents,
                (SELECT count() FROM incident_timing WHERE {during} AND resolved_at IS NULL) AS active
            """  # noqa: S608
        (row,) = self._rows(sql, since=since_ms, until=until_ms)
        alerts, incidents = row["alerts"], row["incidents"]
        reduction = 1 - incidents / alerts if alerts else None
        return Noise(alerts, incidents, reduction, row["active"], row["suppressed"])

    def ask(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a question of another module; times are ms UTC."""
        return self._rows(sql, **parameters)

    def columns_and_rows(self, sql: str, **parameters: Any) -> tuple[list[str], list[dict[str, Any]]]:
        """The same with the names of the columns, known also when there are no rows."""
        result = self._client.query(sql, parameters=parameters, query_formats={"DateTime64": "int"})
        return list(result.column_names), list(result.named_results())

    def _rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        result = self._client.query(sql, parameters=parameters, query_formats={"DateTime64": "int"})
        return list(result.named_results())


def _report_sql(by: str) -> str:
    stats = []
    for name, (column, only) in _QUANTITIES.items():
        suffix, condition = ("If", f", {only}") if only else ("", "")
        stats.append(f"count{suffix}({f'{column} IS NOT NULL AND {only}' if only else column}) AS {name}_n")
        stats.append(f"avg{suffix}OrNull({column}{condition}) AS {name}_mean")
        stats += [
            f"quantileExactInclusive{suffix}OrNull(0.{q})({column}{condition}) AS {name}_p{q}"
            for q in ("50", "90", "95")
        ]
    # HAVING: without incidents the ungrouped question would answer with one empty row.
    return f"""
        SELECT
            {_KEYS[by]} AS key,
            count() AS resolved,
            countIf(resolved_by = 'auto') AS auto,
            countIf(resolved_by = 'human') AS human,
            countIf(acknowledged_at IS NOT NULL) AS acknowledged,
            {", ".join(stats)}
        FROM incident_timing
        WHERE resolved_at IS NOT NULL
          AND toUnixTimestamp64Milli(resolved_at) >= {{since:Int64}}
          AND toUnixTimestamp64Milli(resolved_at) < {{until:Int64}}
        GROUP BY key
        HAVING resolved > 0
        ORDER BY {"key" if by in _DAYS else "resolved DESC, key"}
        """  # noqa: S608


def _group(row: dict[str, Any]) -> Group:
    stats: dict[str, Any] = {
        name: Stat(row[f"{name}_n"], *(row[f"{name}_{part}"] for part in ("mean", "p50", "p90", "p95")))
        for name in _QUANTITIES
    }
    row = row | {"ack_rate": row["acknowledged"] / row["resolved"]}
    counts = {name: row[name] for name in ("key", "resolved", "auto", "human", "acknowledged", "ack_rate")}
    return Group(**counts, **stats)


_NOTHING = Stat(0, None, None, None, None)


def _with_empty(groups: Sequence[Group], step: int) -> list[Group]:
    if not groups:
        return []
    known = {group.key: group for group in groups}
    first, last = (datetime.fromisoformat(groups[at].key).replace(tzinfo=UTC) for at in (0, -1))
    days = [(first + timedelta(days=n)).date().isoformat() for n in range(0, (last - first).days + 1, step)]
    nothing: dict[str, Any] = dict.fromkeys(_QUANTITIES, _NOTHING)
    return [known.get(day) or Group(day, 0, 0, 0, 0, None, **nothing) for day in days]
