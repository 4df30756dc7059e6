"""Drives the pure cores of a stage: records in, outputs produced, delivery awaited, offsets moved on.

Order of events for a chunk: `core.process` -> outputs handed to the producer in order -> the broker
has acknowledged all of them -> the chunk is acked. Several chunks may be in flight, but they finish
in order. A checkpoint waits in the same line, so it never covers an output that could still be lost.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Protocol

from faust.types import TP

from streams.agents.checkpoints import Checkpoint
from streams.agents.measures import Histogram, add_to, grown
from streams.agents.placed import InFlight, PlacedPartition, Sent, Snapshot
from streams.agents.transport import Chunk
from streams.records.stage import Output, PartitionCore, Record
from streams.records.telemetry import totals_of

log = logging.getLogger(__name__)

CoreFactory = Callable[[str, int], PartitionCore]
"""(topic, partition) -> a fresh core of that partition."""

Send = Callable[[Output], Awaitable[Awaitable[object]]]
"""Hands an output to the producer; the inner awaitable is done when the broker has it."""

SNAPSHOT_SHARE = 0.05
"""At most this share of a worker's time goes into taking one partition's snapshots."""


class Prefetch(Protocol):
    """Gets what the cores need beforehand because of the records they are about to see."""

    topics: frozenset[str]
    """where such records are"""

    async def prepare(self, records: Sequence[Record]) -> None:
        """Return when all is there."""
        ...


class CheckpointLog(Protocol):
    """What the runner asks of `checkpoints.CheckpointStore`."""

    async def write(self, checkpoint: Checkpoint) -> int: ...

    async def read(self, wanted: set[TP]) -> Mapping[TP, Checkpoint]: ...

    async def reaches(self, tp: TP, offset: int) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True)
class RunnerConfig:
    """Tunables of a runner; times in the unit of their name."""

    stage: str
    checkpoint_s: float = 5.0
    tick_s: float = 0.5
    drain_s: float = 15.0
    """a revoked partition that is not finished after this is left to be read again"""
    max_inflight_chunks: int = 16
    max_inflight_bytes: int = 32 * 1024 * 1024


@dataclasses.dataclass(slots=True)
class Counters:
    """Totals since the worker started."""

    records: int = 0
    outputs: int = 0
    output_bytes: int = 0
    skipped: int = 0
    """records read a second time and left out"""
    gaps: int = 0
    """places where offsets jumped forward (retention, compaction, transactions)"""
    checkpoints: int = 0
    checkpoint_bytes: int = 0
    restored: int = 0
    kept: int = 0
    """partitions that stayed through a rebalance with their cores as they were"""
    rebalances: int = 0
    retries: int = 0
    process_s: Histogram = dataclasses.field(default_factory=Histogram)
    effect_s: Histogram = dataclasses.field(default_factory=Histogram)
    checkpoint_s: Histogram = dataclasses.field(default_factory=Histogram)
    write_s: Histogram = dataclasses.field(default_factory=Histogram)
    retired: dict[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    """what cores that are gone had counted"""


class CoreRunner:
    """The shell around the cores of one stage in one worker."""

    def __init__(
        self,
        config: RunnerConfig,
        factory: CoreFactory,
        send: Send,
        checkpoints: CheckpointLog | None,
        fail: Callable[[BaseException], None],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        prefetch: Prefetch | None = None,
    ) -> None:
        """`prefetch` is waited for before a chunk is processed, as long as it takes."""
        self.config = config
        self.counters = Counters()
        self.partitions: dict[TP, PlacedPartition] = {}
        self._factory = factory
        self._send = send
        self._checkpoints = checkpoints
        self._fail = fail
        self._clock_ms = clock_ms
        self._prefetch = prefetch
        self.inflight = InFlight(config.max_inflight_chunks, config.max_inflight_bytes)
        self._kept: dict[TP, PlacedPartition] = {}
        """what was ours before the rebalance under way, finished and safe to the last record"""
        self._drained = False
        self._turn = asyncio.Lock()
        self._epoch = 0
        self._open = False
        self._broken = False

    # -- placement ---------------------------------------------------------------------------

    async def place(self, base: Mapping[TP, int], ends: Mapping[TP, int]) -> Mapping[TP, int]:
        """Create and restore the cores; answers where to read from. Idempotent until `release`.

        A core that stays goes on as it is, where it is: it was drained, so its state is that of a
        checkpoint at its next offset, with nothing held outside that could be lost.
        """
        if set(self.partitions) == set(base):
            return {tp: placed.next_offset for tp, placed in self.partitions.items()}
        self.forget()
        epoch = self._epoch
        kept = {tp: was for tp, was in self._kept.items() if tp in base and was.next_offset <= ends[tp]}
        self._kept = {}
        cores = {tp: self._factory(tp.topic, tp.partition) for tp in base if tp not in kept}
        stateful = {tp for tp, core in cores.items() if core.snapshot() is not None}
        found = await self._checkpoints.read(stateful) if self._checkpoints and stateful else {}
        earlier = {tp for tp, saved in found.items() if await self._of_earlier(saved, ends[tp])}
        if epoch != self._epoch:
            return {}
        for tp, was in kept.items():
            self.partitions[tp] = self._again(tp, was)
        for tp in cores:
            start, saved = base[tp], found.get(tp)
            if tp in earlier:
                log.warning("%s: ignoring a checkpoint beyond the end of %s/%s", self.config.stage, *tp)
                saved, start = None, 0  # what was committed is of that earlier topic, too
            if saved is None and tp in stateful and start > 0:
                log.warning("%s: no checkpoint of %s/%s, starting empty at %s", self.config.stage, *tp, start)
            self.partitions[tp] = self._placed(tp, cores[tp], start, tp in stateful, saved)
        self.counters.rebalances += 1
        self._open = True
        return {tp: placed.next_offset for tp, placed in self.partitions.items()}

    async def _of_earlier(self, saved: Checkpoint, end: int) -> bool:
        """Whether a checkpoint is of an earlier topic of that name.

        A broker may understate the end of a log: one that has just been restarted, and the embedded one.
        So the log itself is asked.
        """
        if saved.offset <= end or self._checkpoints is None:
            return False
        return not await self._checkpoints.reaches(saved.tp, saved.offset)

    def _placed(
        self, tp: TP, core: PartitionCore, start: int, stateful: bool, saved: Checkpoint | None
    ) -> PlacedPartition:
        placed = PlacedPartition(start, self.inflight, core, stateful, done_offset=start)
        if saved is not None:
            core.restore(saved.blob)
            placed.next_offset = placed.done_offset = placed.ceiling = saved.offset
            placed.snapshot_at = saved.next_offset
            placed.slot = saved.slot
            placed.saved_at = saved.next_offset
            self.counters.restored += 1
        placed.base = totals_of(core)
        self._begin(tp, placed)
        return placed

    def _again(self, tp: TP, was: PlacedPartition) -> PlacedPartition:
        placed = PlacedPartition(
            was.next_offset,
            self.inflight,
            was.core,
            was.stateful,
            was.ceiling,
            done_offset=was.next_offset,
            snapshot_at=was.snapshot_at,
            slot=was.slot,
            saved_at=was.saved_at,
            base=totals_of(was.core),
        )
        self.counters.kept += 1
        self._begin(tp, placed)
        return placed

    def _begin(self, tp: TP, placed: PlacedPartition) -> None:
        # Spread over the interval, so that a worker does not serialise all its shards at once.
        share = (tp.partition % 16) / 16
        placed.snapshot_due = time.monotonic() + self.config.checkpoint_s * (0.5 + share / 2)
        placed.finisher = asyncio.create_task(self._finish(tp, placed))

    async def release(self) -> None:
        """Finish what is in flight and checkpoint. Bounded: what takes longer is read again."""
        self._epoch += 1
        self._open = self._drained = False
        if self._broken:
            return  # a core that raised half way has no state worth keeping
        try:
            async with asyncio.timeout(self.config.drain_s), self._turn:
                for placed in self.partitions.values():
                    self._take_snapshot(placed)
                await asyncio.gather(*(placed.queue.join() for placed in self.partitions.values()))
                self._drained = not self._broken
        except TimeoutError:
            log.warning(
                "%s: not drained in %ss; the rest will be read again", self.config.stage, self.config.drain_s
            )

    def forget(self) -> None:
        """Let the partitions go, after `release` and the commit that follows it."""
        if self.partitions:
            self._kept = {
                tp: placed for tp, placed in self.partitions.items() if self._drained and placed.stateful
            }
        for placed in self.partitions.values():
            if placed.finisher is not None:
                placed.finisher.cancel()
            add_to(self.counters.retired, grown(totals_of(placed.core), placed.base))
        self.partitions = {}
        # What was abandoned must neither count against what comes nor keep the agent waiting.
        self.inflight.open()
        self.inflight = InFlight(self.config.max_inflight_chunks, self.config.max_inflight_bytes)

    def keep(self, ours: Set[TP]) -> None:
        """Others may have had the rest: should it come back, it is restored from its checkpoint."""
        self._kept = {tp: was for tp, was in self._kept.items() if tp in ours}

    def commit_ceiling(self, tp: TP) -> int | None:
        placed = self.partitions.get(tp)
        return None if placed is None else placed.ceiling

    # -- work --------------------------------------------------------------------------------

    async def submit(self, tp: TP, chunk: Chunk, ack: Callable[[], Any]) -> None:
        """Process one chunk; returns when its outputs are on their way (not yet delivered)."""
        epoch = self._epoch
        await self.inflight.wait()
        try:
            if self._prefetch is not None and tp.topic in self._prefetch.topics:
                # Outside of the turn: a partition may leave us while this waits for somebody else's server.
                await self._prefetch.prepare(chunk.to_records())
            async with self._turn:
                placed = self.partitions.get(tp)
                # Otherwise it left us while this chunk waited: its next owner reads it.
                if placed is not None and placed.core is not None and epoch == self._epoch and self._open:
                    await self._process(placed, placed.core, chunk, ack)
        except Exception as error:
            self._break(error)
            raise

    async def _process(
        self, placed: PlacedPartition, core: PartitionCore, chunk: Chunk, ack: Callable[[], Any]
    ) -> None:
        records = chunk.to_records(placed.next_offset)
        self.counters.skipped += len(chunk.records) - len(records)
        if not records:
            placed.queue.put_nowait(Sent(placed.next_offset, None, [], 0, 0, ack))
            placed.inflight.enter(0)
            return
        if records[0].offset > placed.next_offset:
            self.counters.gaps += 1
        began = time.perf_counter()
        outputs = core.process(records)
        self.counters.process_s.observe(time.perf_counter() - began)
        placed.next_offset, placed.fed_at = records[-1].offset + 1, time.monotonic()
        await self._emit(placed, core, outputs, len(records), ack, records[0].timestamp_ms)

    def _break(self, error: BaseException) -> None:
        self._broken = True
        self._open = False
        self._fail(error)

    async def tick(self) -> None:
        """One round of `core.tick` and due checkpoints over all partitions."""
        for placed in list(self.partitions.values()):
            async with self._turn:
                if not self._open or placed.core is None:
                    return
                try:
                    silence = self._silence(placed)
                    outputs = placed.core.tick(*silence) if silence is not None else ()
                    if outputs:
                        await self._emit(placed, placed.core, outputs, 0, None)
                    if time.monotonic() >= placed.snapshot_due:
                        self._take_snapshot(placed)
                except Exception as error:
                    self._break(error)
                    raise

    def _silence(self, placed: PlacedPartition) -> tuple[int, bool] | None:
        """Arguments of a tick: the time as of which we know whether all is read; None: we cannot say.

        A partition is silent only if the broker says so: while it is away, or we sleep, its producers wait
        as we do, and will go on where they stopped.
        """
        now = time.monotonic()
        if not placed.broker_answers(now):
            return self._clock_ms(), False
        if placed.next_offset < (placed.high or 0) or placed.asked_at < placed.fed_at:
            return None
        return self._clock_ms() - int((now - placed.asked_at) * 1000), True

    async def _emit(
        self,
        placed: PlacedPartition,
        core: PartitionCore,
        outputs: Sequence[Output],
        records: int,
        ack: Callable[[], Any] | None,
        born_ms: int = 0,
    ) -> None:
        ceiling = None if placed.stateful else core.needed_offset(placed.next_offset)
        deliveries = [await self._send(output) for output in outputs]
        size = sum(len(output.value or b"") for output in outputs)
        self.counters.outputs += len(deliveries)
        self.counters.output_bytes += size
        placed.inflight.enter(size)
        placed.queue.put_nowait(Sent(placed.next_offset, ceiling, deliveries, size, records, ack, born_ms))

    def _take_snapshot(self, placed: PlacedPartition) -> None:
        began = time.monotonic()
        placed.snapshot_due = began + self.config.checkpoint_s
        if placed.saved_at == placed.next_offset:
            placed.state_age_from = began
        if not placed.stateful or placed.core is None or placed.snapshot_at == placed.next_offset:
            return
        blob = placed.core.snapshot()
        # Large states are saved more seldom: processing stands still while one is serialised.
        placed.snapshot_due = max(placed.snapshot_due, began + (time.monotonic() - began) / SNAPSHOT_SHARE)
        if blob is None:
            return
        placed.snapshot_at = placed.next_offset
        offset = placed.core.needed_offset(placed.next_offset)
        placed.queue.put_nowait(Snapshot(placed.next_offset, offset, blob, began))

    async def _finish(self, tp: TP, placed: PlacedPartition) -> None:
        """Await deliveries in order, then ack; write checkpoints in the same line."""
        while True:
            item = await placed.queue.get()
            try:
                if isinstance(item, Snapshot):
                    await self._write_checkpoint(tp, placed, item)
                else:
                    await self._settle(placed, item)
            except Exception as error:
                # Not delivered within the producer's patience, or a bug: nothing after it may be acked.
                self._break(error)
                raise
            finally:
                placed.queue.task_done()

    async def _settle(self, placed: PlacedPartition, item: Sent) -> None:
        try:
            for delivery in item.deliveries:
                await delivery
        finally:
            placed.inflight.leave(item.size)
        placed.done_offset = item.next_offset
        placed.progress_at = time.monotonic()
        placed.records += item.records
        self.counters.records += item.records
        if item.born_ms > 0:
            self.counters.effect_s.observe((self._clock_ms() - item.born_ms) / 1000)
        if item.ceiling is not None:
            placed.ceiling = max(item.ceiling, placed.ceiling or 0)
        if item.ack is not None:
            item.ack()

    async def _write_checkpoint(self, tp: TP, placed: PlacedPartition, item: Snapshot) -> None:
        if self._checkpoints is None:
            raise RuntimeError(f"stage {self.config.stage} keeps state but has no checkpoint topic")
        placed.slot = 1 - placed.slot
        checkpoint = Checkpoint(tp, item.next_offset, item.offset, item.blob, placed.slot)
        began = time.monotonic()
        size = await self._checkpoints.write(checkpoint)
        self.counters.checkpoint_s.observe(time.monotonic() - began)
        self.counters.checkpoint_bytes += size
        self.counters.checkpoints += 1
        placed.saved_at, placed.saved_bytes, placed.state_age_from = item.next_offset, size, item.taken_at
        placed.ceiling = max(item.offset, placed.ceiling or 0)
