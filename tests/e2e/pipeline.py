"""The pipeline as a user runs it: worker processes against a broker and a ClickHouse, files replayed in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.client import Client

from cli.backtest import Findings, run_backtest
from cli.dataset import load as load_data
from config.connect import kafka_options
from config.load import load as load_settings
from config.settings import Settings
from streams.records.pages import decode_page, i64, u64

DEADLINE_S = 90.0


def wait_for(
    what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S, log: Path | None = None
) -> Any:
    """Poll until `condition()` is truthy and return it; fail naming `what`, with the worker's last lines."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-3_000:] if log and log.exists() else ""
    raise AssertionError(f"not within {deadline_s:.0f} s: {what}\n{tail}")


class Worker:
    """One `tocsin worker` process."""

    def __init__(self, config: Path, log: Path, stages: str | None = None) -> None:
        self.log = log
        argv = [sys.executable, "-m", "cli.main", "worker", "--config", str(config), "--health-port", "0"]
        if stages:
            argv += ["--stages", stages]
        with log.open("ab") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, env=_environment())

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def _environment() -> dict[str, str]:
    """The environment without settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}


class Pipeline:
    """Settings, workers and readers of one test. Topics carry `prefix`, so that tests can share a broker."""

    def __init__(
        self,
        folder: Path,
        kafka: str,
        clickhouse: str,
        prefix: str,
        data: Path,
        extra: Mapping[str, dict[str, Any]] = {},
    ) -> None:
        self.folder, self.data = folder, data
        self.config = folder / "tocsin.yaml"
        raw: dict[str, Any] = {
            "kafka": {"bootstrap": kafka, "group_prefix": prefix, "checkpoint_seconds": 0.5},
            "topics": {
                "inputs": [
                    {"name": f"{prefix}.in", "format": "tocsin", "partitions": 3},
                    {"name": f"{prefix}.changes", "format": "changes", "partitions": 1},
                    {"name": f"{prefix}.actions", "format": "actions", "partitions": 1},
                    {"name": f"{prefix}.external", "format": "alerts", "partitions": 1},
                ],
                **{
                    key: f"{prefix}.{name}"
                    for key, name in (
                        ("pages", "pages"),
                        ("alerts", "alerts"),
                        ("incidents", "incidents"),
                        ("suppressions", "suppressions"),
                        ("topology", "topology"),
                        ("problems", "problems"),
                        ("response", "response"),
                        ("written", "written"),
                        ("notifications", "notifications"),
                        ("action_results", "action-results"),
                        ("audit", "audit"),
                        ("deadletters", "deadletters"),
                    )
                },
            },
            "ingest": {"shards": 3, "allowed_lateness_ms": 1_000},
            "correlate": {"topology": str(data / "topology.json")}
            if (data / "topology.json").exists()
            else {},
            "clickhouse": {"url": clickhouse, "database": prefix.replace("-", "_")},
        }
        for section, keys in extra.items():
            raw[section] = {**raw.get(section, {}), **keys}
        self.config.write_text(yaml.safe_dump(raw))
        self.settings: Settings = load_settings(self.config)
        self.workers: list[Worker] = []

    def start_worker(self, stages: str | None = None) -> Worker:
        """Start a worker; its output is appended to `worker-N.log`."""
        worker = Worker(self.config, self.folder / f"worker-{len(self.workers)}.log", stages)
        self.workers.append(worker)
        return worker

    def wait_for_topics(self) -> None:
        """The worker creates its topics at start."""
        names = [topic.name for topic in self.settings.topics.inputs] + [self.settings.topics.incidents]
        wait_for(
            "the worker's topics",
            lambda: all(self.partitions(name) for name in names),
            log=self.workers[-1].log if self.workers else None,
        )

    def partitions(self, topic: str) -> set[int]:
        """Partitions of a topic, empty while it does not exist."""

        async def ask() -> set[int]:
            admin = AIOKafkaAdminClient(**kafka_options(self.settings.kafka))
            await admin.start()
            try:
                # Asking the embedded broker for a topic it does not know would create it.
                if topic not in await admin.list_topics():
                    return set()
                described = (await admin.describe_topics([topic]))[0]
                return {partition["partition"] for partition in described["partitions"]}
            finally:
                await admin.close()

        return asyncio.run(ask())

    def tocsin(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `tocsin` command as a user would."""
        environment = _environment() | {"TOCSIN_CONFIG": str(self.config), "NO_COLOR": "1", "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )

    def replay(self, *words: str) -> None:
        """`tocsin replay` of the data set; fails with the command's own words."""
        done = self.tocsin("replay", str(self.data), "--config", str(self.config), *words)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def replaying(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """`tocsin replay` in the background; gone afterwards."""
        argv = [
            sys.executable,
            "-m",
            "cli.main",
            "replay",
            str(self.data),
            "--config",
            str(self.config),
            *words,
        ]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=_environment())
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    @contextmanager
    def live_fault(self, service: str) -> Iterator[None]:
        """A service reports live: quiet for three seconds, then nine times its latency until left."""
        over = threading.Event()

        async def send() -> None:
            producer = AIOKafkaProducer(**kafka_options(self.settings.kafka))
            await producer.start()
            try:
                number = 0
                while not over.is_set():
                    value = (100 + number % 5) * (9 if number > 30 else 1)
                    row = {
                        "ts": int(time.time() * 1000),
                        "service": service,
                        "metric": "latency_ms",
                        "value": value,
                    }
                    await producer.send_and_wait(
                        self.settings.topics.inputs[0].name, json.dumps(row).encode(), partition=0
                    )
                    number += 1
                    await asyncio.sleep(0.1)
            finally:
                await producer.stop()

        sender = threading.Thread(target=lambda: asyncio.run(send()))
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()

    def samples_in_pages(self) -> set[tuple[int, int]]:
        """(fingerprint, ts) of every sample on the pages topic."""
        found: set[tuple[int, int]] = set()
        for value in self.read(self.settings.topics.pages):
            page = decode_page(value)
            found.update(zip(u64(page.fps).tolist(), i64(page.ts).tolist(), strict=True))
        return found

    def dead_letters(self) -> list[dict[str, Any]]:
        """All dead letters so far."""
        return [json.loads(value) for value in self.read(self.settings.topics.deadletters)]

    def publish(self, topic: str, values: list[bytes]) -> None:
        """Put raw records on a topic, spread over its partitions by number."""

        async def send() -> None:
            producer = AIOKafkaProducer(**kafka_options(self.settings.kafka))
            await producer.start()
            try:
                homes = sorted(await producer.partitions_for(topic))
                for number, value in enumerate(values):
                    await producer.send(topic, value, partition=homes[number % len(homes)])
                await producer.flush()
            finally:
                await producer.stop()

        asyncio.run(send())

    def read(self, topic: str) -> list[bytes]:
        """All values on a topic now, partition by partition in offset order."""

        homes = [TopicPartition(topic, partition) for partition in sorted(self.partitions(topic))]
        if not homes:
            return []

        async def fetch() -> list[bytes]:
            consumer = AIOKafkaConsumer(
                **kafka_options(self.settings.kafka),
                enable_auto_commit=False,
                fetch_max_wait_ms=50,
            )
            await consumer.start()
            try:
                consumer.assign(homes)
                ends = await consumer.end_offsets(homes)
                begins = await consumer.beginning_offsets(homes)
                found: dict[TopicPartition, list[bytes]] = {home: [] for home in homes}
                for home in homes:
                    consumer.seek(home, begins[home])
                left = {home for home in homes if ends[home] > begins[home]}
                while left:
                    for home, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                        found[home] += [record.value for record in records if record.value is not None]
                    for home in list(left):
                        if await consumer.position(home) >= ends[home]:
                            left.discard(home)
                return [value for home in homes for value in found[home]]
            finally:
                await consumer.stop()

        return asyncio.run(fetch())

    def incidents(self) -> dict[str, dict[str, Any]]:
        """Newest version of every incident on the incident topic."""
        newest: dict[str, dict[str, Any]] = {}
        for value in self.read(self.settings.topics.incidents):
            data = json.loads(value)["data"]
            if data["version"] >= newest.get(data["id"], data)["version"]:
                newest[data["id"]] = data
        return newest

    def expected(self) -> dict[str, dict[str, Any]]:
        """What a back-test of the same files with the same settings finds."""
        data = load_data(self.data)
        found: Findings = run_backtest(data, data.runs[0], self.settings, page=1_000)
        return {key: json.loads(msgspec.json.encode(incident)) for key, incident in found.incidents.items()}

    def clickhouse(self) -> Client:
        """A client on the test's database."""
        host, port = self.settings.clickhouse.url.removeprefix("http://").split(":")
        return clickhouse_connect.get_client(
            host=host, port=int(port), database=self.settings.clickhouse.database
        )

    def close(self) -> None:
        """Stop every worker that still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()


@contextmanager
def pipeline(
    folder: Path,
    kafka: str,
    clickhouse: str,
    prefix: str,
    data: Path,
    extra: Mapping[str, dict[str, Any]] = {},
) -> Iterator[Pipeline]:
    """A pipeline whose workers are gone afterwards; `extra`: more settings, by section."""
    running = Pipeline(folder, kafka, clickhouse, prefix, data, extra)
    try:
        yield running
    finally:
        running.close()
