"""Checkpoints: cut, written, found again; torn, damaged and foreign ones."""

from __future__ import annotations

import random
from collections.abc import Awaitable

import msgspec
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.agents import checkpoints
from streams.agents.checkpoints import Assembler, Checkpoint, CheckpointError, CheckpointStore, encode
from streams.agents.topics import TopicSpec
from streams.records.stage import Output
from tests.agents import kit

HERE = TP("pages", 2)


def blob_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def values(checkpoint: Checkpoint) -> list[bytes | None]:
    return [output.value for output in encode(checkpoint, "cp", 4)]


@given(st.binary(max_size=3_000), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_a_checkpoint_comes_back_whole_in_any_order_of_its_parts(
    blob: bytes, next_offset: int, dice: random.Random
) -> None:
    """Compaction and retries may reorder what they like."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "PART_BYTES", 100)
        parts = values(Checkpoint(HERE, next_offset, next_offset // 2, blob, 1))
    dice.shuffle(parts)
    assembler = Assembler()
    for part in parts:
        assembler.add(part)
    assert assembler.best([HERE])[HERE] == Checkpoint(HERE, next_offset, next_offset // 2, blob, 1)


def test_the_furthest_checkpoint_wins_over_a_later_written_one() -> None:
    """A worker that lost the partition may still write; what it wrote is older in the log's order."""
    assembler = Assembler()
    for next_offset in (10, 30, 20):
        for part in values(Checkpoint(HERE, next_offset, next_offset, b"%d" % next_offset)):
            assembler.add(part)
    assert assembler.best([HERE])[HERE].blob == b"30"


def test_a_torn_checkpoint_leaves_the_one_before_it() -> None:
    """kill -9 between the parts of a large blob."""
    assembler = Assembler()
    torn = values(Checkpoint(HERE, 20, 20, blob_of(2_500_000), 1))
    assert len(torn) > 2
    for part in [*values(Checkpoint(HERE, 10, 10, b"whole", 0)), *torn[:-1]]:
        assembler.add(part)
    assert assembler.best([HERE])[HERE].blob == b"whole"


def test_alternate_checkpoints_use_keys_of_their_own() -> None:
    """Under compaction the parts of a new checkpoint must not replace those of the last whole one."""
    keys = [{output.key for output in encode(Checkpoint(HERE, 1, 1, b"x", slot), "cp", 4)} for slot in (0, 1)]
    assert keys[0].isdisjoint(keys[1])


def test_a_record_that_is_no_checkpoint_is_skipped() -> None:
    """Someone produced into the topic by hand."""
    assembler = Assembler()
    for part in [b"garbage", None, *values(Checkpoint(HERE, 10, 10, b"whole"))]:
        assembler.add(part)
    assert assembler.found() == {HERE}


def test_a_checkpoint_of_a_newer_format_is_refused() -> None:
    """Starting empty in its place would lose state in silence."""
    raw = msgspec.msgpack.decode(values(Checkpoint(HERE, 10, 10, b"x"))[0] or b"")
    raw[0] = checkpoints.FORMAT_VERSION + 1
    with pytest.raises(CheckpointError, match="pages/2 has format 2"):
        Assembler().add(msgspec.msgpack.encode(raw))


async def test_the_store_finds_a_checkpoint_far_behind_the_end_of_its_topic(bootstrap: str) -> None:
    """Partitions share a checkpoint partition; a quiet one's last word may be hundreds of records back."""
    topic = kit.unique("checkpoints")
    await kit.create(bootstrap, TopicSpec(topic, 2, compacted=True))
    quiet, busy, never = TP("a", 0), TP("b", 0), TP("c", 1)
    async with kit.producer(bootstrap) as client:

        async def send(output: Output) -> Awaitable[object]:
            delivery: Awaitable[object] = await client.send(
                output.topic, output.value, key=output.key, partition=output.partition
            )
            return delivery

        store = CheckpointStore(bootstrap, topic, 2, send)
        large = blob_of(2_000_000)
        await store.write(Checkpoint(quiet, 5, 3, large))
        for n in range(300):
            await store.write(Checkpoint(busy, n, n, b"%d" % n, n % 2))
        found = await store.read([quiet, busy, never])
    assert found[quiet] == Checkpoint(quiet, 5, 3, large)
    assert found[busy].blob == b"299"
    assert never not in found


async def test_the_only_checkpoint_there_is_is_found(bootstrap: str) -> None:
    """The embedded broker says that a topic with one batch ends where it begins."""
    topic = kit.unique("cp")
    await kit.create(bootstrap, TopicSpec(topic, 4, compacted=True))
    async with kit.producer(bootstrap) as client:

        async def send(output: Output) -> Awaitable[object]:
            found: Awaitable[object] = await client.send(
                output.topic, output.value, key=output.key, partition=output.partition
            )
            return found

        store = CheckpointStore(bootstrap, topic, 4, send)
        await store.write(Checkpoint(HERE, 22, 20, b"state"))
    assert (await store.read({HERE}))[HERE].blob == b"state"


async def test_the_log_itself_says_how_far_it_goes(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the last record of its last batch, which the embedded broker's end leaves out."""
    monkeypatch.setattr(checkpoints, "REACH_MS", 2_000)
    topic = kit.unique("in")
    await kit.create(bootstrap, TopicSpec(topic, 1))
    async with kit.producer(bootstrap) as client:
        batch = client.create_batch()
        for value in (b"a", b"b", b"c"):
            batch.append(key=None, value=value, timestamp=None)
        await (await client.send_batch(batch, topic, partition=0))
    store = CheckpointStore(bootstrap, "unused", 1, None)  # type: ignore[arg-type]
    assert await store.reaches(TP(topic, 0), 3)
    assert not await store.reaches(TP(topic, 0), 9)
