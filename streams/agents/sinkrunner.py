"""Drives a sink: records in, written to a target outside Kafka, acked when the target has them.

While the target is away the write is retried and nothing else is read: the queue in front of the
agent fills, the reader pauses, memory stays bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Protocol

import tenacity
from faust.types import TP

from sinks.protocol import SinkMisconfigured
from streams.agents.placed import InFlight, PlacedPartition
from streams.agents.runner import Counters, RunnerConfig
from streams.agents.topics import StartError
from streams.agents.transport import Chunk
from streams.records.stage import Record

log = logging.getLogger(__name__)


class SinkHandler(Protocol):
    """What a sink implements. Writing the same records again must be harmless."""

    @property
    def retryable(self) -> tuple[type[BaseException], ...]:
        """Exceptions that mean "unavailable, try again"; any other one is a bug and ends the worker."""
        ...

    async def start(self) -> None:
        """Called once before the first write. Raises one of `retryable` while the target is away."""
        ...

    async def stop(self) -> None:
        """Called once after the last write."""
        ...

    async def write(self, records: Sequence[Record]) -> None:
        """Return when the target has confirmed all of them."""
        ...


class SinkRunner:
    """The shell around one sink in one worker."""

    def __init__(
        self,
        config: RunnerConfig,
        handler: SinkHandler,
        fail: Callable[[BaseException], None],
        max_wait_s: float = 30.0,
    ) -> None:
        self.config = config
        self.counters = Counters()
        self.partitions: dict[TP, PlacedPartition] = {}
        self.retrying_since: float | None = None
        """monotonic time of the first failed attempt of the write under way"""
        self._handler = handler
        self._fail = fail
        self._max_wait_s = max_wait_s
        self._turn = asyncio.Lock()
        self._leaving = asyncio.Event()

    async def place(self, base: Mapping[TP, int], ends: Mapping[TP, int]) -> Mapping[TP, int]:
        """Start at the committed offsets."""
        if set(self.partitions) != set(base):
            # A sink awaits its write before it takes the next chunk: nothing is ever in flight.
            idle = InFlight(1, 1)
            self.partitions = {tp: PlacedPartition(at, idle, done_offset=at) for tp, at in base.items()}
            self.counters.rebalances += 1
        self._leaving.clear()
        return {tp: placed.next_offset for tp, placed in self.partitions.items()}

    async def release(self) -> None:
        """Let the write under way finish; one that is being retried is given up and read again."""
        try:
            async with (
                asyncio.timeout(self.config.drain_s if self.retrying_since is None else 0.5),
                self._turn,
            ):
                self._leaving.set()
        except TimeoutError:
            self._leaving.set()
            log.warning("%s: target not available, the rest will be read again", self.config.stage)

    def forget(self) -> None:
        """Drop the partitions."""
        self._leaving.set()
        self.partitions = {}

    def keep(self, ours: Set[TP]) -> None:
        """A sink has nothing to keep."""

    def commit_ceiling(self, tp: TP) -> int | None:
        placed = self.partitions.get(tp)
        return None if placed is None else placed.ceiling

    async def tick(self) -> None:
        """Sinks have no clock."""

    async def submit(self, tp: TP, chunk: Chunk, ack: Callable[[], Any]) -> None:
        """Write one chunk; returns when the target has it, or when the partition is leaving."""
        try:
            async with self._turn:
                placed = self.partitions.get(tp)
                if placed is None or self._leaving.is_set():
                    return
                records = chunk.to_records(placed.next_offset)
                self.counters.skipped += len(chunk.records) - len(records)
                if records and not await self._write(records):
                    return
                if records and placed is self.partitions.get(tp):
                    placed.next_offset = placed.done_offset = placed.ceiling = records[-1].offset + 1
                    placed.progress_at = time.monotonic()
                    placed.records += len(records)
                self.counters.records += len(records)
                ack()
        except Exception as error:
            self._fail(error)
            raise

    async def _write(self, records: Sequence[Record]) -> bool:
        """Retry until written; False if the partition left before that."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(self._handler.retryable),
            wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=self._max_wait_s),
            stop=lambda _: self._leaving.is_set(),
            before_sleep=self._note_retry,
            sleep=self._sleep,
            reraise=True,
        )
        began = time.perf_counter()
        try:
            await retrying(self._handler.write, records)
        except self._handler.retryable:
            return False
        finally:
            self.retrying_since = None
        self.counters.write_s.observe(time.perf_counter() - began)
        if records[0].timestamp_ms > 0:
            self.counters.effect_s.observe(time.time() - records[0].timestamp_ms / 1000)
        return True

    def outcomes(self) -> Mapping[str, int]:
        """What became of records, as far as the sink counts it (`written`, `refused:REASON`, ...)."""
        counts: Mapping[str, int] = getattr(self._handler, "counts", {})
        return counts

    def _note_retry(self, state: tenacity.RetryCallState) -> None:
        self.counters.retries += 1
        error = state.outcome.exception() if state.outcome else None
        if self.retrying_since is None:
            self.retrying_since = time.monotonic()
            fields = {"stage": self.config.stage, "reason": type(error).__name__}
            log.warning("%s: target unavailable, retrying: %s", self.config.stage, error, extra=fields)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        except TimeoutError:
            pass


async def start_handler(handler: SinkHandler, patience_s: float) -> None:
    """Start a sink, waiting for its target up to `patience_s`. Raises StartError."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            await handler.start()
        except SinkMisconfigured as error:
            raise StartError(str(error)) from error
        except handler.retryable as error:
            if time.monotonic() > deadline:
                raise StartError(str(error)) from error
            await asyncio.sleep(0.5)
        else:
            return
