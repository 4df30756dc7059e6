# mypy: allow-subclassing-any
"""Batch delivery for Faust: the agent gets one event per partition chunk instead of one per record.

A plain Faust agent spends most of its time in four asyncio tasks per record. These classes hang
into Faust's own extension points (scheduler, schema, transport) and keep its consumer, rebalancing
and agents. They override underscored methods, which is why the versions are pinned and
`check_overrides` names what went missing after an upgrade. See docs/transport.md.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Protocol

import aiokafka
import faust
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from streams.agents.bulk import in_bulk
from streams.agents.ends import behind
from streams.agents.ledger import PartitionLedger
from streams.agents.patience import PatientProducer, SteadyConnection
from streams.records.batch import Records

CHUNK_RECORDS = 5_000
"""Most records in one delivery; bytes are bounded by the consumer's fetch size per partition."""


class Chunk:
    """Consecutive records of one partition, as they were fetched."""

    __slots__ = ("records",)

    def __init__(self, records: Records) -> None:
        self.records = records

    @property
    def last_offset(self) -> int:
        return self.records.offsets[-1]

    def to_records(self, from_offset: int = 0) -> Records:
        """The records at or after `from_offset`."""
        found = self.records
        return found[bisect_left(found.offsets, from_offset) :] if found.offsets[0] < from_offset else found


class ChunkScheduler(DefaultSchedulingStrategy):
    """Round robin over topics and partitions, a chunk at a time."""

    def iterate(self, records: Mapping[TP, Records]) -> Iterator[tuple[TP, Any]]:
        chunks = {
            tp: [Chunk(found[i : i + CHUNK_RECORDS]) for i in range(0, len(found), CHUNK_RECORDS)]
            for tp, found in records.items()
        }
        found: Iterator[tuple[TP, Any]] = self.records_iterator(self.map_from_records(chunks))
        return found


class ChunkSchema(faust.Schema):
    """Passes a chunk through undecoded: decoding is the cores' business."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Chunk:
        chunk: Chunk = message.value
        return chunk


class Placement(Protocol):
    """Who decides where reading starts and how far may be committed: the stage's runner."""

    async def place(self, base: Mapping[TP, int], ends: Mapping[TP, int]) -> Mapping[TP, int]:
        """Get ready for these partitions; `base` is the committed (or earliest) offset of each.

        `ends` are the partitions' ends. Answers with the offset to read from. Called again without
        effect while placed.
        """
        ...

    async def release(self) -> None:
        """Finish what has begun, make it durable and forget the partitions (bounded in time)."""
        ...

    def forget(self) -> None:
        """Let the partitions go; called after the commit that follows `release`."""
        ...

    def keep(self, ours: Set[TP]) -> None:
        """Of what was let go, only these partitions have been nobody else's since."""
        ...

    def commit_ceiling(self, tp: TP) -> int | None:
        """No commit of this partition may go beyond; None: nothing may be committed yet."""
        ...


def sticky() -> Any:
    """An assignor that moves only what it must. aiokafka keeps what it assigned last on the class, so each
    consumer of a process needs a class of its own."""
    return type("Sticky", (StickyPartitionAssignor,), {})


class BatchConsumerThread(AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer."""

    assignor: Any

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        # Stock hard-codes 1500 ms: at low rates that is a p99 latency of 755 ms a hop.
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.fetch_max_wait_ms
        consumer._value_deserializer = in_bulk
        self.assignor = sticky()
        consumer._partition_assignment_strategy = [self.assignor]
        return consumer


class BatchConsumer(Consumer):
    """Counts chunks exactly, drains before partitions go, and starts where the runner says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ledgers: defaultdict[TP, PartitionLedger] = defaultdict(PartitionLedger)
        self._placing = False
        self._generation: int | None = None
        """of the group, when its partitions were last ours"""
        self._seeking = asyncio.Lock()
        super().__init__(*args, **kwargs)
        self._conduct: Callable[[Any], Awaitable[None]] = kwargs["callback"]
        self.callback: Callable[[Any], Awaitable[None]] = self._deliver

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: Any, record: Any) -> ConsumerMessage:
        records: Records = record.records
        return ConsumerMessage(
            records.topic,
            records.partition,
            records.offsets[-1],
            records.timestamps[-1] / 1000.0,
            0,
            (),
            None,
            record,
            None,
            0,
            0,
            ensure_TP(tp),
            generation_id=self.app.consumer_generation_id,
        )

    async def _deliver(self, message: ConsumerMessage) -> None:
        # Here and not in _to_message: what the drain loop drops must not wait for an ack.
        self._ledgers[message.tp].deliver(message.offset)
        await self._conduct(message)

    def ack(self, message: Any) -> bool:
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        # A chunk of an earlier generation may have the offsets of one that was read again.
        if message.generation_id != self.app.consumer_generation_id:
            return False
        ledger = self._ledgers.get(message.tp)
        return ledger is not None and ledger.ack(message.offset)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Chunks leave gaps between their last offsets by nature; the ledger needs no intervals."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._ledgers) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        ledger = self._ledgers.get(tp)
        ceiling = self.app.placement.commit_ceiling(tp)
        return None if ledger is None or ceiling is None else ledger.committable(ceiling)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Stock forgets the acks first and commits afterwards, so everything since is read twice.
        if not self.app.should_stop:
            await self.drain()
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._ledgers.pop(tp, None)

    async def drain(self) -> None:
        """Stop reading, let the runner finish what it holds, commit. For revoke and for stop."""
        self._placing = False
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        await self.app.placement.release()
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()
        self.app.placement.forget()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # In the generation right after ours: nobody else can have had these partitions in between.
        next_one = self._generation is not None and generation_id == self._generation + 1
        self.app.placement.keep(assigned if next_one else set())
        self._generation = generation_id
        self._thread.assignor.generation = generation_id  # aiokafka does not tell it
        self._placing = bool(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Put every assigned partition where the runner wants it, and start the books afresh.

        Faust calls this after each rebalance before reading resumes, and also when a fetch comes
        back while reading is suspended; the latter must not place partitions that are leaving.
        """
        async with self._seeking:
            if not self._placing:
                return
            committed = {ensure_TP(tp): offset for tp, offset in (await self.seek_to_committed()).items()}
            ends = {ensure_TP(tp): end for tp, end in (await self.highwaters(*committed)).items()}
            doubtful = {tp: ends[tp] for tp, at in committed.items() if (at or 0) > ends[tp]}
            if doubtful:
                ends.update(await behind(self.app.kafka, doubtful))
            # A commit beyond the end is of an earlier topic of that name: it would skip what is new.
            base = {tp: at for tp, at in committed.items() if at is not None and 0 <= at <= ends[tp]}
            unread = [tp for tp in committed if tp not in base]
            if unread:
                earliest = await self.earliest_offsets(*unread)
                base.update({ensure_TP(tp): offset for tp, offset in earliest.items()})
            starts = await self.app.placement.place(base, ends)
            if not self._placing:
                return
            for tp in committed:
                self._ledgers.pop(tp, None)
                self._committed_offset[tp] = base[tp] if tp not in unread else None
            await self.seek_wait(starts)
            for tp, offset in starts.items():
                self._read_offset[tp] = offset or None


class BatchTransport(Transport):
    """`app.transport` of every stage."""

    Consumer = BatchConsumer
    Producer = PatientProducer


OVERRIDDEN: tuple[tuple[type, tuple[str, ...]], ...] = (
    (DefaultSchedulingStrategy, ("iterate", "records_iterator", "map_from_records")),
    (faust.Schema, ("loads_key", "loads_value")),
    (AIOKafkaConsumerThread, ("_create_worker_consumer",)),
    (PatientProducer, ("_new_producer",)),
    (SteadyConnection, ("send", "close")),
    (
        Consumer,
        (
            "_new_consumer_thread",
            "_to_message",
            "ack",
            "_add_gap",
            "_filter_tps_with_pending_acks",
            "_new_offset",
            "on_partitions_revoked",
            "on_partitions_assigned",
            "perform_seek",
            "seek_to_committed",
            "seek_wait",
            "earliest_offsets",
            "highwaters",
            "maybe_wait_for_commit_to_finish",
            "_drain_messages",
        ),
    ),
)
"""What this module overrides or leans on, class by class."""


def check_overrides(required: Iterable[tuple[type, tuple[str, ...]]] = OVERRIDDEN) -> list[str]:
    """Names of overridden methods that the installed Faust no longer has; empty when all is well."""
    return [f"{cls.__name__}.{name}" for cls, names in required for name in names if not hasattr(cls, name)]
