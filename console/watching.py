"""Watches the workers for all who look at the pipeline: one scrape for everybody, a short memory."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from streams.agents import metric_names as names
from streams.agents.watching import Frame, Worker, frame, metrics_url, scrape, unready_reasons

EVERY_S = 3.0
KEPT = 300
"""looks, a quarter of an hour"""


class Look(NamedTuple):
    """What is drawn over time, of one stage."""

    at_ms: int
    stage: str
    lag: int
    rows: float | None
    p99_s: float | None


class Watch:
    """Begins to look when somebody asks for the first time."""

    def __init__(self, addresses: Sequence[str], clock: Callable[[], int]) -> None:
        self._workers = [Worker(metrics_url(one)) for one in addresses]
        self._clock = clock
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="scrape")
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self.frame: Frame | None = None
        self.looks: deque[Look] = deque(maxlen=KEPT * 8)
        self.series = 0
        """watched by the detectors of all workers"""

    async def seen(self) -> Frame:
        """The newest picture; waits for the first."""
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
            at = time.monotonic()
            asked = [loop.run_in_executor(self._pool, _ask, worker, at) for worker in self._workers]
            self._workers = list(await asyncio.gather(*asked))
            self.frame = frame(self._workers)
            self.series = int(
                sum(
                    w.now.total(names.ENTRIES.name, stage="detect", kind="series")
                    for w in self._workers
                    if w.now
                )
            )
            now_ms = self._clock()
            for row in self.frame.stages:
                self.looks.append(Look(now_ms, row.name, row.lag, row.rows, row.p99_s))
            self._first.set()
            await asyncio.sleep(EVERY_S)


def _ask(worker: Worker, at: float) -> Worker:
    answer = scrape(worker.url, at)
    if isinstance(answer, str):
        return Worker(worker.url, None, worker.before, answer)
    reasons = () if answer.total(names.READY.name) else unready_reasons(worker.url)
    return Worker(worker.url, answer, worker.now, reasons=reasons)
