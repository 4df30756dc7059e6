"""What a worker tells the pipeline of itself: a few samples as Tocsin JSON lines of the service `tocsin`.

They run through the same detectors as everything else, but against fixed thresholds (`detectors.rules`),
so that a normal pipeline never opens an incident. Several workers share these series: one that is in
trouble keeps an alert open, and the zeros of the others close it when that one is gone.

They come after what is already waiting, so an alert on a lag can only come as late as the lag is long;
what must be known at once is on `/metrics` and `/readyz`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiokafka.errors import KafkaError

from detectors import rules
from streams.agents.readiness import LagWatch
from streams.agents.sinkrunner import SinkRunner
from streams.agents.telemetry import WorkerCollector, stage_totals
from streams.agents.views import StageView, partitions_health
from streams.records import telemetry as core
from streams.records.stage import Output

log = logging.getLogger(__name__)

GRAVE = frozenset({"series", "detector_series", "log_services", "held_rows", "groups"})
"""evictions that lose something an operator would miss; the others only cost learning again"""

NEAR_MS = 6 * 3_600_000

_encode = msgspec.json.Encoder().encode

Value = tuple[str, str, float]
"""metric, stage, value"""


class SelfReport:
    """Values since the report before. Mutable."""

    def __init__(self) -> None:
        self._evicted: dict[str, float] = {}

    def values(self, views: list[StageView], watch: LagWatch, now: float) -> list[Value]:
        """A few numbers a stage; 0 is well. `now` is monotonic seconds."""
        health = partitions_health(views, now)
        watch.observe(health, now)
        found: list[Value] = []
        for view in views:
            own = [p for p in health if p.stage == view.name]
            stalled = max((p.progress_age_s for p in own if p.lag > 0), default=0.0)
            growing = max((watch.not_shrinking_s(p, now) for p in own), default=0.0)
            found += [(rules.STALLED, view.name, stalled), (rules.LAG_NOT_SHRINKING, view.name, growing)]
            if isinstance(view.runner, SinkRunner):
                continue
            ages = [
                now - placed.state_age_from
                for placed in view.runner.partitions.values()
                if placed.stateful and placed.saved_at != placed.next_offset
            ]
            found.append((rules.CHECKPOINT_AGE, view.name, max(ages, default=0.0)))
            totals = stage_totals(view)
            evicted = sum(totals.get((core.EVICTED, kind), 0.0) for kind in GRAVE)
            before = self._evicted.get(view.name, 0.0)
            self._evicted[view.name] = evicted
            found.append((rules.EVICTIONS, view.name, max(0.0, evicted - before)))
        return found


def lines(values: list[Value], ts_ms: int) -> bytes:
    """The values as one record of Tocsin JSON lines."""
    return b"\n".join(
        _encode(
            {
                "ts": ts_ms,
                "service": rules.OWN_SERVICE,
                "metric": metric,
                "value": round(value, 3),
                "labels": {"stage": stage},
                "unit": "s" if metric.endswith("_seconds") else "",
            }
        )
        for metric, stage, value in values
    )


def _worth_telling(views: list[StageView], wall_ms: int) -> bool:
    """Whether something runs whose event time is anywhere near ours.

    Without any data there is nothing to report on, and in a pipeline that works through last year's the
    samples would wait for its event time to come up to today.
    """
    if not any(view.runner.partitions for view in views):
        return False
    cores = [placed.core for view in views for placed in view.runner.partitions.values() if placed.core]
    marks = [
        told.watermark_ms
        for found in cores
        if isinstance(found, core.Telling) and (told := found.telemetry()).watermark_ms is not None
    ]
    return not cores or max(marks, default=0) > wall_ms - NEAR_MS


async def report_forever(
    views: list[StageView],
    collector: WorkerCollector,
    topic: str,
    every_s: float,
    send: Callable[[Output], Awaitable[Awaitable[object]]],
) -> None:
    """Produce a report every `every_s` until cancelled. A broker that is away costs reports, no more."""
    report, failing = SelfReport(), False
    while True:
        await asyncio.sleep(every_s)
        if not _worth_telling(views, time.time_ns() // 1_000_000):
            continue
        values = report.values(views, collector.lag_watch, time.monotonic())
        record = lines(values, time.time_ns() // 1_000_000)
        try:
            async with asyncio.timeout(every_s):
                await (await send(Output(topic, record, b"tocsin")))
        except (KafkaError, TimeoutError) as error:
            collector.self_samples["failed"] += len(values)
            if not failing:
                log.warning(
                    "cannot send samples about ourselves, going on without",
                    extra={"topic": topic, "reason": repr(error)},
                )
            failing = True
        else:
            collector.self_samples["sent"] += len(values)
            failing = False
