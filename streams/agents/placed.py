"""What a runner knows of one assigned partition, and the limit on work in flight."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from streams.records.stage import PartitionCore
from streams.records.telemetry import Totals

GAP_S = 4.0
"""More time than this between two answers of the broker is an outage, or a sleep of our own."""
SLOW_S = 1.0
"""An answer that takes longer is one of a broker that stood still."""


class Sent(NamedTuple):
    """A chunk (or tick) whose outputs are on their way."""

    next_offset: int
    ceiling: int | None
    """commits may follow up to here once delivered; None: the core's checkpoints decide"""
    deliveries: list[Awaitable[object]]
    size: int
    records: int
    ack: Callable[[], Any] | None
    born_ms: int = 0
    """time of the first of its records; 0: none, or unknown"""


class Snapshot(NamedTuple):
    """State to be written once everything before it has been delivered."""

    next_offset: int
    offset: int
    blob: bytes
    taken_at: float = 0.0
    """monotonic"""


class InFlight:
    """Counts chunks and bytes between `process` and delivery; entering waits while there is too much."""

    def __init__(self, max_chunks: int, max_bytes: int) -> None:
        self._max_chunks = max_chunks
        self._max_bytes = max_bytes
        self._room = asyncio.Event()
        self._room.set()
        self.chunks = 0
        self.bytes = 0

    async def wait(self) -> None:
        """Return when another chunk may be processed."""
        await self._room.wait()

    def open(self) -> None:
        """Let everyone in: what was in flight has been abandoned."""
        self._room.set()

    def enter(self, size: int) -> None:
        """A chunk's outputs have been handed to the producer."""
        self._move(1, size)

    def leave(self, size: int) -> None:
        """They have been delivered or given up."""
        self._move(-1, -size)

    def _move(self, chunks: int, size: int) -> None:
        self.chunks += chunks
        self.bytes += size
        if self.chunks < self._max_chunks and self.bytes < self._max_bytes:
            self._room.set()
        else:
            self._room.clear()


@dataclasses.dataclass(slots=True)
class PlacedPartition:
    """Mutable state of one partition while it is ours."""

    next_offset: int
    """the next record to process"""
    inflight: InFlight
    core: PartitionCore | None = None
    """None in a sink"""
    stateful: bool = False
    ceiling: int | None = None
    """no commit beyond; None: nothing may be committed yet"""
    done_offset: int = 0
    """everything below has its effect safe on the next hop"""
    snapshot_at: int = -1
    """`next_offset` of the last snapshot taken"""
    snapshot_due: float = 0.0
    slot: int = 0
    saved_at: int = -1
    """`next_offset` of the last snapshot written"""
    saved_bytes: int = 0
    state_age_from: float = dataclasses.field(default_factory=time.monotonic)
    """monotonic time at which everything processed was covered by a checkpoint"""
    base: Totals = dataclasses.field(default_factory=dict)
    """what the core had counted when it was placed"""
    queue: asyncio.Queue[Sent | Snapshot] = dataclasses.field(default_factory=asyncio.Queue)
    finisher: asyncio.Task[None] | None = None
    progress_at: float = dataclasses.field(default_factory=time.monotonic)
    records: int = 0
    high: int | None = None
    """end of the partition as last heard"""
    fed_at: float = -math.inf
    """monotonic time of the last chunk processed"""
    asked_at: float = -math.inf
    """monotonic time of the last question for the partition's end that was answered"""
    heard_since: float = math.inf
    """monotonic time since which the broker has answered such questions without a gap; inf: it has not yet"""

    def heard_end(self, end: int, asked: float, now: float) -> None:
        """The broker has answered at `now` what was asked at `asked` (monotonic seconds)."""
        if asked - self.asked_at > GAP_S or now - asked > SLOW_S:
            self.heard_since = now
        self.hear_end(end)
        self.asked_at = asked

    def hear_end(self, end: int) -> None:
        """Take in the partition's end. With something to do again, the time without progress begins anew."""
        if end > self.done_offset and (self.high is None or self.high <= self.done_offset):
            self.progress_at = time.monotonic()
        self.high = end

    def broker_answers(self, now: float) -> bool:
        """Whether what we know of the partition's end is of now, and was so all the time before."""
        return self.heard_since <= self.asked_at and now - self.asked_at <= GAP_S
