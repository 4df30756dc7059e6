"""Actions of people, to the actions topic, and the answers of the correlator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from config.connect import kafka_options
from config.settings import Settings
from console.arrivals import Arrived, arrived
from console.kafka import AGAIN_S, REQUEST_MS, Pulse, again_and_again, leave, partitions_of
from console.store import Unavailable
from streams.records.messages import Action, ActionResult, SilenceAction

_MOST_WAITING = 1_000
log = logging.getLogger(__name__)
_results = msgspec.json.Decoder(ActionResult)


class Bus:
    """One producer and one reader of answers for all who act."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._answers: dict[str, asyncio.Future[ActionResult]] = {}
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.trouble = "not connected yet"
        """why nothing can be done; empty: it can"""

    async def start(self) -> None:
        self._task = asyncio.create_task(
            again_and_again(self._serve, self._settings.kafka, self._lose), name="bus"
        )

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def act(self, action: Action | SilenceAction, key: str) -> ActionResult | None:
        """Send an action and wait for its answer; None when nobody answers in time: it stays in the topic.

        Raises `Unavailable` when the broker does not confirm it.
        """
        if len(self._answers) >= _MOST_WAITING:
            raise Unavailable("Kafka", "too many actions wait for their answers")
        topic = self._topic_of("actions")
        future = self._answers.setdefault(action.id, asyncio.get_running_loop().create_future())
        try:
            await self.send(topic, key.encode(), msgspec.json.encode(action))
            async with asyncio.timeout(self._settings.console.act_timeout_s):
                return await asyncio.shield(future)
        except TimeoutError:
            return None
        finally:
            self._answers.pop(action.id, None)

    async def send(self, topic: str, key: bytes | None, value: bytes, **more: Any) -> None:
        """Produce one record; returns when the broker has it. Raises `Unavailable`."""
        if self._producer is None or not self._ready.is_set():
            raise Unavailable("Kafka", self.trouble or "not connected yet")
        try:
            async with asyncio.timeout(self._settings.console.act_timeout_s):
                await self._producer.send_and_wait(topic, value, key=key, **more)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("Kafka", f"not confirmed: {type(error).__name__}") from error

    async def arrived(self, since_ms: int, until_ms: int) -> Arrived:
        """What came in on the input topics. Raises `Unavailable`."""
        if self._reader is None:
            raise Unavailable("Kafka", self.trouble or "not connected yet")
        names = [topic.name for topic in self._settings.topics.inputs if topic.format != "actions"]
        try:
            async with asyncio.timeout(self._settings.console.act_timeout_s):
                return await arrived(self._reader, names, since_ms, until_ms)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("Kafka", f"does not say its offsets: {type(error).__name__}") from error

    def _topic_of(self, format: str) -> str:
        for topic in self._settings.topics.inputs:
            if topic.format == format:
                return topic.name
        raise Unavailable("Kafka", f"no input topic has format {format!r}: add one under topics.inputs")

    def _lose(self, trouble: str) -> None:
        self._ready.clear()
        self.trouble = trouble

    async def _serve(self) -> None:
        options = kafka_options(self._settings.kafka)
        producer = AIOKafkaProducer(
            **options, acks="all", request_timeout_ms=REQUEST_MS, max_request_size=16_000_000
        )
        consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, fetch_max_wait_ms=50, request_timeout_ms=REQUEST_MS
        )
        try:
            await producer.start()
            await consumer.start()
            homes = await self._homes(consumer)
            consumer.assign(homes)
            for home, end in (await consumer.end_offsets(homes)).items():
                consumer.seek(home, end)
            self._producer = producer
            self._reader = consumer
            self._ready.set()
            self.trouble = ""
            pulse = Pulse(consumer, homes)
            while True:
                came = await consumer.getmany(timeout_ms=200)
                for records in came.values():
                    for record in records:
                        self._answer(record.value)
                await pulse.beat(came)
        finally:
            self._producer = self._reader = None
            await leave(consumer)
            await _quietly(producer.stop)

    async def _homes(self, consumer: Any) -> list[TopicPartition]:
        """Partitions of the answers, once there are any: a worker makes them."""
        while True:
            homes, missing = await partitions_of(consumer, [self._settings.topics.action_results])
            if not missing:
                return homes
            self.trouble = f"Kafka has no topic {missing}: a worker makes it when it starts"
            await asyncio.sleep(AGAIN_S)

    def _answer(self, value: bytes | None) -> None:
        if value is None:
            return
        try:
            result = _results.decode(value)
        except msgspec.DecodeError:
            return  # not ours to judge: the sink writes the dead letter
        future = self._answers.get(result.id)
        if future is not None and not future.done():
            future.set_result(result)


async def _quietly(stop: Callable[[], Any]) -> None:
    try:
        await stop()
    except (KafkaError, OSError) as error:
        log.debug("console: while leaving Kafka: %r", error)
