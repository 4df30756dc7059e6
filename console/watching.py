"""Watches the workers for all who look at the pipeline: one scrape for everybody, a short memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from console.grouplag import GroupLags
from streams.agents import metric_names as names
from streams.agents.watching import Frame, Worker, frame, metrics_url, scrape, unready_reasons

EVERY_S = 3.0
KEPT = 300
"""looks, a quarter of an hour"""
KAFKA_EVERY_S = 10.0
LOOKED_S = 30.0
"""Kafka is asked only while somebody looks"""


class Look(NamedTuple):
    """What is drawn over time, of one stage."""

    at_ms: int
    stage: str
    lag: int
    rows: float | None
    p99_s: float | None


class Watch:
    """Begins to look when somebody asks for the first time.

    `ask_kafka`: for lags, at a time in ms UTC, while no worker answers; None: nobody is asked.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        clock: Callable[[], int],
        ask_kafka: Callable[[int], Awaitable[GroupLags]] | None = None,
    ) -> None:
        self._workers = [Worker(metrics_url(one)) for one in addresses]
        self._clock = clock
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="scrape")
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._ask_kafka = ask_kafka
        self._kafka_at = self._seen_at = float("-inf")
        self.frame: Frame | None = None
        self.at_ms = 0
        """when the workers were asked for `frame`, ms UTC"""
        self.kafka: GroupLags | None = None
        """lags as Kafka knows them; None: a worker answers, or nobody has asked yet"""
        self.looks: deque[Look] = deque(maxlen=KEPT * 8)
        self.series = 0
        """watched by the detectors of all workers"""

    async def seen(self) -> Frame:
        """The newest picture; waits for the first."""
        self._seen_at = time.monotonic()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watch")
        await self._first.wait()
        assert self.frame is not None  # noqa: S101 - set before the event
        return self.frame

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, now_ms = time.monotonic(), self._clock()
            asked = [loop.run_in_executor(self._pool, _ask, worker, at) for worker in self._workers]
            self._workers = list(await asyncio.gather(*asked))
            self.frame, self.at_ms = frame(self._workers), now_ms
            self.series = int(
                sum(
                    w.now.total(names.ENTRIES.name, stage="detect", kind="series")
                    for w in self._workers
                    if w.now
                )
            )
            await self._lags(any(worker.now for worker in self._workers), now_ms)
            for row in self.frame.stages:
                self.looks.append(Look(now_ms, row.name, row.lag, row.rows, row.p99_s))
            self._first.set()
            await asyncio.sleep(EVERY_S)

    async def _lags(self, answered: bool, now_ms: int) -> None:
        if answered:
            self.kafka = None
        elif self._ask_kafka is not None and self._due():
            self.kafka = await self._ask_kafka(now_ms)
            self._kafka_at = time.monotonic()

    def _due(self) -> bool:
        now = time.monotonic()
        return now - self._kafka_at >= KAFKA_EVERY_S and now - self._seen_at < LOOKED_S


def _ask(worker: Worker, at: float) -> Worker:
    answer = scrape(worker.url, at)
    if isinstance(answer, str):
        return Worker(worker.url, None, worker.before, answer)
    reasons = () if answer.total(names.READY.name) else unready_reasons(worker.url)
    return Worker(worker.url, answer, worker.now, reasons=reasons)
