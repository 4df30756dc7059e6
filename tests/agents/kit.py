"""What the shell's tests share: topics of their own, producers, readers and worker processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient

from streams.agents.topics import TopicSpec, ensure_topics

_numbers = itertools.count()


def unique(name: str) -> str:
    """A name no other test uses, also on a broker that is kept between runs."""
    return f"{name}-{os.getpid()}-{time.time_ns() % 10**9}-{next(_numbers)}"


async def create(bootstrap: str, *specs: TopicSpec) -> None:
    async with admin(bootstrap) as client:
        await ensure_topics(client, specs)


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def producer(bootstrap: str) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    client = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def produce(bootstrap: str, topic: str, partitions: int, ids: Iterable[int], rate: float = 0.0) -> None:
    """Ids round robin over the partitions; `rate` in records/s, 0 for as fast as it goes."""
    started = time.monotonic()
    async with producer(bootstrap) as client:
        for n, i in enumerate(ids):
            await client.send(topic, str(i).encode(), partition=i % partitions)
            if rate and n % 100 == 0:
                await asyncio.sleep(max(0.0, n / rate - (time.monotonic() - started)))
        await client.flush()


async def read_until(
    bootstrap: str, topic: str, done: Callable[[list[dict[str, Any]]], bool], within_s: float
) -> list[dict[str, Any]]:
    """The JSON values of a topic from its beginning until `done`; fails after `within_s`."""
    reader = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await reader.start()
    said: list[dict[str, Any]] = []
    deadline = time.monotonic() + within_s
    try:
        while not done(said):
            assert time.monotonic() < deadline, f"only {len(said)} outputs in {within_s} s"
            for records in (await reader.getmany(timeout_ms=200)).values():
                said += [json.loads(record.value) for record in records]
    finally:
        await reader.stop()
    return said


async def committed(bootstrap: str, group: str, topic: str, partition: int) -> int | None:
    """The group's committed offset, None if there is none."""
    reader = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await reader.start()
    try:
        place = aiokafka.TopicPartition(topic, partition)
        reader.assign([place])
        found: int | None = await reader.committed(place)
        return found
    finally:
        await reader.stop()


def ids_of(said: list[dict[str, Any]]) -> list[int]:
    return [i for one in said for i in one["ids"]]


async def eventually(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for a condition; fails with `what` after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.02)


class WorkerProcess:
    """A worker of tests/agents/cores.py as a process of its own, with its output in a file."""

    def __init__(self, folder: Path, bootstrap: str, **given: Any) -> None:
        config = {"broker": bootstrap, "health_port": None, **given.pop("config", {})}
        self.log = folder / f"{unique('worker')}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.agents.cores", json.dumps({**given, "config": config})],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
            )

    async def ready(self, within_s: float = 30.0) -> None:
        """Partitions have been placed."""
        await eventually(lambda: "Worker ready" in self.text() or not self.alive(), within_s, self.text())
        assert self.alive(), self.text()

    def alive(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    async def exit_code(self, within_s: float) -> int:
        await eventually(lambda: not self.alive(), within_s, self.text())
        code = self.process.returncode
        assert code is not None
        return code

    async def stop(self, within_s: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.exit_code(within_s)
