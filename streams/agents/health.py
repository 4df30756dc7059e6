"""The worker's HTTP endpoint: is it alive, is it ready, how far behind, and its metrics.

`/livez` asks whether a restart would help, `/readyz` whether the worker does its share, and both name
their reasons; `/healthz` is for those who know one question only. `/lag` lists partitions, `/metrics` is
for Prometheus.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from streams.agents.readiness import LagWatch, unready
from streams.agents.telemetry import WorkerCollector, registry_of
from streams.agents.views import (
    PartitionHealth,
    StageView,
    Stall,
    partitions_health,
    stalled_for,
)

__all__ = [
    "HealthServer",
    "PartitionHealth",
    "StageView",
    "Stall",
    "partitions_health",
    "stalled_for",
    "verdict",
]

LOOPBACK = "127.0.0.1"


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


class HealthServer:
    """Serves `/livez`, `/readyz`, `/healthz` (200 or 503), `/lag` (JSON) and `/metrics`."""

    def __init__(
        self,
        views: Sequence[StageView],
        unhealthy_after_s: float,
        collector: WorkerCollector | None = None,
        exit_after_s: float = 300.0,
    ) -> None:
        self._views = views
        self._unhealthy_after_s = unhealthy_after_s
        self._exit_after_s = exit_after_s
        self._collector = collector or WorkerCollector(views, LagWatch(100_000), unhealthy_after_s)
        self._registry = registry_of(self._collector)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, host: str = LOOPBACK) -> int:
        """Listen; port 0 takes a free one. Returns the port. Raises OSError if it is taken."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/lag", self._lag)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        # That it answers at all says most: the loop turns. A target or broker that is away is no reason to
        # restart.
        stall = stalled_for(self._views, time.monotonic(), outage_counts=False)
        reasons = [str(stall)] if stall is not None and stall.seconds > self._exit_after_s else []
        return _answer("alive", "stalled", reasons)

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = unready(self._views, self._collector.lag_watch, time.monotonic(), self._unhealthy_after_s)
        return _answer("ready", "not ready", reasons)

    async def _healthz(self, _: web.Request) -> web.Response:
        found = verdict(self._views, time.monotonic(), self._unhealthy_after_s)
        return web.json_response(found, status=200 if found["status"] == "ok" else 503)

    async def _lag(self, _: web.Request) -> web.Response:
        return web.json_response(
            [dataclasses.asdict(p) for p in partitions_health(self._views, time.monotonic())]
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _answer(good: str, bad: str, reasons: list[str]) -> web.Response:
    body = {"status": bad if reasons else good, "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200)
