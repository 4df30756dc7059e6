"""What the report asks beside timing: deadlines, busy services, teams, what comes back, hints.

Times are ms UTC. A period is [since, until). Each question says by which time an incident or clock belongs
to it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sinks.reader import Reader

_INCIDENTS = "state != 'merged' AND kind = 'incident'"


class Sla(msgspec.Struct, frozen=True):
    """How a service level was kept by the clocks due in the period."""

    name: str
    severity: str
    n: int
    """met or missed"""
    met: int
    missed: int
    open: int
    """neither yet"""
    compliance: float | None
    """met / n; None: none was due"""


class Busy(msgspec.Struct, frozen=True):
    """A service and the incidents detected in the period that it took part in."""

    service: str
    incidents: int
    suspected: int
    """of these: it was the first hint's cause"""
    urgent: int
    """of these: P1 or P2"""
    unresolved: int
    alerts: int
    """of these incidents, other services' included"""


class Recurring(msgspec.Struct, frozen=True):
    """A kind of incident that started more than once in the period."""

    signature: str
    title: str
    problem: str
    n: int
    first_at: int
    last_at: int
    interval_ms: float
    """mean time from one start to the next"""
    active_ms: int
    """all of them together"""


class Load(msgspec.Struct, frozen=True):
    """What a team had to do: incidents opened in the period."""

    team: str
    """assigned, else owner; empty: nobody's"""
    opened: int
    urgent: int
    unresolved: int
    acknowledged: int
    at_night: int
    """opened from 22 to 6 o'clock UTC"""


class Hints(msgspec.Struct, frozen=True):
    """First hints held against the causes people recorded, of incidents started in the period."""

    n: int
    top1: int
    top3: int
    unknown: int
    """there was no hint"""
    top1_share: float | None
    top3_share: float | None


class NoiseDay(msgspec.Struct, frozen=True):
    """What became of the alerts of a UTC day; days with nothing are left out."""

    day: str
    alerts: int
    suppressed: int
    incidents: int
    reduction: float | None


def slas(reader: Reader, since_ms: int, until_ms: int) -> list[Sla]:
    """By name and severity of the clocks due in the period, those most often missed first."""
    sql = f"""
        SELECT
            toString(name) AS name,
            toString(severity) AS severity,
            countIf(state IN ('met', 'missed')) AS n,
            countIf(state = 'met') AS met,
            countIf(state = 'missed') AS missed,
            countIf(state IN ('running', 'warned', 'paused')) AS open,
            if(n > 0, met / n, NULL) AS compliance
        FROM clock_facts FINAL
        WHERE kind = 'sla' AND state != 'cancelled' AND {_during("due_at")}
        GROUP BY name, severity
        ORDER BY missed DESC, n DESC, name, severity
        """  # noqa: S608
    return [msgspec.convert(row, Sla) for row in _ask(reader, sql, since_ms, until_ms)]


def busiest(reader: Reader, since_ms: int, until_ms: int, limit: int = 10) -> list[Busy]:
    """Services by how many incidents detected in the period they took part in."""
    sql = f"""
        SELECT
            toString(arrayJoin(arrayDistinct(services))) AS service,
            count() AS incidents,
            countIf(cause_service = service) AS suspected,
            countIf(priority IN ('P1', 'P2')) AS urgent,
            countIf(resolved_at IS NULL) AS unresolved,
            sum(alert_count) AS alerts
        FROM incident_timings
        WHERE {_during("detected_at")}
        GROUP BY service
        ORDER BY incidents DESC, suspected DESC, service
        LIMIT {{limit:UInt32}}
        """  # noqa: S608
    return [msgspec.convert(row, Busy) for row in _ask(reader, sql, since_ms, until_ms, limit=limit)]


def recurring(reader: Reader, since_ms: int, until_ms: int, limit: int = 10) -> list[Recurring]:
    """Kinds of incident with two or more starts in the period, the most frequent first."""
    sql = f"""
        SELECT
            signature,
            argMax(title, (started_at, id)) AS title,
            max(problem) AS problem,
            count() AS n,
            min(started_at) AS first_at,
            max(started_at) AS last_at,
            dateDiff('millisecond', first_at, last_at) / (n - 1) AS interval_ms,
            sum(active_ms) AS active_ms
        FROM (SELECT * FROM incident_facts FINAL WHERE {_INCIDENTS} AND signature != '')
        WHERE {_during("started_at")}
        GROUP BY signature
        HAVING n > 1
        ORDER BY n DESC, last_at DESC, signature
        LIMIT {{limit:UInt32}}
        """  # noqa: S608
    return [msgspec.convert(row, Recurring) for row in _ask(reader, sql, since_ms, until_ms, limit=limit)]


def loads(reader: Reader, since_ms: int, until_ms: int) -> list[Load]:
    """Teams by how many incidents opened in the period were theirs."""
    sql = f"""
        SELECT
            toString(team) AS team,
            count() AS opened,
            countIf(priority IN ('P1', 'P2')) AS urgent,
            countIf(resolved_at IS NULL) AS unresolved,
            countIf(acknowledged) AS acknowledged,
            countIf(toHour(opened_at, 'UTC') < 6 OR toHour(opened_at, 'UTC') >= 22) AS at_night
        FROM incident_timings
        WHERE {_during("opened_at")}
        GROUP BY team
        ORDER BY opened DESC, urgent DESC, team
        """  # noqa: S608
    return [msgspec.convert(row, Load) for row in _ask(reader, sql, since_ms, until_ms)]


def hints(reader: Reader, since_ms: int, until_ms: int) -> Hints:
    """Over incidents started in the period whose cause people recorded with its service."""
    sql = f"""
        SELECT
            count() AS n,
            countIf(notEmpty(hinted) AND hinted[1] = cause_service) AS top1,
            countIf(has(arraySlice(hinted, 1, 3), cause_service)) AS top3,
            countIf(empty(hinted)) AS unknown,
            if(n > 0, top1 / n, NULL) AS top1_share,
            if(n > 0, top3 / n, NULL) AS top3_share
        FROM incident_facts FINAL
        WHERE {_INCIDENTS} AND cause_service != '' AND {_during("started_at")}
        """  # noqa: S608
    (row,) = _ask(reader, sql, since_ms, until_ms)
    return msgspec.convert(row, Hints)


def noise_days(reader: Reader, since_ms: int, until_ms: int) -> list[NoiseDay]:
    """By UTC day; a day is there whole if any of it lies in the period."""
    sql = """
        SELECT toString(day) AS day, alerts, suppressed, incidents, reduction
        FROM noise_reduction
        WHERE toUnixTimestamp(toDateTime(noise_reduction.day, 'UTC')) * 1000 > {since:Int64} - 86400000
          AND toUnixTimestamp(toDateTime(noise_reduction.day, 'UTC')) * 1000 < {until:Int64}
        ORDER BY day
        """
    return [msgspec.convert(row, NoiseDay) for row in _ask(reader, sql, since_ms, until_ms)]


def _during(column: str) -> str:
    at = f"toUnixTimestamp64Milli({column})"
    return f"{at} >= {{since:Int64}} AND {at} < {{until:Int64}}"


def _ask(reader: Reader, sql: str, since_ms: int, until_ms: int, **more: Any) -> list[dict[str, Any]]:
    return reader.ask(sql, since=since_ms, until=until_ms, **more)
