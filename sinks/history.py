"""Questions about samples of the last days (tables `series`, `samples`, `histogram_samples`).

Fingerprints are 16 hex digits, as in alerts; times are ms UTC. `domains` limits an answer to series of
these correlation domains; None: all, an empty list: none. What a table repeats, an answer has once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.explore import Raw, figures
from detectors.held import Part
from sinks.reader import Reader
from sinks.samples import KINDS
from streams.records.pages import F64, I64, Series

MOST_SERIES = 1_000
MOST_ROWS = 2_000_000
"""rows of one answer"""
SPARK_SOURCES = 4_000
"""raw series behind one page of sparklines"""

_KIND = {name: kind for kind, name in KINDS.items()}
_SERIES = """
    fingerprint, service, metric, kind, unit, instance, domain, labels, resource, bounds, derived,
    first_seen, last_seen
"""
_WITHIN = "({all_domains:Bool} OR has({domains:Array(String)}, domain))"


class SeriesRow(msgspec.Struct, frozen=True):
    """A series as it was sent."""

    fingerprint: str
    service: str
    metric: str
    kind: str
    """gauge, counter, delta, histogram, histogram_delta"""
    unit: str
    instance: str
    domain: str
    labels: dict[str, str]
    resource: dict[str, str]
    bounds: tuple[float, ...]
    derived: tuple[str, ...]
    """fingerprints of what detectors may make of it"""
    first_seen: int
    last_seen: int

    @property
    def series(self) -> Series:
        """As detectors know it."""
        return Series(
            int(self.fingerprint, 16),
            self.service,
            self.metric,
            tuple(sorted(self.labels.items())),
            self.unit,
            int(_KIND[self.kind]),
            self.bounds,
            tuple(sorted(self.resource.items())),
        )


class Curve(msgspec.Struct, frozen=True):
    """Values of one series in order of time, parallel lists; thinned ones stand for a stretch each."""

    ts_ms: list[int]
    value: list[float]
    """the last of the stretch"""
    low: list[float]
    high: list[float]
    thinned: bool


class Spark(msgspec.Struct, frozen=True):
    """A small picture of a series: evenly spaced values, None where there is none."""

    since_ms: int
    until_ms: int
    values: list[float | None]


def series_like(
    reader: Reader,
    service: str = "",
    metric: str = "",
    text: str = "",
    limit: int = 50,
    domains: Sequence[str] | None = None,
) -> list[SeriesRow]:
    """Most recently seen first. `service` and `metric` are exact; every word of `text` occurs somewhere in
    service, metric, instance or labels, whatever its case."""
    return _series(
        reader,
        """({service:String} = '' OR service = {service:String})
          AND ({metric:String} = '' OR metric = {metric:String})
          AND arrayAll(word -> positionCaseInsensitiveUTF8(
                concat(service, ' ', metric, ' ', instance, ' ', arrayStringConcat(mapValues(labels), ' ')),
                word) > 0, {words:Array(String)})
        ORDER BY series.last_seen DESC, series.fingerprint""",
        domains,
        min(limit, MOST_SERIES),
        service=service,
        metric=metric,
        words=text.split(),
    )


def source_of(
    reader: Reader, fingerprint: str, domains: Sequence[str] | None = None, limit: int = MOST_SERIES
) -> list[SeriesRow]:
    """The raw series an alert's fingerprint stands for or was derived from; [] when none is kept."""
    return sources_of(reader, [fingerprint], domains, limit)


def sources_of(
    reader: Reader,
    fingerprints: Iterable[str],
    domains: Sequence[str] | None = None,
    limit: int = MOST_SERIES,
) -> list[SeriesRow]:
    """The same of several fingerprints, in one query."""
    fps = _numbers(fingerprints)
    if not fps:
        return []
    return _series(
        reader,
        # First without FINAL, which would read every description whole.
        """fingerprint IN
        (
            SELECT fingerprint FROM series
            WHERE fingerprint IN {fps:Array(UInt64)} OR hasAny(derived, {fps:Array(UInt64)})
        )
        ORDER BY series.last_seen DESC, series.fingerprint""",
        domains,
        limit,
        fps=fps,
    )


def samples_of(
    reader: Reader,
    fingerprints: Iterable[str],
    since_ms: int,
    until_ms: int,
    most_points: int = 0,
    domains: Sequence[str] | None = None,
) -> dict[str, Curve]:
    """Values as sent of gauges and counters in [since, until], by fingerprint; those without any are
    left out.

    A series with more than `most_points` samples (0: no limit) is thinned to so many equal stretches of
    the time asked for, each with its lowest, highest and last value.
    """
    fps = _numbers(fingerprints)
    if not fps:
        return {}
    step = max(1, -(-(until_ms - since_ms + 1) // most_points)) if most_points else 1
    rows = reader.ask(
        _CURVES,
        fps=fps,
        since=since_ms,
        until=until_ms,
        most=most_points,
        step=step,
        rows=MOST_ROWS,
        **_domains(domains),
    )
    found: dict[str, Curve] = {}
    for row in rows:
        name = _hex(row["fp"])
        curve = found.get(name)
        if curve is None:
            curve = found[name] = Curve([], [], [], [], bool(row["thinned"]))
        curve.ts_ms.append(row["ts_ms"])
        curve.value.append(row["last"])
        curve.low.append(row["low"])
        curve.high.append(row["high"])
    return found


_CURVES = f"""
    WITH
        chosen AS
        (
            SELECT fingerprint, ts, value FROM samples FINAL
            WHERE fingerprint IN {{fps:Array(UInt64)}}
              AND ts BETWEEN fromUnixTimestamp64Milli({{since:Int64}})
                  AND fromUnixTimestamp64Milli({{until:Int64}})
              AND fingerprint IN
                  (SELECT fingerprint FROM series WHERE fingerprint IN {{fps:Array(UInt64)}} AND {_WITHIN})
        ),
        many AS
        (
            SELECT fingerprint, count() > {{most:UInt32}} AND {{most:UInt32}} > 0 AS thin
            FROM chosen GROUP BY fingerprint
        )
    SELECT
        fingerprint AS fp,
        any(thin) AS thinned,
        max(toUnixTimestamp64Milli(ts)) AS ts_ms,
        argMax(value, ts) AS last,
        min(value) AS low,
        max(value) AS high
    FROM chosen INNER JOIN many USING (fingerprint)
    GROUP BY
        fingerprint,
        intDiv(toUnixTimestamp64Milli(ts) - {{since:Int64}}, if(thin, {{step:Int64}}, 1))
    ORDER BY fingerprint, ts_ms
    LIMIT {{rows:UInt32}}
"""  # noqa: S608


def raw_of(
    reader: Reader, fingerprint: str, since_ms: int, until_ms: int, domains: Sequence[str] | None = None
) -> Raw:
    """Everything `detectors.explore.explore` needs of a fingerprint: what was sent in [since, until]."""
    sources = source_of(reader, fingerprint, domains)
    windows = {int(row.fingerprint, 16): (since_ms, until_ms) for row in sources}
    return _raw(reader, [row.series for row in sources], windows, 1)


def sparklines(
    reader: Reader,
    windows: Mapping[str, tuple[int, int]],
    points: int = 32,
    domains: Sequence[str] | None = None,
) -> dict[str, Spark]:
    """Of each alert fingerprint, its series as detectors see it in [since, until], in `points` values.

    Three queries, however many are asked for. Raw rows are thinned to `points` a series before they leave
    ClickHouse and derived afterwards, so a peak between two points may be missed. Fingerprints of which
    nothing is kept (of logs, of alerts from outside) are left out.
    """
    sources = sources_of(reader, windows, domains, SPARK_SOURCES)
    asked = {_number(name): window for name, window in windows.items()}
    spans: dict[int, tuple[int, int]] = {}
    members: dict[int, list[SeriesRow]] = {}
    for row in sources:
        own = int(row.fingerprint, 16)
        for fp in {own, *(int(one, 16) for one in row.derived)} & asked.keys():
            members.setdefault(fp, []).append(row)
            since, until = asked[fp]
            begin, end = spans.get(own, (since, until))
            spans[own] = (min(begin, since), max(end, until))
    if not spans:
        return {}
    raw = _raw(reader, [row.series for row in sources], spans, points)
    drawn = figures(raw, list(members))
    found = {}
    for name, (since, until) in windows.items():
        rows = drawn.get(_number(name))
        if rows is not None:
            values = _spread(rows[0], rows[1], since, until, points)
            if any(value is not None for value in values):
                found[name] = Spark(since, until, values)
    return found


def _spread(ts: I64, values: F64, since: int, until: int, points: int) -> list[float | None]:
    """The last value of each of `points` equal stretches."""
    out: list[float | None] = [None] * points
    width = max(1, until - since + 1)
    inside = (ts >= since) & (ts <= until)
    places = (ts[inside] - since) * points // width
    for place, value in zip(places.tolist(), values[inside].tolist(), strict=True):
        out[place] = value
    return out


def _raw(reader: Reader, series: Sequence[Series], spans: Mapping[int, tuple[int, int]], points: int) -> Raw:
    """Raw rows of each series within its span; with `points` > 1 thinned to so many each.

    Of a stretch the last row stays, which of a running total loses nothing; increases are added up.
    """
    if not series:
        return Raw.of(())
    delta = [one.fp for one in series if _KIND["delta"] == one.kind]
    asked: dict[str, Any] = {
        "fps": list(spans),
        "since": [since for since, _ in spans.values()],
        "until": [until for _, until in spans.values()],
        "points": points,
        "delta": delta,
        "rows": MOST_ROWS,
    }
    numbers = reader.ask(_RAW.format(value=_LAST_OR_SUM, table="samples"), **asked)
    wide = [one for one in series if one.bounds or one.kind in (_KIND["histogram"], _KIND["histogram_delta"])]
    buckets = reader.ask(_RAW.format(value=_LAST_BUCKETS, table="histogram_samples"), **asked) if wide else []
    return Raw(
        tuple(series),
        np.array([row["fp"] for row in numbers], np.uint64),
        np.array([row["at"] for row in numbers], np.int64),
        np.array([row["last"] for row in numbers], np.float64),
        _part(buckets),
    )


_LAST_OR_SUM = "if(has({delta:Array(UInt64)}, fingerprint), sum(value), argMax(value, ts)) AS last"
_LAST_BUCKETS = "argMax(sum, ts) AS total, argMax(counts, ts) AS buckets"
_RAW = """
    WITH
        transform(fingerprint, {{fps:Array(UInt64)}}, {{since:Array(Int64)}}, toInt64(0)) AS begin,
        transform(fingerprint, {{fps:Array(UInt64)}}, {{until:Array(Int64)}}, toInt64(0)) AS upto,
        toUnixTimestamp64Milli(ts) AS t
    SELECT fingerprint AS fp, max(t) AS at, {value}
    FROM {table} FINAL
    WHERE fingerprint IN {{fps:Array(UInt64)}}
      AND ts >= fromUnixTimestamp64Milli(arrayMin({{since:Array(Int64)}}))
      AND ts <= fromUnixTimestamp64Milli(arrayMax({{until:Array(Int64)}}))
      AND t BETWEEN begin AND upto
    GROUP BY fingerprint,
        if({{points:UInt32}} > 1, intDiv((t - begin) * {{points:UInt32}}, upto - begin + 1), t)
    ORDER BY at, fp
    LIMIT {{rows:UInt32}}
"""


def _part(rows: Sequence[Mapping[str, Any]]) -> Part | None:
    """Histogram rows as the detectors hold them."""
    if not rows:
        return None
    widths = np.array([len(row["buckets"]) for row in rows], np.int64)
    columns = (
        np.array([row["fp"] for row in rows], np.uint64),
        np.array([row["total"] for row in rows], np.float64),
        np.cumsum(widths) - widths,
        widths,
    )
    counts = np.concatenate([np.array(row["buckets"], np.float64) for row in rows])
    return Part(np.array([row["at"] for row in rows], np.int64), columns, counts, 0)


def _series(
    reader: Reader, where: str, domains: Sequence[str] | None, limit: int, **parameters: Any
) -> list[SeriesRow]:
    rows = reader.ask(
        f"SELECT {_SERIES} FROM series FINAL WHERE {_WITHIN} AND {where} LIMIT {{limit:UInt32}}",  # noqa: S608
        limit=limit,
        **_domains(domains),
        **parameters,
    )
    for row in rows:
        row["fingerprint"] = _hex(row["fingerprint"])
        row["derived"] = [_hex(one) for one in row["derived"]]
    return [msgspec.convert(row, SeriesRow) for row in rows]


def _domains(domains: Sequence[str] | None) -> dict[str, Any]:
    return {"all_domains": domains is None, "domains": list(domains or ())}


def _number(fingerprint: str) -> int:
    return int(fingerprint, 16)


def _numbers(fingerprints: Iterable[str]) -> list[int]:
    """Those that are fingerprints of series; log alerts have digests of another length or form."""
    found = []
    for text in fingerprints:
        try:
            number = int(text, 16)
        except ValueError:
            continue
        if 0 <= number < 2**64:
            found.append(number)
    return found


def _hex(fp: int) -> str:
    """As alerts have it."""
    return f"{fp:016x}"
