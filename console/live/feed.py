"""Keeps the board up to date: what ClickHouse has at the start, then the topics as they grow.

Reading begins a little before the start, so that nothing falls between the two; versions say what is newer.
Without ClickHouse the topics are read from their beginning: they are compacted, a version of each incident.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.exceptions import Error

from config.connect import kafka_options
from config.settings import Settings
from console.kafka import AGAIN_S, REQUEST_MS, Pulse, again_and_again, leave, partitions_of
from console.live.board import Board
from console.live.recent import Recent
from console.live.row import row_of
from console.store import Store, Unavailable
from correlator.incident import Incident
from correlator.response import Clock
from sinks.inbox import Unreadable, open_record
from sinks.live import clocks_running, incidents_active
from streams.records.stage import Record

OVERLAP_MS = 600_000
_PARTS = ("topic", "partition", "offset", "timestamp", "key", "value")
_TIDY_S = 60.0
_MIND_S = 3.0
log = logging.getLogger(__name__)


class Feed:
    """The shell around a board."""

    def __init__(self, settings: Settings, board: Board, store: Store, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._board = board
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._minder: asyncio.Task[None] | None = None
        self.trouble = "not connected yet"
        """why nothing comes in; empty: it does"""
        self.unseeded = ""
        """why ClickHouse did not say what there is; empty: it did"""
        self.recent = Recent()
        self.changes = 0
        """grows with every change of the board, and of whether anything comes in"""
        self.unread = 0
        """records that were not what their topic promises"""

    async def start(self) -> None:
        self._task = asyncio.create_task(
            again_and_again(self._follow, self._settings.kafka, self._lose), name="feed"
        )
        self._minder = asyncio.create_task(self._mind(), name="store")

    async def stop(self) -> None:
        for task in (self._task, self._minder):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def change(self, seen: int, timeout_s: float) -> int:
        """Wait until `changes` is no longer `seen`, or the time-out; returns what it is then."""
        if self.changes == seen:
            changed = self._changed
            try:
                async with asyncio.timeout(timeout_s):
                    await changed.wait()
            except TimeoutError:
                pass
        return self.changes

    async def _mind(self) -> None:
        """While ClickHouse is away it is asked again: nobody else may, and pages say that it comes back."""
        while True:
            await asyncio.sleep(_MIND_S)
            if self._store.trouble or self.unseeded:
                await self._seeded()

    async def _follow(self) -> None:
        topics = self._settings.topics
        names = (topics.incidents, topics.response)
        begin_ms = self._clock() - OVERLAP_MS if await self._seeded() else None
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings.kafka),
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
            request_timeout_ms=REQUEST_MS,
        )
        try:
            await consumer.start()
            homes = await self._homes(consumer, names)
            consumer.assign(homes)
            await _seek(consumer, homes, begin_ms)
            self.trouble = ""
            self._ring()
            pulse = Pulse(consumer, homes)
            tidied = time.monotonic()
            while True:
                before = self._board.changes
                came = await consumer.getmany(timeout_ms=200, max_records=5_000)
                for records in came.values():
                    for record in records:
                        self._take(record)
                await pulse.beat(came)
                if time.monotonic() - tidied > _TIDY_S:
                    tidied = time.monotonic()
                    self._board.tidy(self._clock())
                if self._board.changes != before:
                    self._ring()
        finally:
            await leave(consumer)

    async def _homes(self, consumer: Any, names: tuple[str, ...]) -> list[TopicPartition]:
        """Partitions of the topics, once there are any: a worker makes them."""
        while True:
            homes, missing = await partitions_of(consumer, names)
            if not missing:
                return homes
            self._lose(f"Kafka has no topic {missing}: a worker makes it when it starts")
            await asyncio.sleep(AGAIN_S)

    async def _seeded(self) -> bool:
        try:
            found = await self._store.ask(lambda reader: (incidents_active(reader), clocks_running(reader)))
        except Unavailable as error:
            self._unseed(error.detail)
            return False
        except Error as error:
            self._unseed(f"it cannot say what there is ({error.name or error.code})")
            log.exception("console: the list is not what ClickHouse has, trying again")
            return False
        self.unseeded = ""
        incidents, clocks = found
        for incident in incidents:
            self._board.put(row_of(incident))
        for clock in clocks:
            self._board.clock(clock)
        self._ring()
        return True

    def _take(self, record: Any) -> None:
        given = Record(*(getattr(record, name) for name in _PARTS))
        try:
            delivery = open_record(given, self._settings.topics)
        except Unreadable:
            self.unread += 1  # the sink writes the dead letter
            return
        if delivery is None:
            return
        if isinstance(delivery.item, Incident):
            self._board.put(row_of(delivery.item))
            self.recent.put(delivery.item)
        elif isinstance(delivery.item, Clock):
            self._board.clock(delivery.item)

    def _lose(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._ring()

    def _unseed(self, trouble: str) -> None:
        if trouble != self.unseeded:
            self.unseeded = trouble
            self._ring()

    def _ring(self) -> None:
        """Wake everybody who waits."""
        self.changes += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _seek(consumer: Any, homes: list[TopicPartition], begin_ms: int | None) -> None:
    if begin_ms is None:
        await consumer.seek_to_beginning(*homes)
        return
    found = await consumer.offsets_for_times(dict.fromkeys(homes, begin_ms))
    ends = await consumer.end_offsets(homes)
    for home in homes:
        at = found.get(home)
        consumer.seek(home, ends[home] if at is None else at.offset)
