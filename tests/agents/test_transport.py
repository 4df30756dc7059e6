"""The batch transport's bookkeeping in Faust's consumer, and what it needs of Faust."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.agents import transport
from streams.agents.app import QUEUED_CHUNKS, AppConfig, StageApp, build_app
from streams.agents.bulk import NO_TIMESTAMP_MS, columns_of
from streams.agents.transport import BatchConsumer, Chunk, ChunkScheduler, check_overrides
from tests.agents.fakes import RawRecord, chunk

HERE = TP("in", 0)
THERE = TP("in", 1)


class Stub:
    """A runner that allows everything."""

    def __init__(self) -> None:
        self.ceiling: int | None = 10**9
        self.starts: dict[TP, int] = {}
        self.calls: list[str] = []
        self.kept: set[TP] = set()

    async def place(self, base: Mapping[TP, int], ends: Mapping[TP, int]) -> Mapping[TP, int]:
        return {**base, **self.starts}

    async def release(self) -> None:
        self.calls.append("release")

    def forget(self) -> None:
        self.calls.append("forget")

    def keep(self, ours: Set[TP]) -> None:
        self.kept = set(ours)

    def commit_ceiling(self, tp: TP) -> int | None:
        return self.ceiling

    async def submit(self, tp: TP, chunk: Chunk, ack: Any) -> None:
        ack()


class Books:
    """A consumer that talks to no broker."""

    def __init__(self) -> None:
        self.stub = Stub()
        self.app: StageApp = build_app(AppConfig("g", "127.0.0.1:1", ("in",)), self.stub)
        self.app.consumer_generation_id = 7
        self.consumer: Any = self.app.consumer
        assert isinstance(self.consumer, BatchConsumer)

        async def conduct(message: ConsumerMessage) -> None:
            pass

        self.consumer._conduct = conduct

    async def deliver(self, tp: TP, *offsets: int) -> ConsumerMessage:
        message: ConsumerMessage = self.consumer._to_message(tp, chunk(tp, offsets))
        message.incref()
        await self.consumer._deliver(message)
        return message

    def to_commit(self) -> dict[TP, int]:
        tps = list(self.consumer._filter_tps_with_pending_acks())
        found: dict[TP, int] = self.consumer._filter_committable_offsets(tps)
        return found


async def test_chunks_with_gaps_between_them_are_committed() -> None:
    """Compacted and transactional topics: stock bookkeeping would wait for the missing numbers."""
    books = Books()
    for offsets in ((0, 1, 2), (100,), (5_000, 7_000)):
        (await books.deliver(HERE, *offsets)).ack(books.consumer)
    assert books.to_commit() == {HERE: 7_001}


async def test_an_unacked_chunk_holds_back_those_after_it_and_no_other_partition() -> None:
    """In the order of delivery."""
    books = Books()
    first = await books.deliver(HERE, 0, 1)
    (await books.deliver(HERE, 2, 3)).ack(books.consumer)
    (await books.deliver(THERE, 8)).ack(books.consumer)
    assert books.to_commit() == {THERE: 9}
    first.ack(books.consumer)
    assert books.to_commit() == {HERE: 4, THERE: 9}


async def test_commits_are_clamped_to_the_runners_ceiling() -> None:
    """And nothing is committed while there is none."""
    books = Books()
    (await books.deliver(HERE, 0, 1, 2)).ack(books.consumer)
    books.stub.ceiling = None
    assert books.to_commit() == {}
    books.stub.ceiling = 2
    assert books.to_commit() == {HERE: 2}


async def test_an_ack_from_before_a_rebalance_is_ignored() -> None:
    """The same offsets may have been read again since, by us or by someone else."""
    books = Books()
    late = await books.deliver(HERE, 0, 1)
    books.app.consumer_generation_id = 8
    late.ack(books.consumer)
    assert books.to_commit() == {}


class Seeks:
    """Stands in for the broker in a seek: what is committed, and where the partitions begin and end."""

    def __init__(self, books: Books, patch: pytest.MonkeyPatch, committed: dict[TP, int | None]) -> None:
        self.committed = committed
        self.seeked: dict[TP, int] = {}
        for name in ("seek_to_committed", "earliest_offsets", "highwaters", "seek_wait"):
            patch.setattr(books.consumer, name, getattr(self, name))
        books.consumer._placing = True

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return self.committed

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 3)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 20)

    async def seek_wait(self, starts: Mapping[TP, int]) -> None:
        self.seeked.update(starts)


async def test_a_seek_starts_the_books_afresh_where_the_runner_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed 10, checkpoint at 4: read from 4, and forget what was outstanding."""
    books = Books()
    seeks = Seeks(books, monkeypatch, {HERE: 10, THERE: None})
    old = await books.deliver(HERE, 10, 11)
    books.stub.starts = {HERE: 4}
    await books.consumer.perform_seek()
    assert seeks.seeked == {HERE: 4, THERE: 3}
    assert books.consumer._read_offset[HERE] == 4
    old.ack(books.consumer)
    assert books.to_commit() == {}


async def test_a_commit_beyond_the_end_does_not_skip_a_recreated_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It belongs to an earlier topic of that name: read from the beginning."""
    books = Books()
    seeks = Seeks(books, monkeypatch, {HERE: 21, THERE: 20})
    await books.consumer.perform_seek()
    assert seeks.seeked == {HERE: 3, THERE: 20}
    assert books.consumer._committed_offset[HERE] is None


async def test_partitions_that_are_leaving_are_not_placed_by_a_late_seek() -> None:
    """Faust also seeks when a fetch comes back while reading is suspended."""
    books = Books()
    books.consumer._placing = False
    await books.consumer.perform_seek()  # would ask the broker that is not there


async def test_draining_finishes_commits_and_only_then_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock drops the acks before it commits."""
    books = Books()

    async def commit(*_: Any, **__: Any) -> bool:
        books.stub.calls.append("commit")
        return True

    monkeypatch.setattr(books.consumer, "commit", commit)
    await books.consumer.drain()
    assert books.stub.calls == ["release", "commit", "forget"]


@pytest.mark.parametrize(
    ("generation", "kept"), [(4, {HERE}), (5, set()), (3, set())], ids=["the next", "one missed", "none"]
)
async def test_state_is_kept_only_into_the_very_next_generation(
    generation: int, kept: set[TP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who missed one cannot know who had its partitions meanwhile."""
    books = Books()

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(Consumer, "on_partitions_assigned", nothing)
    monkeypatch.setattr(type(books.consumer._thread), "assignor", transport.sticky(), raising=False)
    await books.consumer.on_partitions_assigned({HERE, THERE}, 3)
    assert books.stub.kept == set()
    await books.consumer.on_partitions_assigned({HERE}, generation)
    assert books.stub.kept == kept


def test_the_scheduler_yields_bounded_chunks_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of one partition does not starve the other, and every record comes once, in order."""
    monkeypatch.setattr(transport, "CHUNK_RECORDS", 3)
    records = {
        tp: columns_of(tp, [RawRecord(tp.topic, tp.partition, i) for i in range(7)]) for tp in (HERE, THERE)
    }
    got = [(tp, [r.offset for r in found.records]) for tp, found in ChunkScheduler().iterate(records)]
    assert [tp for tp, _ in got[:4]] == [HERE, THERE, HERE, THERE]
    for tp in records:
        assert [part for where, part in got if where == tp] == [[0, 1, 2], [3, 4, 5], [6]]


def test_odd_timestamps_and_headers_become_plain_values() -> None:
    """Kafka allows -1, none at all, and headers without a value."""
    odd = [
        RawRecord("in", 0, 0, timestamp=-1, headers=[("a", None), ("b", b"x")]),
        RawRecord("in", 0, 1, timestamp=None, value=None),
    ]
    first, second = Chunk(columns_of(HERE, odd)).to_records()
    assert (first.timestamp_ms, first.headers) == (NO_TIMESTAMP_MS, (("a", b""), ("b", b"x")))
    assert (second.timestamp_ms, second.value, second.headers) == (NO_TIMESTAMP_MS, None, ())


async def test_an_odd_timestamp_does_not_stop_a_chunk_from_being_delivered() -> None:
    """The message Faust carries gets a timestamp of its own."""
    books = Books()
    message = books.consumer._to_message(
        HERE, Chunk(columns_of(HERE, [RawRecord("in", 0, 0, timestamp=None)]))
    )
    assert message.timestamp == 0.0


def test_the_installed_faust_has_everything_the_transport_overrides() -> None:
    """Fails after an upgrade that renamed something: adapt streams/agents/transport.py, then the pin."""
    assert check_overrides() == [], "streams/agents/transport.py overrides methods this Faust no longer has"


def test_a_missing_override_is_named() -> None:
    """So that the failure above says what to look for."""
    assert check_overrides([(Consumer, ("perform_seek", "gone"))]) == ["Consumer.gone"]


async def test_the_settings_that_were_measured_reach_aiokafka() -> None:
    """Stock Faust fixes the fetch wait at 1500 ms and drops a topic's queue size."""
    app: Any = build_app(AppConfig("g", "127.0.0.1:1", ("in",), fetch_max_wait_ms=20), Stub())
    consumer = app.consumer._thread._create_worker_consumer(app.transport)
    assert consumer._fetch_max_wait_ms == 20
    assert consumer._session_timeout_ms == 6_000
    assert [agent.channel.maxsize for agent in app.agents.values()] == [QUEUED_CHUNKS]
    assert app.conf.producer_compression_type == "lz4"
