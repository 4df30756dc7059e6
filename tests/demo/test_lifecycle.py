"""The shop as a whole: it comes, it goes, and a plan is played on it."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console

from cli.demo import Supervised
from demo.changes import now_ms
from demo.director import Director
from demo.faults import BY_NAME
from demo.schedule import plan
from demo.scoring import score
from demo.screen import Picture, Screen
from demo.shop import SERVICES, Shop
from embedded.stack import Stack
from tests.demo.conftest import World

pytestmark = pytest.mark.slow


def test_stopped_shop_leaves_no_process(tmp_path: Path) -> None:
    """After stop, every service and the load are gone, though the broker still runs."""
    with Stack(tmp_path, clickhouse=False) as stack:
        shop = Shop(Supervised(stack.supervisor), stack.kafka, tmp_path / "shop")
        shop.start()
        shop.start_load()
        shop.contend_for_store(100, 100)
        pids = [shop.pid(name) for name in (*SERVICES, "load")] + [stack.supervisor.pid("report-job")]
        assert all(psutil.pid_exists(pid) for pid in pids)
        shop.stop()
        assert not any(psutil.pid_exists(pid) for pid in pids)


def test_director_injects_heals_and_scores_what_the_topic_says(world: World) -> None:
    """A played plan ends with the truth, and an incident on the topic is held against it."""
    short = plan([BY_NAME["slow-inventory"]], None, warm_up_s=0.5, fault_s=4.0, recovery_s=0.0)
    short = type(short)(short.slots, short.slots[0].end_s + 1.0)
    out = io.StringIO()
    picture = Picture(short)

    async def play() -> Director:
        with Screen(picture, Console(file=out, force_terminal=False)) as screen:
            director = Director(world.shop, world.kafka, short, picture, screen)
            playing = asyncio.ensure_future(director.play())
            async with asyncio.timeout(20):
                while not picture.injected_ms:  # noqa: ASYNC110 - the condition is what we wait for
                    await asyncio.sleep(0.05)
                await publish(world.kafka, picture.injected_ms["slow-inventory"])
                await playing
        return director

    director = asyncio.run(play())
    result = score(director.truth, director.findings.all())
    assert [(row.fault, row.incident, row.passed) for row in result.rows] == [
        ("slow-inventory", "inc-test", True)
    ]
    assert "INCIDENT inc-test critical: inventory is slow | first hint inventory (90%)" in out.getvalue()
    assert "detected 1.5 s after injection" in out.getvalue()


async def publish(kafka: str, injected_ms: int) -> None:
    """An incident as Tocsin writes it."""
    data = {
        "id": "inc-test",
        "version": 1,
        "state": "open",
        "title": "inventory is slow",
        "severity": "critical",
        "started_at": injected_ms + 500,
        "detected_at": injected_ms + 1_500,
        "resolved_at": None,
        "services": [{"service": "inventory", "role": "suspected cause"}],
        "hints": [
            {"service": "inventory", "confidence": 0.9, "evidence": [{"kind": "onset", "text": "first"}]}
        ],
    }
    event = {
        "specversion": "1.0",
        "id": "e1",
        "source": "test",
        "type": "incident",
        "time": now_ms(),
        "data": data,
    }
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait("tocsin.incidents", json.dumps(event).encode(), b"inc-test")
