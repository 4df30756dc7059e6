"""The whole pipeline on a real Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.e2e import scenarios
from tests.e2e.day import settings_of
from tests.e2e.pipeline import Pipeline, pipeline
from tests.e2e.playday import make_day, the_day_holds
from tests.kafka.cluster import KafkaCluster
from tests.publicdata import public_data
from tests.shopdata import write_shop

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a made-up shop with two faults."""
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real ClickHouse engine."""
    with Stack(tmp_path_factory.mktemp("stack"), kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture
def running(
    request: pytest.FixtureRequest, tmp_path: Path, real_kafka: KafkaCluster, clickhouse: str, shop: Path
) -> Iterator[Pipeline]:
    """A pipeline with topics of its own."""
    prefix = request.node.name.removeprefix("test_")[:30].strip("_")
    with pipeline(tmp_path, real_kafka.bootstrap, clickhouse, prefix, shop) as started:
        yield started


def test_files_become_the_backtests_incidents_on_the_topic_and_in_clickhouse(running: Pipeline) -> None:
    """As on the embedded broker."""
    scenarios.incidents_arrive(running)


def test_three_workers_find_what_one_finds(running: Pipeline) -> None:
    """Real rebalances change nothing."""
    scenarios.workers_change_nothing(running, 3)


def test_kill_nine_three_times_under_load_changes_nothing(running: Pipeline) -> None:
    """Compacted checkpoints, real group coordinator."""
    scenarios.killed_worker_changes_nothing(running)


def test_bad_input_is_kept_and_a_flood_of_it_is_an_incident(running: Pipeline) -> None:
    """Dead letters and the command that lists them."""
    scenarios.bad_input_is_kept(running)


def test_people_acknowledge_and_resolve(running: Pipeline) -> None:
    """Commands find topics and answers on a real broker, too."""
    scenarios.people_act(running)


@pytest.mark.parametrize("workers", [1, 3])
def test_real_data_replayed_gives_the_backtests_incidents(
    workers: int, tmp_path: Path, real_kafka: KafkaCluster, clickhouse: str
) -> None:
    """Nezha's Online Boutique through Kafka, as fast as it goes, with one worker and with three."""
    data = public_data("nezha_ob")
    with pipeline(tmp_path, real_kafka.bootstrap, clickhouse, f"nezha-{workers}", data) as running:
        scenarios.workers_change_nothing(running, workers)


def test_a_scripted_day_gives_the_table_worked_out_by_hand(
    tmp_path: Path, real_kafka: KafkaCluster, clickhouse: str
) -> None:
    """Incidents, clocks and SQL of tests/e2e/day.py."""
    day = make_day(tmp_path)
    extra = settings_of(day)
    with pipeline(tmp_path, real_kafka.bootstrap, clickhouse, "scripted-day", day, extra) as running:
        the_day_holds(running)
