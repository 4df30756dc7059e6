"""Services that are there later, go away, or answer with errors: said, and followed again by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from clickhouse_connect.driver.exceptions import DatabaseError

from config.settings import ClickHouse, Kafka, Settings
from console import kafka
from console.bus import Bus
from console.live.board import Board
from console.live.feed import Feed
from console.store import Store, Unavailable
from demo.watch import create_topics
from embedded.probe import free_port
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.reader import Reader
from sinks.schema import MIGRATIONS, create_database
from streams.records.messages import Action, ActionResult
from tests.console.conftest import NOW_MS

ACTION = Action(id="a1", action="acknowledge", incident="0" * 16, actor="ann", ts=NOW_MS)


async def until(what: str, holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)
    assert holds(), what


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[tuple[Feed, Bus]]:
    store = Store(settings.clickhouse)
    feed, bus = Feed(settings, Board(100), store, lambda: NOW_MS), Bus(settings)
    await feed.start()
    await bus.start()
    try:
        yield feed, bus
    finally:
        await bus.stop()
        await feed.stop()
        await store.close()


async def answer_one(settings: Settings) -> None:
    """In place of the correlator: the first action is applied."""
    reader = AIOKafkaConsumer(
        "tocsin.actions", bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest"
    )
    writer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await reader.start()
    await writer.start()
    try:
        given = msgspec.json.decode((await reader.getone()).value, type=Action)
        said = ActionResult(given.id, given.incident, True, "applied")
        await writer.send_and_wait(settings.topics.action_results, msgspec.json.encode(said))
    finally:
        await writer.stop()
        await reader.stop()


def topics_of(settings: Settings) -> list[tuple[str, int]]:
    topics = settings.topics
    return [
        (name, 2) for name in (topics.incidents, topics.response, topics.action_results, "tocsin.actions")
    ]


async def test_topics_that_are_made_later_are_read(clickhouse: ClickHouse) -> None:
    """The console may be there before the first worker: what people do then has its answer."""
    with Stack(clickhouse=False) as stack:
        settings = Settings(clickhouse=clickhouse, kafka=Kafka(bootstrap=stack.kafka))
        async with following(settings) as (feed, bus):
            await until("the bus waits", lambda: "has no topic" in bus.trouble)
            await create_topics(stack.kafka, topics_of(settings))
            await until("both read", lambda: not feed.trouble and not bus.trouble)
            told, _ = await asyncio.gather(bus.act(ACTION, ACTION.incident), answer_one(settings))
    assert told == ActionResult("a1", ACTION.incident, True, "applied")


async def test_a_broker_that_goes_is_missed_and_found_again(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading alone would wait for ever: a client that cannot fetch says nothing."""
    monkeypatch.setattr(kafka, "BEAT_S", 0.3)
    monkeypatch.setattr(kafka, "PATIENCE_S", 0.5)
    port = free_port()
    settings = Settings(clickhouse=clickhouse, kafka=Kafka(bootstrap=f"127.0.0.1:{port}"))
    async with following(settings) as (feed, bus):
        for _ in range(2):
            with Stack(clickhouse=False, kafka_port=port) as stack:
                await create_topics(stack.kafka, topics_of(settings))
                await until("both read", lambda: not feed.trouble and not bus.trouble)
                seen = feed.changes
            await until("both miss it", lambda: bool(feed.trouble) and bool(bus.trouble))
            assert feed.changes > seen, "whoever follows the list must hear of it"
            with pytest.raises(Unavailable, match="Kafka"):
                await bus.act(ACTION, ACTION.incident)


def refuse(code: int, name: str) -> Callable[[Reader], object]:
    def question(_: Reader) -> object:
        raise DatabaseError("said by the server", code=code, name=name)

    return question


async def test_a_question_the_server_has_no_room_for_is_no_fault_of_the_console(
    clickhouse: ClickHouse,
) -> None:
    """Memory, time, too many at once: said as such; the next question is asked as if nothing had been."""
    store = Store(clickhouse)
    try:
        for code, name in ((241, "MEMORY_LIMIT_EXCEEDED"), (202, "TOO_MANY_SIMULTANEOUS_QUERIES")):
            with pytest.raises(Unavailable, match=name):
                await store.ask(refuse(code, name))
            assert store.trouble == ""
            assert await store.ask(lambda reader: reader.ask("SELECT 1 AS n")) == [{"n": 1}]
    finally:
        await store.close()


async def test_a_mistake_in_a_question_is_told_as_it_is(clickhouse: ClickHouse) -> None:
    """A bug of ours must not look like a server that is away."""
    store = Store(clickhouse)
    try:
        with pytest.raises(DatabaseError, match="nothing_has_this_name"):
            await store.ask(lambda reader: reader.ask("SELECT nothing_has_this_name FROM incidents"))
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("by", "said"), [(-1, "a worker of this version upgrades them"), (1, "upgrade the console")]
)
async def test_tables_of_another_version_are_said_to_be_so_until_they_fit(
    server: str, by: int, said: str
) -> None:
    """The console was upgraded before the workers, or after: the banner says which, and goes by itself."""
    clickhouse = ClickHouse(url=server, database=f"console_outdated_{'older' if by < 0 else 'newer'}")
    first = connect(clickhouse, database="default")
    create_database(first, clickhouse.database)
    client = connect(clickhouse)
    for name in ("incidents", "clocks"):
        client.command(f"CREATE TABLE {name} (of_another_time UInt8) ENGINE = Memory")
    client.command("CREATE TABLE schema_version (version UInt32) ENGINE = Memory")
    client.insert("schema_version", [[MIGRATIONS[-1].version + by]])
    settings = Settings(clickhouse=clickhouse, kafka=Kafka(bootstrap="127.0.0.1:9"))
    try:
        async with following(settings) as (feed, _):
            await until("it is said", lambda: said in feed.unseeded)
            assert str(MIGRATIONS[-1].version + by) in feed.unseeded
    finally:
        first.command(f"DROP DATABASE {clickhouse.database}")
        client.close()
        first.close()


async def test_the_list_is_seeded_again_after_an_error(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One time-out at the start must not leave the list without what ClickHouse has."""
    monkeypatch.setattr("console.live.feed._MIND_S", 0.1)
    monkeypatch.setattr(kafka, "AGAIN_S", 60.0)  # following Kafka begins with a seed, too
    settings = Settings(clickhouse=clickhouse, kafka=Kafka(bootstrap="127.0.0.1:9"))
    with monkeypatch.context() as failing:
        failing.setattr("console.live.feed.incidents_active", refuse(159, "TIMEOUT_EXCEEDED"))
        async with following(settings) as (feed, _):
            await until("it is said", lambda: "TIMEOUT_EXCEEDED" in feed.unseeded)
            failing.undo()
            await until("it is seeded", lambda: feed.unseeded == "")
