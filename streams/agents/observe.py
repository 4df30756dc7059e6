"""Everything that watches a worker, started and stopped as one: endpoint, OTLP export, self samples."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from streams.agents.health import LOOPBACK, HealthServer
from streams.agents.readiness import LagWatch
from streams.agents.telemetry import WorkerCollector, registry_of
from streams.agents.telemetry_otlp import OtlpExport
from streams.agents.telemetry_self import report_forever
from streams.agents.topics import StartError
from streams.agents.views import StageView, partitions_health
from streams.records.stage import Output

log = logging.getLogger(__name__)

Send = Callable[[Output], Awaitable[Awaitable[object]]]


@dataclasses.dataclass(frozen=True, slots=True)
class ObserveConfig:
    """How a worker is watched. Times in the unit of their name."""

    health_host: str = LOOPBACK
    ready_lag_records: int = 100_000
    """a larger lag must be shrinking for the worker to be ready"""
    otlp_endpoint: str = ""
    """empty: no export"""
    otlp_interval_s: float = 30.0
    self_topic: str = ""
    """where samples about ourselves go; empty: nowhere"""
    self_every_s: float = 10.0


class Observer:
    """The watching of one worker."""

    def __init__(
        self,
        config: ObserveConfig,
        views: Sequence[StageView],
        unhealthy_after_s: float,
        exit_after_s: float,
    ) -> None:
        """Raises StartError when something configured is not installed."""
        self._config = config
        self._views = list(views)
        self.lag_watch = LagWatch(config.ready_lag_records)
        self.collector = WorkerCollector(views, self.lag_watch, unhealthy_after_s)
        self._health = HealthServer(views, unhealthy_after_s, self.collector, exit_after_s)
        self._export = (
            OtlpExport(
                config.otlp_endpoint, config.otlp_interval_s, registry_of(self.collector), self.collector
            )
            if config.otlp_endpoint
            else None
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, port: int | None, send: Send, announce: Callable[[str], None]) -> None:
        """Serve on `port` (None: no endpoint) and begin to report. Raises StartError."""
        host = self._config.health_host
        if port is not None:
            shown = f"[{host}]" if ":" in host else host
            announce(f"health at http://{shown}:{await self._serve(port, host)}/healthz")
        self._tasks.append(asyncio.create_task(self._watch_lag()))
        if self._export is not None:
            self._tasks.append(asyncio.create_task(self._export.run()))
        if self._config.self_topic:
            self._tasks.append(
                asyncio.create_task(
                    report_forever(
                        self._views, self.collector, self._config.self_topic, self._config.self_every_s, send
                    )
                )
            )

    async def stop(self) -> None:
        """Stop all of it."""
        for task in self._tasks:
            task.cancel()
        for done in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(done, Exception):
                log.error("watching the worker had failed: %r", done)
        if self._export is not None:
            await self._export.stop()
        await self._health.stop()

    async def _serve(self, port: int, host: str) -> int:
        try:
            return await self._health.start(port, host)
        except OSError as error:
            raise StartError(
                f"cannot serve health on {host}:{port} ({error.strerror}): "
                "pass another --health-port, 0 for any free one"
            ) from error

    async def _watch_lag(self) -> None:
        # Asked only when somebody scrapes, a short dip of a large lag would be missed.
        while True:
            now = time.monotonic()
            self.lag_watch.observe(partitions_health(self._views, now), now)
            await asyncio.sleep(1.0)
