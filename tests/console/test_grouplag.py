"""Lags as Kafka knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import aiokafka
import pytest

from config.settings import Kafka, Settings
from console.grouplag import GroupLag, group_lags, lag_of
from embedded.stack import Stack
from streams.agents.topics import TopicSpec
from tests.agents.kit import create, producer

HOME = aiokafka.TopicPartition("pages", 0)


@pytest.mark.parametrize(
    ("committed", "lag"),
    [
        (None, 90),  # nothing yet: from the oldest record on
        (-1, 90),
        (40, 60),
        (5, 90),  # what retention took cannot be read any more
        (120, 0),  # the topic was made anew
    ],
)
def test_lag_is_what_can_still_be_read(committed: int | None, lag: int) -> None:
    known = {} if committed is None else {HOME: SimpleNamespace(offset=committed)}
    assert lag_of("detect", HOME, known, 10, 100).lag == lag


@pytest.fixture
def settings() -> Iterator[Settings]:
    with Stack(clickhouse=False) as stack:
        yield Settings(kafka=Kafka(bootstrap=stack.kafka))


def test_committed_offsets_are_held_against_the_ends(settings: Settings) -> None:
    pages, kafka = settings.topics.pages, settings.kafka.bootstrap

    async def run() -> list[GroupLag]:
        await create(kafka, TopicSpec(pages, 2))
        async with producer(kafka) as made:
            for n in range(10):  # one by one: the embedded broker's end is the last batch's first record
                await made.send_and_wait(pages, b"x", partition=n % 2)
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id="tocsin-detect", enable_auto_commit=False
        )
        await consumer.start()
        home = aiokafka.TopicPartition(pages, 1)
        consumer.assign([home])
        await consumer.commit({home: 3})
        await consumer.stop()
        found = await group_lags(settings, 1, timeout_s=30)
        assert found.trouble == ""
        return found.rows

    assert [one for one in asyncio.run(run()) if one.stage == "detect"] == [
        GroupLag("detect", pages, 0, 5, None),
        GroupLag("detect", pages, 1, 2, 3),
    ]


def test_a_broker_that_is_away_is_told_of() -> None:
    away = Settings(kafka=Kafka(bootstrap="127.0.0.1:9"))
    found = asyncio.run(group_lags(away, 1))
    assert (found.rows, found.trouble) == ([], "no Kafka at 127.0.0.1:9: KafkaConnectionError")
