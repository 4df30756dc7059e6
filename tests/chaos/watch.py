"""Follows a run from outside: what came onto which topic when, and how long recovery takes."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field

import aiokafka
import msgspec
from aiohttp import ClientError
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from config.settings import Settings
from tests.chaos.ground import Ground
from tests.chaos.workload import BEGIN_MS

BEHIND_S = 3
"""Seconds of event time a shard is behind what was sent when it has caught up: lateness, a step, a margin."""


@dataclass(slots=True)
class Recovery:
    """How a fault was got over. Times are monotonic seconds; the figures are seconds since `ended`."""

    what: str
    began: float
    ended: float
    sent_ms: int
    """newest event time sent when it ended"""
    marks: dict[int, int]
    """shard -> its watermark then"""
    stored_due: tuple[int, int, int]
    """alert versions, incident versions, dead letters on the topics then"""
    again: dict[int, float] = field(default_factory=dict)
    """shard -> when its watermark moved on"""
    produced_s: float | None = None
    """every shard has produced something new"""
    caught_up_s: float | None = None
    """every shard has decided all that had been sent when the fault ended"""
    stored_s: float | None = None
    """and all that was on the topics is in ClickHouse"""
    stall_s: float = 0.0
    """the longest any shard stood still, from the fault's beginning on"""

    @property
    def done(self) -> bool:
        return None not in (self.produced_s, self.caught_up_s, self.stored_s)


class Watch:
    """Reads the topics live and asks ClickHouse four times a second while there is a recovery to time."""

    def __init__(self, ground: Ground, settings: Settings, seconds: int) -> None:
        self._ground, self._settings = ground, settings
        self._last_ms = BEGIN_MS + (seconds - 2) * 1_000
        topics = settings.topics
        self.homes = [
            *(TopicPartition(topics.alerts, p) for p in range(settings.correlate.partitions)),
            *(TopicPartition(topics.incidents, p) for p in range(settings.correlate.partitions)),
            TopicPartition(topics.deadletters, 0),
            TopicPartition(topics.action_results, 0),
        ]
        self.position = dict.fromkeys(self.homes, 0)
        self.marks = dict.fromkeys(range(settings.ingest.shards), -1)
        self.moved_at = dict.fromkeys(self.marks, 0.0)
        self.alerts: set[tuple[str, int]] = set()
        self.letters: set[tuple[str, int, int, str]] = set()
        self.incidents: dict[str, tuple[int, bytes]] = {}
        self.versions: set[tuple[str, int]] = set()
        self.changes: set[str] = set()
        self.answers: set[str] = set()
        self.recoveries: list[Recovery] = []
        self._steps: dict[int, list[float]] = {shard: [] for shard in self.marks}

    async def run(self) -> None:
        """Follow for ever; a broker that goes away is waited for."""
        asking = asyncio.create_task(self._ask_clickhouse())
        try:
            while True:
                try:
                    async with self._ground.consumer() as consumer:
                        await self._follow(consumer)
                except (KafkaError, OSError):
                    await asyncio.sleep(0.2)
        finally:
            asking.cancel()

    async def _follow(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        consumer.assign(self.homes)
        for home in self.homes:
            consumer.seek(home, self.position[home])
        while True:
            for home, records in (await consumer.getmany(timeout_ms=100)).items():
                for record in records:
                    if record.value is not None:
                        self._take(record.topic, record.value)
                self.position[home] = records[-1].offset + 1

    def _take(self, topic: str, value: bytes) -> None:
        topics = self._settings.topics
        said = msgspec.json.decode(value)
        if topic == topics.incidents:
            data = said["data"]
            self.versions.add((data["id"], data["version"]))
            if data["version"] >= self.incidents.get(data["id"], (0, b""))[0]:
                self.incidents[data["id"]] = (data["version"], value)
        elif topic == topics.deadletters:
            self.letters.add((said["topic"], said["partition"], said["offset"], said["reason"]))
        elif topic == topics.action_results:
            self.answers.add(said["id"])
        elif said["type"] == "alert":
            self.alerts.add((said["id"], said["version"]))
        elif said["type"] == "change":
            self.changes.add(said["id"])
        elif said["type"] == "watermark" and said["at_ms"] > self.marks[said["shard"]]:
            self._moved(said["shard"], said["at_ms"])

    def _moved(self, shard: int, at_ms: int) -> None:
        now = time.monotonic()
        self.marks[shard], self.moved_at[shard] = at_ms, now
        self._steps[shard].append(now)
        for recovery in self.recoveries:
            if at_ms > recovery.marks[shard]:
                recovery.again.setdefault(shard, now)
            self._judge(recovery, now)

    def _judge(self, recovery: Recovery, now: float) -> None:
        caught_up = min(self.marks.values()) >= recovery.sent_ms - BEHIND_S * 1_000
        if recovery.caught_up_s is None and caught_up:
            recovery.caught_up_s = now - recovery.ended
        all_again = len(recovery.again) == len(self.marks)
        # With everything sent and decided there is nothing left to produce.
        over = caught_up and recovery.sent_ms >= self._last_ms
        if recovery.produced_s is None and (all_again or over):
            recovery.produced_s = max(recovery.again.values(), default=now) - recovery.ended
            recovery.stall_s = max(self._longest(shard, recovery.began) for shard in self.marks)

    def _longest(self, shard: int, since: float) -> float:
        """The longest time between two steps of a shard, of those that end after `since`."""
        steps = self._steps[shard]
        return max((b - a for a, b in itertools.pairwise(steps) if b > since), default=0.0)

    def fault_over(self, what: str, began: float, ended: float, sent_s: float) -> None:
        """Begin to time the recovery from a fault; `sent_s`: seconds of event time sent so far."""
        due = (len(self.alerts), len(self.versions), len(self.letters))
        sent_ms = BEGIN_MS + int(sent_s * 1_000)
        recovery = Recovery(what, began, ended, sent_ms, dict(self.marks), due)
        self.recoveries.append(recovery)
        self._judge(recovery, time.monotonic())

    async def _ask_clickhouse(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            waiting = [recovery for recovery in self.recoveries if recovery.stored_s is None]
            if not waiting:
                continue
            try:
                stored = await self.stored()
            except (ClientError, OSError, TimeoutError):
                continue
            for recovery in waiting:
                if all(a >= b for a, b in zip(stored, recovery.stored_due, strict=True)):
                    recovery.stored_s = time.monotonic() - recovery.ended

    async def stored(self) -> tuple[int, int, int]:
        """Distinct alert versions, incident versions and dead letters in ClickHouse."""
        base = self._settings.clickhouse.database
        rows = await self._ground.query(
            f"SELECT (SELECT uniqExact(id, version) FROM {base}.alert_versions) AS a,"  # noqa: S608 - ours
            f" (SELECT uniqExact(id, version) FROM {base}.incident_versions) AS i,"
            f" (SELECT uniqExact(topic, partition, offset, reason) FROM {base}.dead_letter_records) AS d"
        )
        return int(rows[0]["a"]), int(rows[0]["i"]), int(rows[0]["d"])
