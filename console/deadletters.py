"""Dead letters: what there is of them, and putting them back; for their page and for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

import aiokafka
from aiokafka.errors import KafkaError
from fastapi import HTTPException

from config.connect import kafka_options
from console.access.noting import audit
from console.state import State
from console.store import Unavailable
from sinks import letters
from sinks.reader import Reader
from streams.agents.reinject import Wanted, put_back, read_letters, returns

DAY_MS = 86_400_000
MOST_DAYS = 90
MOST_BACK = 100_000
"""dead letters put back at once"""


class Dead(NamedTuple):
    """Rows as `sinks.letters` has them."""

    total: int
    counts: list[dict[str, Any]]
    """by topic and reason, whatever the filter"""
    newest: list[dict[str, Any]]


async def dead_of(state: State, topic: str, reason: str, days: int, offset: int = 0, most: int = 50) -> Dead:
    """Those of a filter (empty: any), newest first. Raises `Unavailable`."""
    since = state.clock() - days * DAY_MS

    def ask(reader: Reader) -> Dead:
        return Dead(
            letters.total(reader, since, topic, reason),
            letters.counts(reader, since),
            letters.newest(reader, since, topic, reason, most, offset),
        )

    return await state.store.ask(ask)


async def returned(state: State, wanted: Wanted, days: int) -> tuple[int, list[str]]:
    """How many records are back on their topics, and why others are not. Raises 404 and `Unavailable`."""
    said = {"topic": wanted.topic, "reason": wanted.reason, "offset": wanted.offset, "days": days}
    what = "; ".join(f"{name}={value}" for name, value in said.items() if value)
    audit("reinject", target=wanted.topic, what=what)
    since_ms = state.clock() - days * DAY_MS
    kafka, topic = state.settings.kafka, state.settings.topics.deadletters
    try:
        consumer = aiokafka.AIOKafkaConsumer(**kafka_options(kafka), enable_auto_commit=False)
        try:
            await consumer.start()
            await consumer.topics()
            homes = [
                aiokafka.TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic) or ())
            ]
            found = await read_letters(consumer, homes, wanted, since_ms, MOST_BACK) if homes else None
        finally:
            await consumer.stop()
        if found is None:
            raise HTTPException(404, f"Kafka has no topic {topic}")
        back, left = returns(found.letters)
        done = await put_back(kafka, back) if back else 0
    except (KafkaError, OSError) as error:
        raise Unavailable("Kafka", f"{type(error).__name__}: {error}") from error
    audit(what=f"{what}; {done} put back")
    return done, left
