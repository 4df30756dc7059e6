"""A shop for the tests of a file that need a running one: broker, six services, customers."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from cli.demo import Supervised
from config.settings import Topics
from demo.shop import Shop
from demo.watch import create_topics
from embedded.stack import Stack


@dataclass(frozen=True, slots=True)
class World:
    """A running shop and its broker."""

    shop: Shop
    kafka: str
    processes: Supervised

    def ask(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any, float]:
        """One request straight to a service: status, body, seconds."""
        return ask(self.shop.port(service), method, path, body)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """With customers, who would take a quarter of a core from all tests that follow if they stayed."""
    data_dir = tmp_path_factory.mktemp("demo")
    with Stack(data_dir, clickhouse=False) as stack:
        asyncio.run(create_topics(stack.kafka, [(t.name, t.partitions) for t in Topics().inputs]))
        processes = Supervised(stack.supervisor)
        shop = Shop(processes, stack.kafka, data_dir / "shop")
        shop.start()
        shop.start_load()
        yield World(shop, stack.kafka, processes)


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any, float]:
    """One request on loopback: status, body, seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=6)
    started = time.monotonic()
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        return response.status, answer, time.monotonic() - started
    finally:
        connection.close()


def wait_until(condition: Callable[[], Any], timeout_s: float = 25.0) -> Any:
    """The first true value of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} did not come true within {timeout_s} s"
        time.sleep(0.1)
    return value


def collect(
    kafka: str,
    topic: str,
    enough: Callable[[list[ConsumerRecord]], bool],
    *,
    timeout_s: float = 30.0,
    from_end: bool = False,
) -> list[ConsumerRecord]:
    """Records of `topic` until there are `enough`; fails when there are not in time."""

    async def read() -> list[ConsumerRecord]:
        records: list[ConsumerRecord] = []
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=100)
        await consumer.start()
        try:
            parts = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or {0}]
            consumer.assign(parts)
            await (consumer.seek_to_end(*parts) if from_end else consumer.seek_to_beginning(*parts))
            async with asyncio.timeout(timeout_s):
                while not enough(records):
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        records.extend(batch)
        except TimeoutError:
            pytest.fail(f"{topic}: not enough within {timeout_s} s, only {len(records)} records")
        finally:
            await consumer.stop()
        return records

    return asyncio.run(read())
