"""A few seeded runs on the embedded broker; `make chaos` makes many."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.agents.stages import topic_specs
from tests.chaos.ground import Ground, ground
from tests.chaos.proxy import Mode
from tests.chaos.report import line
from tests.chaos.run import START_S, Chaos
from tests.chaos.schedule import ALL, Fault, Plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RUNS = {
    "killed twice": Plan(1, (ALL,), (Fault("kill", 0.3, 0.5, 0), Fault("kill", 0.6, 0.0, 0))),
    "slept through its session, network cut": Plan(
        2, (ALL, ALL), (Fault("sleep", 0.2, 8.0, 1), Fault("partition", 0.5, 3.0, 0, "deaf"))
    ),
    "services away": Plan(
        3, (ALL,), (Fault("broker", 0.3, 5.0, 0, "freeze"), Fault("clickhouse", 0.5, 2.0, 0, "kill"))
    ),
}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A broker and a ClickHouse for all runs."""
    with ground(tmp_path_factory.mktemp("ground"), "embedded") as shared:
        yield shared


@pytest.mark.parametrize("name", RUNS)
async def test_nothing_is_lost_or_doubled_and_the_incidents_are_equal(
    name: str, embedded: Ground, tmp_path: Path
) -> None:
    """Every id at every hop, and the final incidents byte for byte."""
    verdict = await Chaos(embedded, RUNS[name], tmp_path, f"t{RUNS[name].seed}").run()
    assert verdict.passed, line(verdict, tmp_path)
    assert len(verdict.proofs) == len(RUNS[name].faults)


async def test_a_worker_told_to_stop_stops_although_its_broker_does_not_answer(
    embedded: Ground, tmp_path: Path
) -> None:
    """Clients wait for ever on purpose; a process that was told to end must not."""
    chaos = Chaos(embedded, Plan(4, (ALL,), ()), tmp_path, "t4")
    (worker,) = chaos.crew.workers
    await embedded.create(topic_specs(chaos.settings))
    try:
        await worker.open()
        worker.start()
        await chaos.until("its partitions", chaos.all_held, START_S)
        worker.kafka.set(Mode.BLACKHOLE)
        worker.signal(signal.SIGTERM)
        assert await worker.gone(40) == 0
    finally:
        await worker.close()
