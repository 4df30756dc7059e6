"""A run of a data set as the records a producer would have written, in time order.

Back-test and replay share this, so that they feed the pipeline the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from cli.dataset import DataSet, Metrics, Spans
from streams.records.digest import shard_of

DAY_MS = 86_400_000
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class TimelineRecord:
    """One record to publish: `value` holds `rows` Tocsin JSON lines, the newest at `ts_ms`."""

    partition: int
    ts_ms: int
    value: bytes
    rows: int

    @property
    def headers(self) -> Headers:
        """The record's own time stands in for the clock when rows are checked for age."""
        return (("tocsin-now", str(self.ts_ms).encode()),)


@dataclass(frozen=True, slots=True)
class Span:
    """First and last event time of a run, and how many rows it holds."""

    begin_ms: int
    end_ms: int
    rows: int


class Moved(NamedTuple):
    """A run that is put before another one."""

    by_ms: int
    before_ms: int
    """rows from here on, after moving, are left out"""


STAYS = Moved(0, 2**62)


def ahead(history: Span, begin_ms: int) -> Moved:
    """How a run is moved to be the history of one that begins at `begin_ms`.

    By whole days, so that it goes up to that moment and has the same time of day; where it is too short
    for that, so that it ends right there.
    """
    days = (begin_ms - history.end_ms) // DAY_MS + 1
    by_ms = days * DAY_MS
    if history.begin_ms + by_ms >= begin_ms:
        by_ms = begin_ms - history.end_ms - 1
    return Moved(by_ms, begin_ms)


def control(what: str, epoch: str, begin_ms: int) -> Headers:
    """Headers of the record that opens (`begin`) or closes (`end`) a bounded replay on a partition."""
    return (
        ("tocsin-control", what.encode()),
        ("tocsin-epoch", epoch.encode()),
        ("tocsin-begin", str(begin_ms).encode()),
    )


class Timeline:
    """Rows of one run: metrics, logs and spans merged by time."""

    def __init__(self, data: DataSet, run: str, moved: Moved = STAYS) -> None:
        self._metrics = metrics = data.metrics(run)
        self._logs = logs = data.logs(run)
        self._spans = spans = data.spans(run)
        if moved is not STAYS:
            keep = metrics.ts + moved.by_ms < moved.before_ms
            rows = metrics.index[keep], metrics.ts[keep] + moved.by_ms, metrics.value[keep]
            self._metrics = metrics = Metrics(metrics.series, *rows)
            kept = int(np.searchsorted(logs.ts + moved.by_ms, moved.before_ms))
            times = logs.ts[:kept] + moved.by_ms
            self._logs = logs = replace(logs, origin=logs.origin[:kept], ts=times)
            kept = int(np.searchsorted(spans.ts + moved.by_ms, moved.before_ms))
            times = spans.ts[:kept] + moved.by_ms
            self._spans = spans = replace(spans, origin=spans.origin[:kept], ts=times)
        ts = np.concatenate([metrics.ts, logs.ts, spans.ts])
        # Stable: at equal times metrics come before logs and these before spans, each in its own order.
        self._order = np.argsort(ts, kind="stable")
        self._ts = ts[self._order]
        self.span = Span(int(self._ts[0]), int(self._ts[-1]), len(ts)) if len(ts) else Span(0, 0, 0)

    def records(
        self, partitions: int, page: int, slice_ms: int = 0, cuts: Sequence[int] = ()
    ) -> Iterator[TimelineRecord]:
        """Records of at most `page` rows; a service always goes to the same partition.

        With `slice_ms` > 0 no record spans a multiple of it, so that a paced replay sends rows
        when they are due. None holds rows up to and after one of `cuts` (sorted, ms UTC).
        """
        metrics, logs, spans = self._metrics, self._logs, self._spans
        heads = [_head(s.service, s.metric, s.labels) for s in metrics.series]
        metric_home = [shard_of(s.service, partitions) for s in metrics.series]
        log_home = [shard_of(o.service, partitions) for o in logs.origins]
        span_home = [shard_of(o.service, partitions) for o in spans.origins]
        samples, texts = len(metrics.ts), len(metrics.ts) + len(logs.ts)
        coming = list(reversed(cuts))
        waiting: list[list[bytes]] = [[] for _ in range(partitions)]
        newest = [0] * partitions
        current = None
        for row, ts in zip(self._order.tolist(), self._ts.tolist(), strict=True):
            if slice_ms and ts // slice_ms != current:
                current = ts // slice_ms
                yield from self._flush(waiting, newest)
            if coming and ts > coming[-1]:
                while coming and ts > coming[-1]:
                    coming.pop()
                yield from self._flush(waiting, newest)
            if row < samples:
                which = metrics.index[row]
                home = metric_home[which]
                line = b'%s"ts":%d,"value":%s}' % (heads[which], ts, repr(float(metrics.value[row])).encode())
            elif row >= texts:
                at = row - texts
                home = span_home[spans.origin[at]]
                line = _span(spans, at, ts)
            else:
                at = row - samples
                origin = logs.origins[logs.origin[at]]
                home = log_home[logs.origin[at]]
                line = msgspec.json.encode(
                    {
                        "ts": ts,
                        "service": origin.service,
                        "instance": origin.instance,
                        "severity": int(logs.severity[at]),
                        "body": logs.bodies[at],
                    }
                )
            waiting[home].append(line)
            newest[home] = ts
            if len(waiting[home]) >= page:
                yield _record(home, waiting[home], newest[home])
                waiting[home] = []
        yield from self._flush(waiting, newest)

    @staticmethod
    def _flush(waiting: list[list[bytes]], newest: list[int]) -> Iterator[TimelineRecord]:
        for home, lines in enumerate(waiting):
            if lines:
                yield _record(home, lines, newest[home])
                waiting[home] = []


def _span(spans: Spans, at: int, ts: int) -> bytes:
    origin, (trace, own, parent) = spans.origins[spans.origin[at]], spans.ids[at]
    return msgspec.json.encode(
        {
            "ts": ts,
            "service": origin.service,
            "instance": origin.instance,
            "trace_id": trace,
            "span_id": own,
            "parent_id": parent,
            "error": bool(spans.error[at]),
        }
    )


def _head(service: str, metric: str, labels: tuple[tuple[str, str], ...]) -> bytes:
    """A sample's JSON up to and including the comma before its time."""
    fixed = msgspec.json.encode({"service": service, "metric": metric, "labels": dict(labels)})
    return fixed[:-1] + b","


def _record(partition: int, lines: list[bytes], newest: int) -> TimelineRecord:
    return TimelineRecord(partition, newest, b"\n".join(lines), len(lines))
