"""A worker's own health: lag per partition, the watchdog's verdict, and the loopback HTTP endpoint.

Faust's detector of stalled partitions compares a monotonic with an epoch clock and cannot fire, so
this one looks at the only thing that matters: is there something to read, and has it moved.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from streams.agents import metric_names as names
from streams.agents.runner import CoreRunner
from streams.agents.sinkrunner import SinkRunner


@dataclasses.dataclass(frozen=True, slots=True)
class StageView:
    """A stage as the health endpoint sees it."""

    name: str
    runner: CoreRunner | SinkRunner


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionHealth:
    """Lag in records, age of the last progress, and for how long the broker has answered without a gap."""

    stage: str
    topic: str
    partition: int
    lag: int
    progress_age_s: float
    commit_ceiling: int | None
    broker_answers_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Stall:
    """A partition with lag that does not move."""

    stage: str
    topic: str
    partition: int
    lag: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.stage} made no progress on {self.topic}/{self.partition} for {self.seconds:.0f} s "
            f"with {self.lag} records waiting"
        )


def partitions_health(views: Sequence[StageView], now: float) -> list[PartitionHealth]:
    """One line per assigned partition; `now` is monotonic seconds."""
    return [
        PartitionHealth(
            view.name,
            tp.topic,
            tp.partition,
            max(0, (placed.high if placed.high is not None else placed.done_offset) - placed.done_offset),
            max(0.0, now - placed.progress_at),
            placed.ceiling,
            now - placed.heard_since if placed.broker_answers(now) else 0.0,
        )
        for view in views
        for tp, placed in sorted(view.runner.partitions.items())
    ]


def stalled_for(views: Sequence[StageView], now: float, retrying_counts: bool = False) -> Stall | None:
    """The partition that has stood still longest while it has lag, if any.

    A sink that is retrying its target, and everyone while the broker does not answer, stand still for a
    known reason that a restart would not cure: it counts as unhealthy (`retrying_counts`), but not as a
    reason to end the worker.
    """
    retrying = {
        v.name for v in views if isinstance(v.runner, SinkRunner) and v.runner.retrying_since is not None
    }
    stalls = [
        Stall(
            p.stage,
            p.topic,
            p.partition,
            p.lag,
            p.progress_age_s if retrying_counts else min(p.progress_age_s, p.broker_answers_s),
        )
        for p in partitions_health(views, now)
        if p.lag > 0 and (retrying_counts or p.stage not in retrying)
    ]
    return max(stalls, key=lambda stall: stall.seconds, default=None)


def verdict(views: Sequence[StageView], now: float, unhealthy_after_s: float) -> dict[str, Any]:
    """`{"status": "ok" | "stalled", "reason": str, "stages": [...]}`."""
    stall = stalled_for(views, now, retrying_counts=True)
    bad = stall is not None and stall.seconds > unhealthy_after_s
    return {
        "status": "stalled" if bad else "ok",
        "reason": str(stall) if bad else "",
        "stages": [
            {
                "stage": view.name,
                "partitions": len(view.runner.partitions),
                "records": view.runner.counters.records,
            }
            for view in views
        ],
    }


def render_metrics(views: Sequence[StageView], now: float) -> str:
    """Prometheus text exposition."""
    lines: list[str] = []

    def describe(metric: names.Metric) -> None:
        lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")

    health = partitions_health(views, now)
    for metric, field in (
        (names.LAG, "lag"),
        (names.PROGRESS_AGE, "progress_age_s"),
        (names.COMMIT_CEILING, "commit_ceiling"),
    ):
        describe(metric)
        lines += [
            f'{metric.name}{{stage="{p.stage}",topic="{p.topic}",partition="{p.partition}"}} '
            f"{getattr(p, field)}"
            for p in health
            if getattr(p, field) is not None
        ]
    for field, metric in names.COUNTERS.items():
        describe(metric)
        lines += [f'{metric.name}{{stage="{v.name}"}} {getattr(v.runner.counters, field)}' for v in views]
    return "\n".join(lines) + "\n"


class HealthServer:
    """Serves `/healthz` (200 or 503), `/lag` (JSON) and `/metrics` on 127.0.0.1."""

    def __init__(self, views: Sequence[StageView], unhealthy_after_s: float) -> None:
        self._views = views
        self._unhealthy_after_s = unhealthy_after_s
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listen; port 0 takes a free one. Returns the port. Raises OSError if it is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/lag", self._lag)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        found = verdict(self._views, time.monotonic(), self._unhealthy_after_s)
        return web.json_response(found, status=200 if found["status"] == "ok" else 503)

    async def _lag(self, _: web.Request) -> web.Response:
        return web.json_response(
            [dataclasses.asdict(p) for p in partitions_health(self._views, time.monotonic())]
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=render_metrics(self._views, time.monotonic()), content_type="text/plain")
