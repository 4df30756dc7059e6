"""The way back of what could not be used: dead letters from their topic, records to where they came from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiokafka

from config.connect import Broker, kafka_options
from streams.decode import deadletter
from streams.decode.control import REINJECTED
from streams.records.messages import DeadLetter

PREVIEW = 60
"""bytes of a record shown"""
MOST_READ = 1_000_000
"""dead letters looked at, newest first in each partition; more are left out and the command says so"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; an empty field means any."""

    reason: str = ""
    topic: str = ""
    offset: str = ""
    """topic/partition/offset of one record"""

    def takes(self, dead: DeadLetter) -> bool:
        """Whether this one is meant."""
        return (
            self.reason in ("", dead.reason)
            and self.topic in ("", dead.topic)
            and self.offset in ("", place(dead))
        )


def place(dead: DeadLetter) -> str:
    """Where the record was: topic/partition/offset."""
    return f"{dead.topic}/{dead.partition}/{dead.offset}"


def view(dead: DeadLetter) -> dict[str, Any]:
    """A dead letter as `--json` prints it; `value` only if it is text."""
    try:
        value = deadletter.original(dead)
    except deadletter.Unreadable:
        value = dead.value
    text = _text(value)
    return {
        "topic": dead.topic,
        "partition": dead.partition,
        "offset": dead.offset,
        "timestamp_ms": dead.timestamp_ms,
        "reason": dead.reason,
        "detail": dead.detail,
        "rows": dead.rows,
        "bytes": len(value or b"") + dead.cut,
        "whole": dead.cut == 0,
        "preview": preview(value),
        "value": text,
        "reinjected": any(name == REINJECTED for name, _ in dead.headers),
    }


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def preview(value: bytes | None) -> str:
    """The first bytes as one line of text, unprintable ones as dots."""
    if value is None:
        return "(no value)"
    shown = value[:PREVIEW].decode("latin-1")
    line = "".join(c if " " <= c <= "~" else "." for c in shown)
    return line + ("…" if len(value) > PREVIEW else "")


@dataclass(frozen=True, slots=True)
class Return:
    """A record to be put back as it was, with one header more."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def returns(letters: Iterable[DeadLetter]) -> tuple[list[Return], list[str]]:
    """Records to put back, each once however many of its rows were refused; and why others cannot be.

    One that was put back and refused again is here twice, from both places: the later one goes, or each
    round would double them.
    """
    letters = list(letters)
    named = [header for dead in letters for header in dead.headers]
    done = {raw.decode("utf-8", "replace") for name, raw in named if name == REINJECTED}
    back: dict[str, Return] = {}
    left: list[str] = []
    for dead in letters:
        where = place(dead)
        if where in back or where in done:
            continue
        try:
            value = deadletter.original(dead)
        except deadletter.Unreadable as error:
            left.append(f"{where}: {error}")
            continue
        kept = tuple((name, raw) for name, raw in dead.headers if name != REINJECTED)
        headers = (*kept, (REINJECTED, where.encode()))
        back[where] = Return(dead.topic, dead.partition, dead.key, value, headers)
    return list(back.values()), left


@dataclass(frozen=True, slots=True)
class Found:
    """Dead letters read, oldest first."""

    letters: list[DeadLetter]
    matching: int
    """how many there are in all, of which `letters` are the newest"""
    skipped: int
    """records not looked at because there are too many, or not dead letters at all"""


async def read_letters(
    consumer: Any,
    homes: Sequence[aiokafka.TopicPartition],
    wanted: Wanted,
    since_ms: int | None = None,
    keep: int | None = None,
) -> Found:
    """The newest `keep` wanted dead letters of the partitions; None: all of them. Raises `KafkaError`."""
    consumer.assign(homes)
    begins, ends = await consumer.beginning_offsets(homes), await consumer.end_offsets(homes)
    found = {home: deque[tuple[int, DeadLetter]](maxlen=keep) for home in homes}
    matching = skipped = 0
    if since_ms is not None:
        at = await consumer.offsets_for_times(dict.fromkeys(homes, since_ms))
        begins = {home: at[home].offset if at.get(home) else ends[home] for home in homes}
    for home in homes:
        start = max(begins[home], ends[home] - MOST_READ)
        skipped += start - begins[home]
        consumer.seek(home, start)
    left = {home for home in homes if ends[home] > max(begins[home], ends[home] - MOST_READ)}
    while left:
        for home, records in (await consumer.getmany(*left, timeout_ms=500)).items():
            for record in records:
                # No check against the end: the embedded broker names the last batch's first offset.
                if record.value is None:
                    continue
                try:
                    dead = deadletter.read(record.value)
                except deadletter.Unreadable:
                    skipped += 1
                    continue
                if wanted.takes(dead):
                    matching += 1
                    found[home].append((record.timestamp, dead))
        # Not by counting records: compaction and transactions leave gaps.
        left = {home for home in left if await consumer.position(home) < ends[home]}
    newest = sorted(
        (each for kept in found.values() for each in kept),
        key=lambda each: (each[0], place(each[1]), each[1].reason),
    )
    return Found([dead for _, dead in newest][-(keep or 0) :], matching, skipped)


async def put_back(broker: Broker, records: Sequence[Return]) -> int:
    """Produce them and wait for the broker; returns how many. Raises `KafkaError`."""
    producer = aiokafka.AIOKafkaProducer(
        **kafka_options(broker), acks="all", max_request_size=16_000_000, linger_ms=5
    )
    await producer.start()
    try:
        pending = []
        for record in records:
            partitions = await producer.partitions_for(record.topic)
            # Its own partition if it still exists, so that order and state there make sense of it.
            home = record.partition if record.partition in partitions else None
            pending.append(
                await producer.send(
                    record.topic, record.value, record.key, partition=home, headers=list(record.headers)
                )
            )
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return len(records)
