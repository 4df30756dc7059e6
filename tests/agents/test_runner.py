"""The runner of pure cores: order of effect, ack and checkpoint, with a producer the test controls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest
from faust.types import TP

from streams.agents.placed import PlacedPartition
from streams.agents.runner import SNAPSHOT_SHARE, CoreRunner, RunnerConfig
from streams.records.stage import Output, Record
from tests.agents.cores import CountingCore, EchoCore
from tests.agents.fakes import Broker, Memory, chunk
from tests.agents.kit import eventually

HERE = TP("in", 0)


class Shell:
    """A runner with its surroundings."""

    def __init__(
        self, core: type[CountingCore] = CountingCore, at_once: bool = True, **config: float
    ) -> None:
        self.broker = Broker(at_once)
        self.memory = Memory()
        self.errors: list[BaseException] = []
        self.acked: list[int] = []
        self.cores: list[CountingCore] = []
        self._core = core
        self.runner = CoreRunner(
            RunnerConfig("test", checkpoint_s=1e9, drain_s=0.3, **config),  # type: ignore[arg-type]
            self.make,
            self.broker.send,
            self.memory,
            self.errors.append,
        )

    def make(self, topic: str, partition: int) -> CountingCore:
        self.cores.append(self._core("out", partition))
        return self.cores[-1]

    async def submit(self, *offsets: int) -> None:
        await self.runner.submit(HERE, chunk(HERE, offsets), lambda: self.acked.append(offsets[-1]))

    async def place(self, base: Mapping[TP, int], end: int = 10**9) -> Mapping[TP, int]:
        return await self.runner.place(base, dict.fromkeys(base, end))

    async def leave(self, still_ours: bool = False) -> None:
        """A rebalance; unless `still_ours`, somebody else may have had the partitions in it."""
        await self.runner.release()
        self.runner.forget()
        if not still_ours:
            self.runner.keep(set())


async def test_a_chunk_is_acked_only_after_all_its_outputs_are_delivered() -> None:
    """The offset must not move while an output can still be lost."""
    shell = Shell(EchoCore, at_once=False)
    await shell.place({HERE: 0})
    await shell.submit(0, 1)
    await shell.submit(2)
    await asyncio.sleep(0.01)
    assert shell.acked == []
    assert shell.runner.commit_ceiling(HERE) is None
    shell.broker.deliver(1)
    await eventually(lambda: shell.acked == [1], 1, "the first chunk's ack")
    assert shell.runner.commit_ceiling(HERE) == 2
    shell.broker.deliver()
    await eventually(lambda: shell.acked == [1, 2], 1, "the second chunk's ack")


async def test_a_later_delivery_does_not_overtake_an_earlier_chunk() -> None:
    """Chunks finish in order even if the broker answers out of order."""
    shell = Shell(EchoCore, at_once=False)
    await shell.place({HERE: 0})
    await shell.submit(0)
    await shell.submit(1)
    shell.broker.pending[1].set_result(None)
    await asyncio.sleep(0.01)
    assert shell.acked == []


async def test_commits_of_a_stateful_core_stop_at_its_last_written_checkpoint() -> None:
    """However far it has read: the rest has to be read again after a crash."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await eventually(lambda: shell.acked == [2], 1, "the ack")
    assert shell.runner.commit_ceiling(HERE) is None
    await shell.runner.release()
    assert shell.runner.commit_ceiling(HERE) == 3


async def test_a_checkpoint_is_not_written_before_the_outputs_it_covers_are_delivered() -> None:
    """Otherwise a crash in between would lose them for good."""
    shell = Shell(at_once=False)
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.runner.release()  # gives up after drain_s: nothing is delivered
    assert shell.memory.kept == {}
    shell.broker.deliver()
    await eventually(lambda: HERE in shell.memory.kept, 1, "the checkpoint")


async def test_state_and_position_come_back_from_the_checkpoint() -> None:
    """Reading goes on at the checkpoint's offset, not at the committed one."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2, 3)
    await shell.leave()
    starts = await shell.place({HERE: 2})
    assert starts == {HERE: 4}
    assert (shell.cores[-1].total, shell.cores[-1].sum) == (4, 6)


async def test_records_below_the_position_are_left_out() -> None:
    """Read twice, counted once; the chunk is acked all the same."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.submit(1, 2, 3)
    await shell.submit(2, 3)
    await eventually(lambda: shell.acked == [2, 3, 3], 1, "all acks")
    assert (shell.cores[0].total, shell.runner.counters.skipped) == (4, 4)


async def test_offsets_with_gaps_are_processed_and_counted_as_gaps() -> None:
    """Compaction and transactions leave holes."""
    shell = Shell(EchoCore)
    await shell.place({HERE: 0})
    await shell.submit(0, 5, 9)
    await shell.submit(200)
    await eventually(lambda: shell.acked == [9, 200], 1, "both acks")
    assert shell.runner.commit_ceiling(HERE) == 201
    assert shell.runner.counters.gaps == 1


async def test_what_is_read_again_starts_where_a_core_says_it_needs_to() -> None:
    """A core that holds records back names the oldest one held."""

    class Holding(CountingCore):
        def needed_offset(self, next_offset: int) -> int:
            return max(0, next_offset - 2)

    shell = Shell(Holding)
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2, 3)
    await shell.leave()
    assert await shell.place({HERE: 0}) == {HERE: 2}


async def test_processing_waits_while_too_much_is_in_flight() -> None:
    """Memory stays bounded when the broker is slower than the input."""
    shell = Shell(EchoCore, at_once=False, max_inflight_chunks=3)
    await shell.place({HERE: 0})

    async def feed() -> None:
        for offset in range(10):
            await shell.submit(offset)

    feeding = asyncio.create_task(feed())
    await asyncio.sleep(0.02)
    assert len(shell.broker.sent) == 3
    while len(shell.acked) < 10:
        assert len(shell.broker.pending) <= 3
        shell.broker.deliver()
        await asyncio.sleep(0)
    await feeding


async def test_waiting_for_room_ends_when_the_partition_leaves() -> None:
    """Deliveries that never come must not keep the agent from its next partitions."""
    shell = Shell(EchoCore, at_once=False, max_inflight_chunks=1)
    await shell.place({HERE: 0})
    await shell.submit(0)
    waiting = asyncio.create_task(shell.submit(1))
    await asyncio.sleep(0)
    await shell.leave()
    await asyncio.wait_for(waiting, 1)
    await shell.place({HERE: 0})
    await asyncio.wait_for(shell.submit(0), 1)


async def test_a_core_is_never_ticked_while_it_processes() -> None:
    """Also when handing over its outputs has to wait."""

    class Watched(EchoCore):
        busy = False
        ticked_while_busy = False

        def process(self, records: Sequence[Record]) -> Sequence[Output]:
            Watched.busy = True
            return super().process(records)

        def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
            Watched.ticked_while_busy |= Watched.busy
            return ()

    shell = Shell(Watched)
    gate = asyncio.Event()
    send = shell.broker.send

    async def slow(output: Output) -> object:
        await gate.wait()
        Watched.busy = False
        return await send(output)

    shell.runner._send = slow  # type: ignore[assignment]
    await shell.place({HERE: 0})
    working = asyncio.gather(shell.submit(0), shell.runner.tick())
    await asyncio.sleep(0.01)
    gate.set()
    await working
    assert not Watched.ticked_while_busy


class Listening(EchoCore):
    """Remembers what its ticks say."""

    def __init__(self, out: str, partition: int, per_record: bool = False) -> None:
        super().__init__(out, partition, per_record)
        self.heard: list[tuple[int, bool]] = []

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        self.heard.append((now_ms, at_end))
        return ()


async def listening(next_offset: int = 2) -> tuple[Shell, Listening, PlacedPartition]:
    """A shell at the end of its partition, as the broker said twice, one second apart."""
    shell = Shell(Listening)
    await shell.place({HERE: next_offset})
    placed, core = shell.runner.partitions[HERE], shell.cores[-1]
    assert isinstance(core, Listening)
    now = time.monotonic()
    placed.heard_end(2, now - 1.2, now - 1.2)
    placed.heard_end(2, now - 0.2, now - 0.2)
    return shell, core, placed


async def test_a_tick_knows_when_everything_has_been_read() -> None:
    """As of the time at which the broker was asked, not of now: since then there may be more."""
    shell, core, _ = await listening()
    await shell.runner.tick()
    ((now_ms, at_end),) = core.heard
    assert at_end
    assert 150 <= time.time() * 1_000 - now_ms <= 2_000


async def test_a_core_is_not_ticked_while_there_is_something_to_read() -> None:
    """Neither silence nor doubt: it is busy."""
    shell, core, _ = await listening(next_offset=1)
    await shell.runner.tick()
    assert core.heard == []


async def test_a_core_is_not_ticked_on_an_answer_older_than_its_last_chunk() -> None:
    """Silence before that chunk says nothing of silence after it."""
    shell, core, _ = await listening(next_offset=1)
    await shell.submit(1)
    await shell.runner.tick()
    assert core.heard == []


@pytest.mark.parametrize(
    ("asked", "answered"), [(-30.0, -30.0), (-3.0, -0.1)], ids=["long ago", "answered late"]
)
async def test_without_a_prompt_answer_of_the_broker_nobody_is_at_the_end(
    asked: float, answered: float
) -> None:
    """An outage, and a sleep of our own, is not the silence of a source."""
    shell, core, placed = await listening()
    now = time.monotonic()
    placed.heard_end(2, now + asked, now + answered)
    await shell.runner.tick()
    assert [at_end for _, at_end in core.heard] == [False]


async def test_after_a_bug_nothing_is_acked_checkpointed_or_processed_any_more() -> None:
    """A core that raised half way has no state worth keeping."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0)
    await eventually(lambda: shell.acked == [0], 1, "the first ack")
    with pytest.raises(ValueError, match="bug"):
        await shell.runner.submit(HERE, chunk(HERE, [1], b"-1"), lambda: shell.acked.append(1))
    await shell.submit(1)
    await shell.runner.release()
    assert shell.acked == [0]
    assert shell.memory.kept == {}
    assert [type(error) for error in shell.errors] == [ValueError]


async def test_a_failed_delivery_ends_the_worker_and_leaves_the_chunk_unacked() -> None:
    """The producer has already retried for minutes; going on would skip the output."""
    shell = Shell(EchoCore, at_once=False)
    await shell.place({HERE: 0})
    await shell.submit(0)
    shell.broker.pending[0].set_exception(TimeoutError("broker away"))
    await eventually(lambda: len(shell.errors) == 1, 1, "the failure")
    assert shell.acked == []


async def test_a_chunk_that_waited_while_its_partition_left_is_not_processed() -> None:
    """Its next owner reads it."""
    shell = Shell(EchoCore, at_once=False, max_inflight_chunks=1)
    await shell.place({HERE: 0})
    await shell.submit(0)
    waiting = asyncio.create_task(shell.submit(1))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(shell.leave())
    await asyncio.sleep(0)
    shell.broker.deliver()
    await asyncio.gather(waiting, leaving)
    assert len(shell.broker.sent) == 1
    assert shell.acked == [0]


async def test_a_checkpoint_beyond_the_end_of_a_recreated_topic_is_ignored() -> None:
    """Its offsets mean other records; everything new would be taken for already seen."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2, 3)
    await shell.leave()
    assert await shell.place({HERE: 0}, end=2) == {HERE: 0}
    assert shell.cores[-1].total == 0


async def test_a_checkpoint_beyond_what_the_broker_calls_the_end_is_used_if_the_log_goes_that_far() -> None:
    """A broker may understate the end: one just restarted, and the embedded one. State must not be lost."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2, 3)
    await shell.leave()
    shell.memory.log_reaches = True
    assert await shell.place({HERE: 0}, end=2) == {HERE: 4}
    assert shell.cores[-1].total == 4


async def test_without_its_state_a_recreated_topic_is_read_from_its_beginning() -> None:
    """What was committed for the earlier one means other records, too."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2, 3)
    await shell.leave()
    assert await shell.place({HERE: 1}, end=2) == {HERE: 0}


async def test_a_core_whose_snapshots_take_long_is_saved_less_often() -> None:
    """Processing stands still while state is serialised."""

    class Slow(CountingCore):
        def snapshot(self) -> bytes | None:
            time.sleep(0.02)
            return super().snapshot()

    shell = Shell(Slow)
    await shell.place({HERE: 0})
    placed = shell.runner.partitions[HERE]
    await shell.submit(0)
    object.__setattr__(shell.runner.config, "checkpoint_s", 0.001)
    placed.snapshot_due = 0.0
    await shell.runner.tick()
    assert placed.snapshot_due - time.monotonic() > 0.02 / SNAPSHOT_SHARE - 0.1
