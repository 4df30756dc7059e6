"""Runs with faults that only a broker with a memory can have; `make chaos BROKER=kafka` makes many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import Ground, ground
from tests.chaos.report import line
from tests.chaos.run import Chaos
from tests.chaos.schedule import ALL, Fault, Plan

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RUNS = {
    "broker killed, worker killed": Plan(
        1, (ALL, ALL), (Fault("broker", 0.3, 1.0, 0, "kill"), Fault("kill", 0.5, 0.5, 1))
    ),
    "cut off from the broker, clock two hours ahead": Plan(
        2, (ALL, ALL), (Fault("partition", 0.2, 8.0, 0, "blackhole"), Fault("skew", 0.5, 0.5, 1, "+7200"))
    ),
    "disk of the broker full": Plan(3, (ALL,), (Fault("disk", 0.3, 1.0, 0, "kafka"),)),
}


@pytest.fixture(scope="module")
def disks(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A broker and a ClickHouse of their own, on disks that can be filled where we may mount them."""
    with ground(tmp_path_factory.mktemp("ground"), "kafka", small_disks=True) as shared:
        yield shared


@pytest.mark.parametrize("name", RUNS)
async def test_nothing_is_lost_or_doubled_and_the_incidents_are_equal(
    name: str, disks: Ground, tmp_path: Path
) -> None:
    """Every id at every hop, and the final incidents byte for byte."""
    verdict = await Chaos(disks, RUNS[name], tmp_path, f"t{RUNS[name].seed}").run()
    assert verdict.passed, line(verdict, tmp_path)
    if verdict.skipped:
        pytest.skip("; ".join(verdict.skipped))
    assert len(verdict.proofs) == len(RUNS[name].faults)
