"""The runner of a sink: written before acked, retried while the target is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from faust.types import TP

from streams.agents.runner import RunnerConfig
from streams.agents.sinkrunner import SinkRunner, start_handler
from streams.agents.topics import StartError
from streams.records.stage import Record
from tests.agents.fakes import chunk
from tests.agents.kit import eventually

HERE = TP("in", 0)


class Away(Exception):
    """The target does not answer."""


class Target:
    """Fails the first `failures` writes."""

    retryable = (Away,)

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.attempts = 0
        self.written: list[int] = []

    async def start(self) -> None:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise Away("no ClickHouse at x")

    async def stop(self) -> None:
        pass

    async def write(self, records: Sequence[Record]) -> None:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise Away("target away")
        if records[0].offset == 99:
            raise ValueError("a bug")
        self.written += [record.offset for record in records]


class Shell:
    def __init__(self, failures: int = 0) -> None:
        self.target = Target(failures)
        self.errors: list[BaseException] = []
        self.acked: list[int] = []
        config = RunnerConfig("sink", drain_s=0.3)
        self.runner = SinkRunner(config, self.target, self.errors.append, max_wait_s=0.02)

    async def submit(self, *offsets: int) -> None:
        await self.runner.submit(HERE, chunk(HERE, offsets), lambda: self.acked.append(offsets[-1]))


async def test_records_are_acked_after_they_were_written() -> None:
    """And the commit ceiling follows."""
    shell = Shell()
    await shell.runner.place({HERE: 5}, {})
    assert shell.runner.commit_ceiling(HERE) is None
    await shell.submit(5, 6)
    assert (shell.target.written, shell.acked, shell.runner.commit_ceiling(HERE)) == ([5, 6], [6], 7)


async def test_a_write_is_repeated_until_the_target_is_back() -> None:
    """Nothing is acked and nothing else is taken meanwhile."""
    shell = Shell(failures=3)
    await shell.runner.place({HERE: 0}, {})
    await asyncio.gather(shell.submit(0, 1), shell.submit(2))
    assert (shell.target.written, shell.acked) == ([0, 1, 2], [1, 2])
    assert shell.runner.counters.retries == 3
    assert shell.errors == []


async def test_a_partition_that_leaves_does_not_wait_for_an_absent_target() -> None:
    """The unwritten records are neither acked nor written late."""
    shell = Shell(failures=10**9)
    await shell.runner.place({HERE: 0}, {})
    writing = asyncio.create_task(shell.submit(0, 1))
    await eventually(lambda: shell.runner.retrying_since is not None, 1, "the first retry")
    await asyncio.wait_for(shell.runner.release(), 2)
    shell.runner.forget()
    await asyncio.wait_for(writing, 2)
    assert (shell.target.written, shell.acked) == ([], [])


async def test_any_other_exception_of_a_sink_ends_the_worker() -> None:
    """A bug is not retried."""
    shell = Shell()
    await shell.runner.place({HERE: 99}, {})
    with pytest.raises(ValueError, match="a bug"):
        await shell.submit(99)
    assert shell.acked == []
    assert len(shell.errors) == 1


async def test_records_written_before_are_left_out() -> None:
    """Read twice after a late seek, written once."""
    shell = Shell()
    await shell.runner.place({HERE: 0}, {})
    await shell.submit(0, 1, 2)
    await shell.submit(1, 2, 3)
    assert shell.target.written == [0, 1, 2, 3]
    assert shell.acked == [2, 3]


async def test_starting_a_sink_waits_for_its_target() -> None:
    """Compose starts things in any order."""
    target = Target(failures=1)
    await start_handler(target, patience_s=5)
    assert target.attempts == 2


async def test_an_absent_target_is_one_clear_start_error() -> None:
    """With the sink's own message."""
    with pytest.raises(StartError, match="no ClickHouse at x"):
        await start_handler(Target(failures=10**9), patience_s=0)
