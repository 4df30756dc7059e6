"""Worker processes against a broker: killed, stopped, joined and left while records keep coming."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from streams.agents.ends import behind
from streams.agents.topics import TopicSpec
from tests.agents import kit

pytestmark = pytest.mark.slow

PARTITIONS = 3


class Crew:
    """Workers of one group over one pair of topics; all ended when the test is."""

    def __init__(self, folder: Path, bootstrap: str, core: str) -> None:
        self.source, self.out, self.group = kit.unique("in"), kit.unique("out"), kit.unique("crew")
        self._folder, self._bootstrap, self._core = folder, bootstrap, core
        self.workers: list[kit.WorkerProcess] = []

    def start(self, **config: Any) -> kit.WorkerProcess:
        worker = kit.WorkerProcess(
            self._folder,
            self._bootstrap,
            source=self.source,
            out=self.out,
            core=self._core,
            partitions=PARTITIONS,
            config={"group_prefix": self.group, "checkpoint_s": 1.0, **config},
        )
        self.workers.append(worker)
        return worker

    async def topics(self) -> None:
        await kit.create(self._bootstrap, TopicSpec(self.source, PARTITIONS), TopicSpec(self.out, 1))

    def end(self) -> None:
        for worker in self.workers:
            if worker.alive():
                worker.kill()


@pytest.fixture
def crew(request: pytest.FixtureRequest, tmp_path: Path, bootstrap: str) -> Iterator[Crew]:
    made = Crew(tmp_path, bootstrap, getattr(request, "param", "count"))
    yield made
    made.end()


def assert_counts_exact(said: list[dict[str, Any]], ids: range) -> None:
    """Every id arrived, and whatever a worker said of an offset is what a single one would have said."""
    assert set(kit.ids_of(said)) == set(ids)
    prefix: dict[tuple[int, int], tuple[int, int]] = {}
    for partition in range(PARTITIONS):
        total = 0
        for count, i in enumerate((i for i in ids if i % PARTITIONS == partition), 1):
            total += i
            prefix[partition, count] = (count, total)
    for one in said:
        assert (one["total"], one["sum"]) == prefix[one["ids"][0] % PARTITIONS, one["next"]]


async def test_state_is_exact_and_nothing_is_lost_after_three_kills(bootstrap: str, crew: Crew) -> None:
    """kill -9 under load, three times: restored state is exact and every id is accounted for."""
    await crew.topics()
    ids = range(60_000)
    load = asyncio.create_task(kit.produce(bootstrap, crew.source, PARTITIONS, ids, rate=3_000))
    for _ in range(3):
        worker = crew.start()
        await worker.ready()
        await asyncio.sleep(2.5)  # long enough for a checkpoint and some records after it
        worker.kill()
    await load
    crew.start()
    everything = set(ids)
    said = await kit.read_until(bootstrap, crew.out, lambda s: everything <= set(kit.ids_of(s)), 60)
    assert_counts_exact(said, ids)
    assert len(kit.ids_of(said)) > len(ids), (
        "three kills without one record read twice: was there load at all?"
    )


async def test_nothing_is_lost_or_read_twice_while_workers_join_and_leave(bootstrap: str, crew: Crew) -> None:
    """1, 2, 3 and again 2 workers under load: the drain before each revoke leaves nothing to repeat."""
    await crew.topics()
    ids = range(50_000)
    load = asyncio.create_task(kit.produce(bootstrap, crew.source, PARTITIONS, ids, rate=3_000))
    for _ in range(3):
        # No periodic checkpoint: only the one of the drain can have kept what was done.
        await crew.start(checkpoint_s=600.0).ready()
    assert await crew.workers[0].stop() == 0
    await load
    said = await kit.read_until(bootstrap, crew.out, lambda s: len(kit.ids_of(s)) >= len(ids), 60)
    assert_counts_exact(said, ids)
    assert [i for i, n in Counter(kit.ids_of(said)).items() if n > 1] == []


@pytest.mark.parametrize("crew", ["echo"], indirect=True)
async def test_sigterm_under_load_leaves_nothing_to_read_again(bootstrap: str, crew: Crew) -> None:
    """Drain, checkpoint, commit, exit 0: the next worker goes on exactly where this one stopped."""
    await crew.topics()
    ids = range(15_000)
    load = asyncio.create_task(kit.produce(bootstrap, crew.source, PARTITIONS, ids, rate=3_000))
    first = crew.start()
    await first.ready()
    await asyncio.sleep(0.5)
    assert await first.stop() == 0
    await load
    crew.start()
    said = await kit.read_until(bootstrap, crew.out, lambda s: set(kit.ids_of(s)) >= set(ids), 30)
    assert sorted(kit.ids_of(said)) == list(ids)


async def test_a_bug_in_a_core_ends_the_worker_and_commits_nothing(bootstrap: str, crew: Crew) -> None:
    """An exception crashes loudly with a code; the record is still there for the fixed version."""
    await crew.topics()
    await kit.produce(bootstrap, crew.source, 1, [5, -1])
    worker = crew.start()
    assert await worker.exit_code(30) == 1
    assert "a negative id is the test's word for a bug" in worker.text()
    assert await kit.committed(bootstrap, f"{crew.group}-test", crew.source, 0) is None


async def test_a_worker_refuses_a_topic_with_another_partition_count(bootstrap: str, crew: Crew) -> None:
    """One line that names topic and both counts, exit code 2."""
    await kit.create(bootstrap, TopicSpec(crew.source, PARTITIONS + 1))
    worker = crew.start()
    assert await worker.exit_code(20) == 2
    assert f"topic {crew.source} has 4 partitions, the configuration says 3" in worker.text()
    assert "Traceback" not in worker.text()


async def test_a_worker_that_slept_through_its_session_spoils_nothing(bootstrap: str, crew: Crew) -> None:
    """It wakes with chunks in hand, state and checkpoints to write, while another owns its partitions."""
    await crew.topics()
    ids = range(45_000)
    load = asyncio.create_task(kit.produce(bootstrap, crew.source, PARTITIONS, ids, rate=2_500))
    sleeper = crew.start()
    await sleeper.ready()
    await asyncio.sleep(1.5)
    sleeper.process.send_signal(signal.SIGSTOP)
    heir = crew.start()
    await heir.ready()
    sleeper.process.send_signal(signal.SIGCONT)
    await load
    everything = set(ids)
    said = await kit.read_until(bootstrap, crew.out, lambda s: everything <= set(kit.ids_of(s)), 60)
    assert_counts_exact(said, ids)
    assert sleeper.alive()
    assert heir.alive()


async def test_the_end_of_a_partition_is_where_its_last_record_is(bootstrap: str, crew: Crew) -> None:
    """Whatever the broker answers after a large last batch."""
    await crew.topics()
    await kit.produce(bootstrap, crew.source, 1, range(500))
    tp = TP(crew.source, 0)
    assert await behind(bootstrap, {tp: 0}) == {tp: 500}
    assert await behind(bootstrap, {tp: 500}) == {tp: 500}
