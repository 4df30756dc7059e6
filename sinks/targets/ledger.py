"""What targets have been told, on a compacted topic: read at the start, appended to before anything follows.

Every worker reads all of it, so that whoever is given a partition knows what was told by the one before.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from config.connect import Broker, address, kafka_options
from correlator import render
from sinks.broker import why_not
from sinks.notification import Notification
from sinks.protocol import SinkUnavailable

log = logging.getLogger(__name__)

MOST_CLOSED = 20_000
"""of a target's entries that are not open; the oldest go first"""
_encoder = msgspec.json.Encoder()


class _Event(msgspec.Struct):
    data: Notification


_events = msgspec.json.Decoder(_Event)


class Ledger(Protocol):
    """Newest notification of each key of one target."""

    def get(self, dedup_key: str) -> Notification | None: ...

    async def refresh(self) -> None:
        """See what others have written. Raises `SinkUnavailable`."""
        ...

    async def append(self, notification: Notification) -> None:
        """Keep it; returns when it is safe. Raises `SinkUnavailable`."""
        ...


class Book:
    """The memory of a ledger, bounded."""

    def __init__(self, target: str, most_closed: int = MOST_CLOSED) -> None:
        self.target = target
        self.evicted = 0
        self._most = most_closed
        self._open: dict[str, Notification] = {}
        self._closed: dict[str, Notification] = {}

    def get(self, dedup_key: str) -> Notification | None:
        return self._open.get(dedup_key) or self._closed.get(dedup_key)

    def put(self, one: Notification) -> None:
        """Newer versions only."""
        known = self.get(one.dedup_key)
        if one.target != self.target or (known is not None and known.version >= one.version):
            return
        self._open.pop(one.dedup_key, None)
        self._closed.pop(one.dedup_key, None)
        (self._open if one.open else self._closed)[one.dedup_key] = one
        if len(self._closed) > self._most:
            del self._closed[next(iter(self._closed))]
            self.evicted += 1


class MemoryLedger(Book):
    """For trying a target: nothing is kept."""

    async def refresh(self) -> None:
        pass

    async def append(self, notification: Notification) -> None:
        self.put(notification)


class KafkaLedger(Book):
    """The ledger on its topic."""

    def __init__(self, target: str, broker: Broker, topic: str) -> None:
        super().__init__(target)
        self._broker, self._topic = broker, topic
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect and read all there is. Raises `SinkUnavailable`."""
        try:
            self._producer = AIOKafkaProducer(**kafka_options(self._broker), acks="all")
            await self._producer.start()
            self._consumer = AIOKafkaConsumer(
                **kafka_options(self._broker), enable_auto_commit=False, fetch_max_wait_ms=50
            )
            await self._consumer.start()
            homes = sorted(await self._producer.partitions_for(self._topic))
            self._consumer.assign([TopicPartition(self._topic, home) for home in homes])
            await self._consumer.seek_to_beginning()
        except (KafkaError, OSError) as error:
            await self.stop()
            reason = await why_not(self._broker) if isinstance(error, KafkaConnectionError) else ""
            raise SinkUnavailable(
                reason or f"the topic {self._topic} at {address(self._broker)}: {error}"
            ) from error
        await self.refresh()

    async def stop(self) -> None:
        for client in (self._consumer, self._producer):
            if client is not None:
                await client.stop()
        self._consumer = self._producer = None

    async def refresh(self) -> None:
        if self._consumer is None:
            await self.start()
            return
        try:
            homes = sorted(self._consumer.assignment())
            ends = await self._consumer.end_offsets(homes)
            left = {home for home in homes if await self._consumer.position(home) < ends[home]}
            while left:
                for home, records in (await self._consumer.getmany(*left, timeout_ms=500)).items():
                    for record in records:
                        self._take(record.value)
                    if await self._consumer.position(home) >= ends[home]:
                        left.discard(home)
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(f"the topic {self._topic} at {address(self._broker)}: {error}") from error

    def _take(self, value: bytes | None) -> None:
        if value is None:
            return
        try:
            self.put(_events.decode(value).data)
        except msgspec.DecodeError as error:
            log.warning("%s: a record is no notification and is passed over: %s", self._topic, error)

    async def append(self, notification: Notification) -> None:
        if self._producer is None:
            await self.start()
        producer = self._producer
        if producer is None:
            raise SinkUnavailable(f"the topic {self._topic} at {address(self._broker)} is not there")
        try:
            await producer.send_and_wait(
                self._topic,
                encoded(notification),
                key=notification.key.encode(),
                headers=list(render.HEADERS),
            )
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(f"the topic {self._topic} at {address(self._broker)}: {error}") from error
        self.put(notification)


def encoded(one: Notification) -> bytes:
    """As a CloudEvent."""
    when = datetime.fromtimestamp(one.at_ms / 1000, UTC)
    return _encoder.encode(
        render.CloudEvent(
            specversion="1.0",
            id=f"{one.key}/{one.version}",
            source="tocsin/notify",
            type=f"tocsin.notification.{one.state}",
            subject=one.incident,
            time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            datacontenttype="application/json",
            data=one,
        )
    )
