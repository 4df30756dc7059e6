"""Checkpoints: a partition's state as a blob in a compacted topic, with the offsets it covers.

A topic of our own rather than a Faust Table: docs/transport.md says why. A blob is compressed, cut
into parts that fit any broker's default message size and written to one of two slots in turn, so
that a checkpoint torn by a crash never overwrites the last whole one under compaction.

Cores are functions of their log, so *any* whole checkpoint whose outputs were delivered is a right
one, if reading goes on at *its* offset. That is why the reader may take the furthest one it finds,
even if a worker that had already lost the partition wrote it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import aiokafka
import cramjam
import msgspec
from aiokafka.errors import OffsetOutOfRangeError
from faust.types import TP

from config.connect import Broker, kafka_options
from streams.records.stage import Output

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
PART_BYTES = 900_000
"""Below the 1 MiB that brokers accept by default."""
SLOTS = 2
TAIL = 64
"""Records looked at first, from the end of a checkpoint partition; grows fourfold until found."""

MORE_MS = 100
"""at what is said to be the end of a checkpoint partition, this long for more"""
REACH_MS = 10_000
"""A broker that has just been started may take a while until it hands out the end of its logs."""


class CheckpointError(RuntimeError):
    """A checkpoint that must not be passed over in silence; the message says what to do."""


class Checkpoint(NamedTuple):
    """State of the core of `tp` after all records below `next_offset`."""

    tp: TP
    next_offset: int
    offset: int
    """where reading must go on after restoring it: at or below `next_offset`"""
    blob: bytes
    slot: int = 0


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()


class _Part(msgspec.Struct, array_like=True, frozen=True):
    version: int
    topic: str
    partition: int
    next_offset: int
    offset: int
    slot: int
    part: int
    parts: int
    digest: bytes
    data: bytes


def encode(checkpoint: Checkpoint, topic: str, partitions: int) -> list[Output]:
    """The records that hold a checkpoint in `topic`. CPU-heavy for large blobs: call in a thread."""
    packed = bytes(cramjam.zstd.compress(checkpoint.blob, level=1))
    name, partition = checkpoint.tp
    cuts = range(0, max(len(packed), 1), PART_BYTES)
    stamp = _digest(packed)
    return [
        Output(
            topic,
            msgspec.msgpack.encode(
                _Part(
                    FORMAT_VERSION,
                    name,
                    partition,
                    checkpoint.next_offset,
                    checkpoint.offset,
                    checkpoint.slot,
                    i,
                    len(cuts),
                    stamp,
                    packed[cut : cut + PART_BYTES],
                )
            ),
            key=f"{name}/{partition}/{checkpoint.slot}/{i}".encode(),
            partition=partition % partitions,
        )
        for i, cut in enumerate(cuts)
    ]


class Assembler:
    """Puts parts together in any order of arrival and keeps the furthest whole checkpoint per partition."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int, int, bytes], dict[int, _Part]] = {}
        self._best: dict[TP, Checkpoint] = {}

    def add(self, value: bytes | None) -> None:
        """Take in one record's value. Raises CheckpointError if a newer version wrote it."""
        if value is None:
            return
        try:
            part = msgspec.msgpack.decode(value, type=_Part)
        except msgspec.MsgspecError as error:
            log.warning("skipping an unreadable checkpoint record: %s", error)
            return
        if part.version != FORMAT_VERSION:
            raise CheckpointError(
                f"a checkpoint of {part.topic}/{part.partition} has format {part.version}, this worker "
                f"reads {FORMAT_VERSION}: run the version that wrote it, or delete the checkpoint topic "
                "to start afresh"
            )
        tp = TP(part.topic, part.partition)
        best = self._best.get(tp)
        if best is not None and best.next_offset >= part.next_offset:
            return
        name = (part.topic, part.partition, part.next_offset, part.digest)
        found = self._parts.setdefault(name, {})
        found[part.part] = part
        if len(found) < part.parts:
            return
        del self._parts[name]
        packed = b"".join(found[i].data for i in range(part.parts))
        if _digest(packed) != part.digest:
            log.warning("skipping a damaged checkpoint of %s/%s at %s", *tp, part.next_offset)
            return
        self._best[tp] = Checkpoint(tp, part.next_offset, part.offset, packed, part.slot)

    def found(self) -> set[TP]:
        """Partitions with a whole checkpoint."""
        return set(self._best)

    def best(self, wanted: Iterable[TP]) -> dict[TP, Checkpoint]:
        """The furthest checkpoint of each wanted partition that has one, unpacked."""
        return {
            tp: self._best[tp]._replace(blob=bytes(cramjam.zstd.decompress(self._best[tp].blob)))
            for tp in wanted
            if tp in self._best
        }


class CheckpointStore:
    """Reads and writes the checkpoints of one stage."""

    def __init__(
        self,
        broker: Broker,
        topic: str,
        partitions: int,
        send: Callable[[Output], Awaitable[Awaitable[object]]],
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._partitions = partitions
        self._send = send

    async def write(self, checkpoint: Checkpoint) -> int:
        """Write and wait until the broker has it. Returns the bytes written."""
        outputs = await asyncio.to_thread(encode, checkpoint, self._topic, self._partitions)
        for delivery in [await self._send(output) for output in outputs]:
            await delivery
        return sum(len(output.value or b"") for output in outputs)

    async def read(self, wanted: Iterable[TP]) -> Mapping[TP, Checkpoint]:
        """The furthest checkpoint of each wanted partition, where there is one.

        Reads from the end backwards, so that an uncompacted topic costs no more than a compacted one.
        """
        wanted = set(wanted)
        if not wanted:
            return {}
        reader = aiokafka.AIOKafkaConsumer(
            **kafka_options(self._broker), enable_auto_commit=False, fetch_max_wait_ms=50
        )
        await reader.start()
        try:
            return await self._read(reader, wanted)
        finally:
            await reader.stop()

    async def reaches(self, tp: TP, offset: int) -> bool:
        """Whether the log of a partition holds records right before `offset`; waits a while for an answer."""
        home = aiokafka.TopicPartition(tp.topic, tp.partition)
        reader = aiokafka.AIOKafkaConsumer(
            **kafka_options(self._broker), enable_auto_commit=False, auto_offset_reset="none"
        )
        await reader.start()
        try:
            reader.assign([home])
            reader.seek(home, offset - 1)
            return bool(await reader.getmany(home, timeout_ms=REACH_MS, max_records=1))
        except OffsetOutOfRangeError:
            return False
        finally:
            await reader.stop()

    async def _read(self, reader: aiokafka.AIOKafkaConsumer, wanted: set[TP]) -> Mapping[TP, Checkpoint]:
        homes: dict[aiokafka.TopicPartition, set[TP]] = {}
        for tp in wanted:
            home = aiokafka.TopicPartition(self._topic, tp.partition % self._partitions)
            homes.setdefault(home, set()).add(tp)
        reader.assign(list(homes))
        begins = await reader.beginning_offsets(list(homes))
        until = await reader.end_offsets(list(homes))
        assembler = Assembler()
        depth = TAIL
        while True:
            missing = [
                home
                for home, tps in homes.items()
                if not tps <= assembler.found() and (until[home] > begins[home] or depth == TAIL)
            ]
            if not missing:
                return assembler.best(wanted)
            for home in missing:
                start = max(begins[home], until[home] - depth)
                # The first time as far as it goes: a broker may understate the end.
                end = None if depth == TAIL else until[home]
                await _read_range(reader, home, start, until[home], end, assembler)
                until[home] = start
            depth *= 4


async def _read_range(
    reader: aiokafka.AIOKafkaConsumer,
    home: aiokafka.TopicPartition,
    start: int,
    least: int,
    end: int | None,
    assembler: Assembler,
) -> None:
    """Feed records [start, end) of one checkpoint partition to the assembler; without `end`, at least up to
    `least` and on until nothing more comes."""
    reader.pause(*reader.assignment())
    reader.seek(home, start)
    reader.resume(home)
    while True:
        reached = await reader.position(home) >= least
        if reached and end is not None:
            return
        batches = await reader.getmany(home, timeout_ms=MORE_MS if reached else 500)
        if reached and not batches:
            return
        for records in batches.values():
            for record in records:
                if end is None or record.offset < end:
                    assembler.add(record.value)
