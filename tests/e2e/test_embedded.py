"""The whole pipeline on the embedded broker: processes, as a user starts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.e2e import scenarios
from tests.e2e.pipeline import Pipeline, pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path, stack: Stack, shop: Path) -> Iterator[Pipeline]:
    """A pipeline with topics of its own."""
    prefix = request.node.name.removeprefix("test_")[:30].strip("_")
    with pipeline(tmp_path, stack.kafka, stack.clickhouse, prefix, shop) as started:
        yield started


def test_files_become_the_backtests_incidents_on_the_topic_and_in_clickhouse(running: Pipeline) -> None:
    """Replay, worker, sink: nothing differs from the back-test."""
    scenarios.incidents_arrive(running)


def test_three_workers_find_what_one_finds(running: Pipeline) -> None:
    """Sharing partitions changes nothing."""
    scenarios.workers_change_nothing(running, 3)


def test_kill_nine_three_times_under_load_changes_nothing(running: Pipeline) -> None:
    """Every sample accounted for, equal incidents, one row each in ClickHouse."""
    scenarios.killed_worker_changes_nothing(running)


def test_bad_input_is_kept_and_a_flood_of_it_is_an_incident(running: Pipeline) -> None:
    """Nothing vanishes and nothing stops."""
    scenarios.bad_input_is_kept(running)


def test_people_acknowledge_and_resolve(running: Pipeline) -> None:
    """`tocsin ack` and `resolve` go through the actions topic and are answered."""
    scenarios.people_act(running)
