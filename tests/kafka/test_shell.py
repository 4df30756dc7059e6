"""The shell's tests once more where the broker matters: groups, compaction, commits, topic settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.agents import kit
from tests.agents.test_checkpoints import (
    test_the_store_finds_a_checkpoint_far_behind_the_end_of_its_topic as test_far_checkpoint,
)
from tests.agents.test_processes import PARTITIONS, Crew, assert_counts_exact, crew
from tests.agents.test_processes import (
    test_a_bug_in_a_core_ends_the_worker_and_commits_nothing as test_bug,
)
from tests.agents.test_processes import (
    test_a_worker_refuses_a_topic_with_another_partition_count as test_partition_count,
)
from tests.agents.test_processes import (
    test_a_worker_that_slept_through_its_session_spoils_nothing as test_sleeper,
)
from tests.agents.test_processes import (
    test_nothing_is_lost_or_read_twice_while_workers_join_and_leave as test_join_and_leave,
)
from tests.agents.test_processes import (
    test_sigterm_under_load_leaves_nothing_to_read_again as test_sigterm,
)
from tests.agents.test_processes import (
    test_state_is_exact_and_nothing_is_lost_after_three_kills as test_three_kills,
)
from tests.agents.test_worker import (
    test_topics_are_created_once_by_workers_that_start_together as test_topics,
)
from tests.kafka.cluster import KafkaCluster

__all__ = [
    "crew",
    "test_bug",
    "test_far_checkpoint",
    "test_join_and_leave",
    "test_partition_count",
    "test_sigterm",
    "test_sleeper",
    "test_three_kills",
    "test_topics",
]

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def bootstrap(real_kafka: KafkaCluster) -> str:
    """HOST:PORT of the real broker, where tests/agents has the embedded one."""
    return real_kafka.bootstrap


async def test_a_worker_outlives_a_restart_of_the_broker(
    kafka_jars: None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Sends are repeated in order, the group is joined again, nothing is lost and no state is wrong."""
    ids = range(20_000)
    with KafkaCluster() as kafka:
        made = Crew(tmp_path, kafka.bootstrap, "count")
        request.addfinalizer(made.end)
        await made.topics()
        worker = made.start()
        await worker.ready()
        await kit.produce(kafka.bootstrap, made.source, PARTITIONS, ids[:10_000])
        await asyncio.to_thread(kafka.restart)
        await kit.produce(kafka.bootstrap, made.source, PARTITIONS, ids[10_000:])
        everything = set(ids)
        said = await kit.read_until(kafka.bootstrap, made.out, lambda s: everything <= set(kit.ids_of(s)), 60)
        assert_counts_exact(said, ids)
        assert worker.alive()
        assert await worker.stop() == 0
