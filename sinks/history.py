"""Samples of the past as they were judged: for charts, and the sparklines of a list. Times are ms UTC."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sinks.reader import Reader

MOST_POINTS = 2_000
HOUR_MS = 3_600_000


class Judged(msgspec.Struct, frozen=True):
    """A series over a time; of more points than were wanted, the ones that stand out in each stretch."""

    ts: tuple[int, ...]
    value: tuple[float, ...]
    expected: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    score: tuple[float | None, ...]
    """[0, 1]"""
    reason: tuple[int, ...]
    """place in `detectors.bank.REASONS` and what comes before, as `Scores.reason`"""


class SeriesRow(msgspec.Struct, frozen=True):
    """A series of which samples are kept."""

    fp: str
    """16 hex digits: the fingerprint of its alerts"""
    service: str
    metric: str
    unit: str
    labels: dict[str, str]
    resource: dict[str, str]
    domain: str
    seen_at: int


def judged(
    reader: Reader, fingerprint: str, since_ms: int, until_ms: int, points: int = MOST_POINTS
) -> Judged:
    """Samples of [since, until] in order. `fingerprint`: 16 hex digits."""
    width = max(1, (until_ms - since_ms) // points)
    rows = reader.ask(
        """
        SELECT
            toUnixTimestamp64Milli(argMax(one.ts, (one.score, abs(one.value)))) AS at,
            argMax(one.value, (one.score, abs(one.value))) AS value,
            argMax(one.expected, (one.score, abs(one.value))) AS expected,
            argMax(one.lower, (one.score, abs(one.value))) AS lower,
            argMax(one.upper, (one.score, abs(one.value))) AS upper,
            max(one.score) AS score,
            argMax(one.reason, (one.score, abs(one.value))) AS reason
        FROM
        (
            SELECT ts, value, expected, lower, upper, ifNotFinite(score, -1) AS score, reason
            FROM samples FINAL
            WHERE fp = {fp:UInt64}
              AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
              AND ts <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        ) AS one
        GROUP BY intDiv(toUnixTimestamp64Milli(one.ts), {width:Int64})
        ORDER BY at
        """,
        fp=int(fingerprint, 16),
        since=since_ms,
        until=until_ms,
        width=width,
    )
    expected, lower, upper = (
        tuple(_known(row[name]) for row in rows) for name in ("expected", "lower", "upper")
    )
    return Judged(
        ts=tuple(row["at"] for row in rows),
        value=tuple(row["value"] for row in rows),
        expected=expected,
        lower=lower,
        upper=upper,
        score=tuple(None if row["score"] < 0 else row["score"] for row in rows),
        reason=tuple(row["reason"] for row in rows),
    )


def sparklines(
    reader: Reader, alerts: Sequence[str], domains: Sequence[str], points: int = 32
) -> dict[str, list[float | None]]:
    """Values around each alert, from a third of an hour before it to some minutes after its end, an hour at
    most; None where there are none. `domains`: those one may see, none: all. Alerts without samples are left
    out."""
    rows = reader.ask(
        """
        WITH
            {points:UInt32} AS points,
            wanted AS (
                SELECT
                    id,
                    reinterpretAsUInt64(reverse(unhex(fingerprint))) AS fp,
                    toUnixTimestamp64Milli(started_at) - 1200000 AS since,
                    least(toUnixTimestamp64Milli(ifNull(resolved_at, last_seen_at)) + 300000,
                          toUnixTimestamp64Milli(started_at) + 3600000) AS until
                FROM alerts
                WHERE id IN {alerts:Array(String)} AND length(fingerprint) = 16
            )
        SELECT
            w.id AS id,
            intDiv((toUnixTimestamp64Milli(s.ts) - w.since) * points, w.until - w.since + 1) AS slot,
            avg(s.value) AS value
        FROM samples AS s
        INNER JOIN wanted AS w ON s.fp = w.fp
        WHERE s.fp IN (SELECT fp FROM wanted)
          AND toUnixTimestamp64Milli(s.ts) BETWEEN w.since AND w.until
          AND (empty({domains:Array(String)})
               OR s.fp IN (SELECT fp FROM series FINAL WHERE has({domains:Array(String)}, domain)))
        GROUP BY id, slot
        ORDER BY id, slot
        """,
        points=points,
        alerts=list(alerts),
        domains=list(domains),
    )
    found: dict[str, list[float | None]] = {}
    for row in rows:
        line = found.setdefault(row["id"], [None] * points)
        if 0 <= row["slot"] < points:
            line[row["slot"]] = row["value"]
    return found


def series_like(
    reader: Reader,
    *,
    service: str = "",
    text: str = "",
    fingerprint: str = "",
    domains: Sequence[str] = (),
    limit: int = 50,
) -> list[SeriesRow]:
    """Series of a service whose name or labels contain all words of the text, the newest first."""
    rows = reader.ask(
        """
        SELECT lower(hex(fp)) AS fp, service, metric, unit, labels, resource, domain,
               toUnixTimestamp64Milli(seen_at) AS seen_at
        FROM series FINAL
        WHERE ({service:String} = '' OR service = {service:String})
          AND ({fp:String} = '' OR lower(hex(fp)) = {fp:String})
          AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
          AND arrayAll(
                word -> positionCaseInsensitiveUTF8(
                    concat(service, ' ', metric, ' ', toString(labels), ' ', toString(resource)), word) > 0,
                {words:Array(String)})
        ORDER BY series.seen_at DESC, service, metric, fp
        LIMIT {limit:UInt32}
        """,
        service=service,
        fp=fingerprint,
        domains=list(domains),
        words=text.split()[:20],
        limit=limit,
    )
    return [msgspec.convert({**row, "fp": row["fp"].rjust(16, "0")}, SeriesRow) for row in rows]


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value
