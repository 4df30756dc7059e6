"""Small cores to drive the shell with, and the worker process that runs them."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from streams.agents.process import WorkerConfig, run_worker
from streams.agents.stages import StagePlan
from streams.agents.topics import StartError, TopicSpec
from streams.records.stage import Output, Record


class CountingCore:
    """Counts and sums the ids of its partition and says so after every call."""

    def __init__(self, out: str, partition: int, per_record: bool = False) -> None:
        self.out = out
        self.partition = partition
        self.per_record = per_record
        self.total = 0
        self.sum = 0

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        ids = [int(r.value or b"0") for r in records]
        if any(i < 0 for i in ids):
            raise ValueError("a negative id is the test's word for a bug")
        self.total += len(ids)
        self.sum += sum(ids)
        said = {"ids": ids, "total": self.total, "sum": self.sum, "next": records[-1].offset + 1}
        return [Output(self.out, json.dumps(said).encode(), key=str(self.partition).encode())]

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        return ()

    def needed_offset(self, next_offset: int) -> int:
        return next_offset

    def snapshot(self) -> bytes | None:
        return msgspec.msgpack.encode([self.total, self.sum, "x" * 1000])

    def restore(self, blob: bytes) -> None:
        self.total, self.sum, _ = msgspec.msgpack.decode(blob)


class EchoCore(CountingCore):
    """The same without state: commits alone decide where it goes on."""

    def snapshot(self) -> bytes | None:
        return None


class NullCore(EchoCore):
    """Takes everything, gives nothing."""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        self.total += len(records)
        return ()


CORES = {"count": CountingCore, "echo": EchoCore, "null": NullCore}


async def _main(given: dict[str, Any]) -> int:
    source, out, kind = given["source"], given["out"], CORES[given["core"]]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    specs = [TopicSpec(source, given["partitions"]), TopicSpec(out, 1)]
    return await run_worker(
        WorkerConfig(**given["config"]),
        ["test"],
        specs,
        lambda stage, counts: StagePlan(stage, (source,), lambda topic, partition: kind(out, partition)),
        stop,
        announce=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        sys.exit(asyncio.run(_main(json.loads(sys.argv[1]))))
    except StartError as error:
        print(f"worker: {error}", file=sys.stderr)
        sys.exit(2)
