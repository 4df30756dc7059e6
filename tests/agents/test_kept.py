"""Partitions that stay through a rebalance keep their core, and only if nobody else can have had them."""

from __future__ import annotations

from tests.agents.cores import EchoCore
from tests.agents.kit import eventually
from tests.agents.test_runner import HERE, Shell


async def test_a_core_that_stays_goes_on_as_it_is_where_it_is() -> None:
    """Neither made anew nor restored, and nothing is read twice."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.leave(still_ours=True)
    assert await shell.place({HERE: 0}) == {HERE: 3}
    assert (len(shell.cores), shell.runner.counters.kept, shell.runner.counters.restored) == (1, 1, 0)
    await shell.submit(3)
    assert shell.cores[0].total == 4


async def test_what_stays_may_be_committed_up_to_its_last_checkpoint() -> None:
    """The drain has written one."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.leave(still_ours=True)
    await shell.place({HERE: 0})
    assert shell.runner.commit_ceiling(HERE) == 3


async def test_what_somebody_else_may_have_had_is_restored() -> None:
    """From the checkpoint that is furthest by then."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.leave(still_ours=False)
    assert await shell.place({HERE: 0}) == {HERE: 3}
    assert (len(shell.cores), shell.runner.counters.kept, shell.runner.counters.restored) == (2, 0, 1)


async def test_what_was_not_drained_is_restored() -> None:
    """Its outputs may be lost: what the core knows of them must not survive."""
    shell = Shell(at_once=False)
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.leave(still_ours=True)
    assert await shell.place({HERE: 0}) == {HERE: 0}
    assert (len(shell.cores), shell.runner.counters.kept) == (2, 0)


async def test_a_core_that_broke_is_not_kept() -> None:
    """Its state is that of half a chunk."""
    shell = Shell()
    await shell.place({HERE: 0})
    shell.runner._break(ValueError("a bug"))
    await shell.leave(still_ours=True)
    await shell.place({HERE: 0})
    assert (len(shell.cores), shell.runner.counters.kept) == (2, 0)


async def test_a_stateless_core_starts_at_the_commit() -> None:
    """It has nothing to keep."""
    shell = Shell(EchoCore)
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await eventually(lambda: shell.acked == [2], 1, "the ack")
    await shell.leave(still_ours=True)
    assert await shell.place({HERE: 3}) == {HERE: 3}
    assert shell.runner.counters.kept == 0


async def test_a_recreated_topic_is_not_read_from_where_the_old_one_was() -> None:
    """A position beyond its end belongs to the topic of that name before."""
    shell = Shell()
    await shell.place({HERE: 0})
    await shell.submit(0, 1, 2)
    await shell.leave(still_ours=True)
    assert await shell.place({HERE: 0}, end=1) == {HERE: 0}
