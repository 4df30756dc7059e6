"""A few seeded runs on the embedded broker; `make chaos` makes many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import Ground, ground
from tests.chaos.report import line
from tests.chaos.run import Chaos
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
