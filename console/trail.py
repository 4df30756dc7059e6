"""Records of the audit on their way to Kafka and into the log, without anybody waiting for them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from console.access.folding import Folds
from console.store import Unavailable
from correlator.cloudevents import headers
from streams.records.audit import AuditRecord

MOST = 10_000
"""records that wait while Kafka is away; what comes then is in the log alone"""
_AGAIN_S = 1.0
_LAST_S = 2.0
"""at the end: time to send what waits"""
log = logging.getLogger(__name__)
lines = logging.getLogger("tocsin.audit")


class Way(Protocol):
    """The part of the bus that is needed."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes, *, headers: list[tuple[str, bytes]]
    ) -> None: ...


class Trail:
    """`keep` never waits and never fails. Each record is a line of the log first."""

    def __init__(self, bus: Way, topic: str, clock: Callable[[], int], most: int = MOST) -> None:
        self._bus = bus
        self._topic = topic
        self._clock = clock
        self._most = most
        self._folds = Folds()
        self._queue: deque[AuditRecord] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """never sent: they are in the log alone"""

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def keep(self, record: AuditRecord) -> None:
        for one in self._folds.take(record, self._clock()):
            self._put(one)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="audit")

    async def stop(self) -> None:
        """Sends what waits if that is quick."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for one in self._folds.due(self._clock(), all=True):
            self._put(one)
        with suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(_LAST_S):
                await self.send()
        if self._queue:
            log.warning("audit: %d records did not reach Kafka, they are in this log alone", self.waiting)

    async def send(self) -> None:
        """All that waits, in order. Raises `Unavailable` at the first the broker does not confirm."""
        while self._queue:
            one = self._queue[0]
            said = headers(one.id, "audit", one.target, one.at)
            await self._bus.send(self._topic, one.id.encode(), msgspec.json.encode(one), headers=list(said))
            self._queue.popleft()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._more.wait()
            self._more.clear()
            for one in self._folds.due(self._clock()):
                self._put(one)
            try:
                await self.send()
            except Unavailable:
                await asyncio.sleep(_AGAIN_S)

    def _put(self, record: AuditRecord) -> None:
        lines.info(msgspec.json.encode(record).decode())
        if len(self._queue) >= self._most:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1_000 == 0:
                log.warning(
                    "audit: %d records wait for Kafka, %d are in this log alone", self.waiting, self.dropped
                )
            return
        self._queue.append(record)
        self._more.set()


def show_lines() -> None:
    """Lines of the audit on standard error also where nobody has set up logging."""
    lines.setLevel(logging.INFO)
    if not lines.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
        lines.addHandler(handler)
