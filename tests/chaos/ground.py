"""What runs share: a broker and a ClickHouse, with topics, groups and databases of their own for each run."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiokafka
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from embedded.broker import broker_child
from embedded.clickhouse import clickhouse_child
from embedded.probe import LOOPBACK, free_port
from embedded.supervisor import ChildFailed, Supervisor
from streams.agents.topics import TopicSpec, ensure_topics
from streams.records.stage import Output
from tests.kafka.cluster import KafkaCluster

SMALL_DISK = "192m"


class Ground:
    """A running broker and ClickHouse. `real`: Apache Kafka, else the embedded broker."""

    def __init__(self, folder: Path, broker: str, small_disks: bool = False) -> None:
        self.broker = broker
        self.supervisor = Supervisor(folder)
        self.cluster: KafkaCluster | None = None
        self.kafka_port = self.clickhouse_port = 0
        self.disks = {name: folder / f"disk-{name}" for name in ("kafka", "clickhouse")}
        self.mounted: list[Path] = []
        self._small_disks = small_disks

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.kafka_port}"

    @property
    def real(self) -> bool:
        return self.broker == "kafka"

    def start(self) -> None:
        """Start both; with `small_disks` their data lie on file systems of their own."""
        if self._small_disks:
            for path in self.disks.values():
                path.mkdir(parents=True, exist_ok=True)
                mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tocsin-chaos", str(path)]
                done = subprocess.run(mount, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    self.mounted.append(path)
        if self.real:
            self.cluster = KafkaCluster(self.disks["kafka"], supervisor=self.supervisor)
            self.cluster.start()
            self.kafka_port = int(self.cluster.bootstrap.rpartition(":")[2])
        else:
            self.kafka_port = free_port()
            self.supervisor.start(broker_child(self.kafka_port))
        self.clickhouse_port = free_port()
        self.supervisor.start(clickhouse_child(self.clickhouse_port, self.disks["clickhouse"] / "data"))

    def stop(self) -> None:
        self.supervisor.close()
        for path in self.mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)
        self.mounted.clear()

    def start_broker(self) -> None:
        """Start Apache Kafka again on its data; on a busy machine its recovery may need a second attempt."""
        assert self.cluster is not None, "the embedded broker forgets everything when it ends"
        try:
            self.cluster.start()
        except ChildFailed:
            self.cluster.start()

    # -- broker ----------------------------------------------------------------------------------

    async def create(self, topics: Sequence[TopicSpec]) -> None:
        """Create topics, ours to read and write before any worker is there."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await ensure_topics(admin, topics)
        finally:
            await admin.close()

    async def delete(self, prefix: str) -> None:
        """Delete the topics of a run, so that brokers stay small over many of them."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            names = [name for name in await admin.list_topics() if name.startswith(f"{prefix}.")]
            if names:
                await admin.delete_topics(names)
        finally:
            await admin.close()

    async def read(self, topics: Sequence[TopicSpec]) -> list[Output]:
        """All records of the topics, partition by partition, with a client that knows nothing of the run."""
        homes = [TopicPartition(topic.name, p) for topic in topics for p in range(topic.partitions)]
        async with self.consumer() as consumer:
            consumer.assign(homes)
            # To the end and then until nothing more comes: the embedded broker understates the end.
            ends = await consumer.end_offsets(homes)
            for home in homes:
                consumer.seek(home, 0)
            found: dict[TopicPartition, list[Output]] = {home: [] for home in homes}
            quiet = 0
            while quiet < 4:
                batch = await consumer.getmany(timeout_ms=200)
                for home, records in batch.items():
                    found[home] += [Output(r.topic, r.value, r.key, r.partition) for r in records]
                reached = all([await consumer.position(home) >= ends[home] for home in homes])
                quiet = quiet + 1 if reached and not batch else 0
            return [output for home in homes for output in found[home]]

    @asynccontextmanager
    async def consumer(self) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
        """A reader without a group."""
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
        """A producer that neither gives up nor doubles: what it sends is the truth of the run."""
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            linger_ms=2,
            request_timeout_ms=3_600_000,
            enable_idempotence=self.real,
        )
        await producer.start()
        try:
            yield producer
        finally:
            # It would wait for ever for a broker that a failed run has left dead.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await producer.stop()

    # -- ClickHouse ------------------------------------------------------------------------------

    async def query(self, sql: str, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Rows of a question put to ClickHouse directly. Raises OSError or ClientError when it is away."""
        import json

        url = f"http://{LOOPBACK}:{self.clickhouse_port}/"
        async with (
            ClientSession(timeout=ClientTimeout(total=timeout_s)) as session,
            session.post(url, data=(sql + " FORMAT JSONEachRow").encode()) as answer,
        ):
            text = await answer.text()
            if answer.status != 200:
                raise ClientError(text[:500])
            return [json.loads(line) for line in text.splitlines() if line]

    async def drop(self, database: str) -> None:
        """Drop a run's database."""
        url = f"http://{LOOPBACK}:{self.clickhouse_port}/"
        with contextlib.suppress(ClientError, OSError, asyncio.TimeoutError):
            async with ClientSession(timeout=ClientTimeout(total=20)) as session:
                await (await session.post(url, data=f"DROP DATABASE IF EXISTS {database}".encode())).text()


@contextmanager
def ground(folder: Path, broker: str, small_disks: bool = False) -> Iterator[Ground]:
    """A broker and a ClickHouse that are gone afterwards."""
    made = Ground(folder, broker, small_disks)
    try:
        made.start()
        yield made
    finally:
        made.stop()
