"""A producer whose deliveries the test completes, and chunks without a broker."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Mapping, Sequence, Set

from faust.types import TP

from streams.agents.bulk import columns_of
from streams.agents.checkpoints import Checkpoint
from streams.agents.transport import Chunk
from streams.records.stage import Output


@dataclasses.dataclass
class RawRecord:
    """What aiokafka hands over, as far as anyone looks."""

    topic: str
    partition: int
    offset: int
    value: bytes | None = b"1"
    key: bytes | None = None
    timestamp: int | None = 1_700_000_000_000
    timestamp_type: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


def chunk(tp: TP, offsets: Sequence[int], value: bytes | None = None) -> Chunk:
    """Records at these offsets; the value is the offset unless given."""
    raw = [RawRecord(tp.topic, tp.partition, at, value or str(at).encode()) for at in offsets]
    return Chunk(columns_of(tp, raw))


class Broker:
    """Keeps what is sent; acknowledges at once, or when told to."""

    def __init__(self, at_once: bool = True) -> None:
        self.at_once = at_once
        self.sent: list[Output] = []
        self.pending: list[asyncio.Future[object]] = []

    async def send(self, output: Output) -> Awaitable[object]:
        self.sent.append(output)
        delivery: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.at_once:
            delivery.set_result(None)
        else:
            self.pending.append(delivery)
        return delivery

    def deliver(self, count: int | None = None) -> None:
        for delivery in self.pending[:count]:
            delivery.set_result(None)
        del self.pending[:count]


class Memory:
    """Checkpoints in a dict."""

    def __init__(self) -> None:
        self.kept: dict[TP, Checkpoint] = {}
        self.log_reaches = False
        """what the log says when it is asked whether it goes as far as a checkpoint"""

    async def write(self, checkpoint: Checkpoint) -> int:
        self.kept[checkpoint.tp] = checkpoint
        return len(checkpoint.blob)

    async def read(self, wanted: set[TP]) -> Mapping[TP, Checkpoint]:
        return {tp: self.kept[tp] for tp in wanted if tp in self.kept}

    async def reaches(self, tp: TP, offset: int) -> bool:
        return self.log_reaches


class Idle:
    """A runner that has nothing to do."""

    async def submit(self, tp: TP, chunk: Chunk, ack: object) -> None: ...

    async def place(self, base: Mapping[TP, int], ends: Mapping[TP, int]) -> Mapping[TP, int]:
        return base

    async def release(self) -> None: ...

    def forget(self) -> None: ...

    def keep(self, ours: Set[TP]) -> None: ...

    def commit_ceiling(self, tp: TP) -> int | None:
        return None
