"""What a worker says about itself, and when it calls itself stalled."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from faust.types import TP

from streams.agents import metric_names
from streams.agents.health import HealthServer, StageView, partitions_health, stalled_for, verdict
from streams.agents.placed import InFlight, PlacedPartition
from streams.agents.runner import RunnerConfig
from streams.agents.sinkrunner import SinkRunner

HERE = TP("in", 0)


def view(done: int, high: int | None, progress_at: float, retrying: bool = False) -> StageView:
    handler: Any = None
    runner = SinkRunner(RunnerConfig("sink"), handler, lambda error: None)
    placed = PlacedPartition(
        done, InFlight(1, 1), done_offset=done, high=high, progress_at=progress_at, ceiling=done
    )
    runner.partitions = {HERE: placed}
    runner.retrying_since = progress_at if retrying else None
    return StageView("sink", runner)


def echoing(made: StageView, answers_since: float, asked_at: float) -> StageView:
    """A view whose broker has answered since then, last when asked at `asked_at`."""
    placed = made.runner.partitions[HERE]
    placed.heard_since, placed.asked_at = answers_since, asked_at
    return made


def test_lag_is_the_end_minus_what_is_safe() -> None:
    """Not minus what was fetched."""
    (found,) = partitions_health([view(done=70, high=100, progress_at=5.0)], now=8.0)
    assert (found.lag, found.progress_age_s) == (30, 3.0)


def test_a_partition_whose_end_is_not_known_yet_has_no_lag() -> None:
    """Rather than an invented one."""
    assert partitions_health([view(done=70, high=None, progress_at=5.0)], now=8.0)[0].lag == 0


@pytest.mark.parametrize(
    ("done", "now", "status"),
    [(70, 29.0, "ok"), (70, 31.0, "stalled"), (100, 999.0, "ok")],
    ids=["short standstill", "long standstill", "nothing to read"],
)
def test_a_worker_is_stalled_when_it_has_lag_and_no_progress(done: int, now: float, status: str) -> None:
    """Either alone is fine."""
    found = verdict([view(done, high=100, progress_at=0.0)], now, unhealthy_after_s=30.0)
    assert found["status"] == status


def test_the_reason_names_stage_partition_and_lag() -> None:
    """So that the person who is paged knows where to look."""
    found = verdict([view(done=70, high=100, progress_at=0.0)], 45.0, unhealthy_after_s=30.0)
    assert found["reason"] == "sink made no progress on in/0 for 45 s with 30 records waiting"


def test_an_absent_target_makes_a_worker_unhealthy_but_is_no_reason_to_end_it() -> None:
    """A restart would not bring the target back."""
    views = [view(done=70, high=100, progress_at=0.0, retrying=True)]
    assert verdict(views, 45.0, unhealthy_after_s=30.0)["status"] == "stalled"
    assert stalled_for(views, 45.0) is None


def test_an_absent_broker_makes_a_worker_unhealthy_but_is_no_reason_to_end_it() -> None:
    """Nor is the time it was away, once it is back."""
    views = [echoing(view(done=70, high=100, progress_at=0.0), answers_since=700.0, asked_at=712.0)]
    away = stalled_for(views, 800.0, outage_counts=False)
    assert away is not None
    assert away.seconds == 0
    assert verdict(views, 800.0, unhealthy_after_s=30.0)["status"] == "stalled"
    found = stalled_for(views, 713.0, outage_counts=False)
    assert found is not None
    assert found.seconds == 13.0


async def test_a_probe_does_not_restart_a_worker_whose_broker_is_away() -> None:
    """It says so elsewhere."""
    server = HealthServer([view(done=70, high=100, progress_at=-1e6)], unhealthy_after_s=30.0)
    port = await server.start(0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for path, status in (("/livez", 200), ("/readyz", 503), ("/healthz", 503)):
                async with http.get(path) as answer:
                    assert answer.status == status
    finally:
        await server.stop()


async def test_the_endpoint_answers_health_lag_and_metrics() -> None:
    """200 while well, 503 when stalled; every metric of metric_names is exposed."""
    views = [view(done=70, high=100, progress_at=0.0)]
    server = HealthServer(views, unhealthy_after_s=30.0)
    port = await server.start(0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            async with http.get("/healthz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "stalled")
            views[0].runner.partitions[HERE].done_offset = 100
            async with http.get("/healthz") as answer:
                assert answer.status == 200
            async with http.get("/lag") as answer:
                assert (await answer.json())[0]["topic"] == "in"
            async with http.get("/metrics") as answer:
                text = await answer.text()
    finally:
        await server.stop()
    assert 'tocsin_lag_records{partition="0",stage="sink",topic="in"} 0.0' in text
    declared = [m.name for m in vars(metric_names).values() if isinstance(m, metric_names.Metric)]
    assert [name for name in declared if f"# TYPE {name} " not in text] == []


async def test_a_taken_port_is_an_os_error() -> None:
    """Which the worker turns into one line."""
    first, second = HealthServer([], 30.0), HealthServer([], 30.0)
    port = await first.start(0)
    try:
        with pytest.raises(OSError, match="address already in use"):
            await second.start(port)
    finally:
        await asyncio.gather(first.stop(), second.stop())
