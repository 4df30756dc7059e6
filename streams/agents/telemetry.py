"""The worker's metrics, read off its counters when somebody asks: nothing is done for them per record."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from streams.agents import metric_names as names
from streams.agents.measures import add_to, grown
from streams.agents.readiness import LagWatch, unready
from streams.agents.runner import CoreRunner
from streams.agents.sinkrunner import SinkRunner
from streams.agents.views import StageView, partitions_health
from streams.records import telemetry as core

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

REFUSED = "refused:"
"""how a sink's outcome begins that is a dead letter"""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def tocsin_version() -> str:
    """Version of the installed package, \"unknown\" when it runs from a bare source tree."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


class WorkerCollector(Collector):
    """All of `metric_names`, with the values of this moment."""

    def __init__(
        self,
        views: Sequence[StageView],
        lag_watch: LagWatch,
        unhealthy_after_s: float,
        wall_ms: Callable[[], int] = _wall_ms,
    ) -> None:
        self.views = views
        self.lag_watch = lag_watch
        self.exports = {"done": 0, "failed": 0}
        """OTLP exports"""
        self.self_samples = {"sent": 0, "failed": 0}
        self._unhealthy_after_s = unhealthy_after_s
        self._wall_ms = wall_ms

    def collect(self) -> Iterator[Family]:
        """Families in the order of `metric_names`."""
        yield from self._partitions()
        yield from self._runners()
        yield from self._cores()
        yield from self._durations()
        yield from self._queues()
        yield from self._worker()

    def _partitions(self) -> Iterator[Family]:
        now, wall = time.monotonic(), self._wall_ms()
        health = partitions_health(self.views, now)
        self.lag_watch.observe(health, now)
        lag, growing = _family(names.LAG), _family(names.LAG_GROWING)
        age, ceiling = _family(names.PROGRESS_AGE), _family(names.COMMIT_CEILING)
        for p in health:
            labels = (p.stage, p.topic, str(p.partition))
            lag.add_metric(labels, p.lag)
            growing.add_metric(labels, self.lag_watch.not_shrinking_s(p, now))
            age.add_metric(labels, p.progress_age_s)
            if p.commit_ceiling is not None:
                ceiling.add_metric(labels, p.commit_ceiling)
        yield from (lag, growing, age, ceiling)
        delay, saved, size = (
            _family(m) for m in (names.WATERMARK_DELAY, names.CHECKPOINT_AGE, names.CHECKPOINT_SIZE)
        )
        for view in self.views:
            for tp, placed in sorted(view.runner.partitions.items()):
                labels = (view.name, tp.topic, str(tp.partition))
                told = _told(placed.core)
                if told is not None and told.watermark_ms is not None:
                    delay.add_metric(labels, (wall - told.watermark_ms) / 1000)
                if placed.stateful:
                    covered = placed.saved_at == placed.next_offset
                    saved.add_metric(labels, 0.0 if covered else max(0.0, now - placed.state_age_from))
                    size.add_metric(labels, placed.saved_bytes)
        yield from (delay, saved, size)

    def _runners(self) -> Iterator[Family]:
        for field, metric in names.COUNTERS.items():
            family = _family(metric)
            for view in self.views:
                family.add_metric((view.name,), getattr(view.runner.counters, field))
            yield family

    def _cores(self) -> Iterator[Family]:
        families = {what: _family(metric) for what, metric in names.CORE_TOTALS.items()}
        entries, outcomes = _family(names.ENTRIES), _family(names.SINK_RECORDS)
        for view in self.views:
            totals, levels = stage_totals(view), stage_levels(view)
            if isinstance(view.runner, SinkRunner):
                for outcome, records in sorted(view.runner.outcomes().items()):
                    outcomes.add_metric((view.name, outcome), records)
                    if outcome.startswith(REFUSED):
                        add_to(totals, {(core.DEAD, outcome.removeprefix(REFUSED)): records})
            for (what, which), count in sorted(totals.items()):
                labels = (view.name,) if what == core.LATE else (view.name, which)
                families[what].add_metric(labels, count)
            for kind, count in sorted(levels.items()):
                entries.add_metric((view.name, kind), count)
        yield from families.values()
        yield from (entries, outcomes)

    def _durations(self) -> Iterator[Family]:
        for field, metric in names.HISTOGRAMS.items():
            family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for view in self.views:
                histogram = getattr(view.runner.counters, field)
                family.add_metric((view.name,), histogram.cumulative(), histogram.total)
            yield family

    def _queues(self) -> Iterator[Family]:
        queue, chunks, size, retrying, assigned = (
            _family(m)
            for m in (
                names.QUEUE,
                names.INFLIGHT_CHUNKS,
                names.INFLIGHT_BYTES,
                names.RETRYING,
                names.ASSIGNED,
            )
        )
        for view in self.views:
            labels, runner = (view.name,), view.runner
            queue.add_metric(labels, view.queued_chunks())
            assigned.add_metric(labels, len(runner.partitions))
            if isinstance(runner, CoreRunner):
                chunks.add_metric(labels, runner.inflight.chunks)
                size.add_metric(labels, runner.inflight.bytes)
            else:
                since = runner.retrying_since
                retrying.add_metric(labels, 0.0 if since is None else time.monotonic() - since)
        yield from (queue, chunks, size, retrying, assigned)

    def _worker(self) -> Iterator[Family]:
        ready = _family(names.READY)
        reasons = unready(self.views, self.lag_watch, time.monotonic(), self._unhealthy_after_s)
        ready.add_metric((), 0.0 if reasons else 1.0)
        yield ready
        build = _family(names.BUILD_INFO)
        build.add_metric((tocsin_version(), platform.python_version()), 1)
        yield build
        for metric, counts in (
            (names.OTLP_EXPORTS, self.exports),
            (names.SELF_SAMPLES, self.self_samples),
        ):
            family = _family(metric)
            for outcome, count in counts.items():
                family.add_metric((outcome,), count)
            yield family


def registry_of(collector: WorkerCollector) -> CollectorRegistry:
    """A registry of our own: the collector, and the process's CPU, memory and files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def stage_totals(view: StageView) -> dict[tuple[str, str], float]:
    """What the cores of a stage have counted since the worker started, also those that have left."""
    totals: dict[tuple[str, str], float] = dict(view.runner.counters.retired)
    for placed in view.runner.partitions.values():
        add_to(totals, grown(core.totals_of(placed.core), placed.base))
    return totals


def stage_levels(view: StageView) -> dict[str, float]:
    """Entries held by the cores of a stage, by kind."""
    levels: dict[str, float] = {}
    for placed in view.runner.partitions.values():
        told = _told(placed.core)
        if told is None:
            continue
        for kind, count in told.levels.items():
            levels[kind] = levels.get(kind, 0.0) + count
        for kind, count in told.shared.items():
            levels[kind] = max(levels.get(kind, 0.0), count)
    return levels


def _told(found: object) -> core.CoreTelemetry | None:
    return found.telemetry() if isinstance(found, core.Telling) else None


def _family(metric: names.Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)
