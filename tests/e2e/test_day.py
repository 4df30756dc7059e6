"""A scripted day gives the timing figures worked out by hand: in the back-test, over Kafka, and in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.settings import Settings
from embedded.stack import Stack
from tests.e2e.day import settings_of
from tests.e2e.pipeline import Pipeline, pipeline
from tests.e2e.playday import check_clocks, check_timings, found, make_day, the_day_holds


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day"))


def test_the_back_test_gives_the_table(day: Path) -> None:
    """Detected and reported incidents; acknowledged late and never; merged, reopened, paused."""
    known = found(day, msgspec.convert(settings_of(day), Settings))
    incidents = [msgspec.to_builtins(i) for i in known.incidents.values()]
    check_timings(incidents)
    check_clocks(incidents, [msgspec.to_builtins(s) for s in known.response.values()])


@pytest.fixture
def running(tmp_path: Path, stack: Stack, day: Path) -> Iterator[Pipeline]:
    """A pipeline with topics of its own."""
    with pipeline(tmp_path, stack.kafka, stack.clickhouse, "day", day, settings_of(day)) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kafka_and_sql_give_the_table(running: Pipeline) -> None:
    """The same day through a worker on the embedded broker."""
    the_day_holds(running)
