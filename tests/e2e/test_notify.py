"""The notify stage in worker processes: a target is told of every incident, also over a kill -9."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.e2e.pipeline import pipeline, wait_for
from tests.targets.server import PagerDutyService, Service, WebhookService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OVER = ("resolved", "closed", "merged")


@contextmanager
def served(service: Service) -> Iterator[Service]:
    """A service in a thread of its own."""
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with service:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


def test_targets_are_told_over_a_kill_and_an_outage(
    tmp_path: Path, stack: Stack, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One target answers 500 for a while and the worker is killed: each ends knowing how all stands."""
    monkeypatch.setenv("SHOP_ROUTING", "0123456789abcdef0123456789abcdef")
    with served(WebhookService()) as hook, served(PagerDutyService()) as pager:
        pager.down = True
        targets = [
            {"type": "webhook", "name": "hook", "url": hook.url, "min_severity": "info"},
            {
                "type": "pagerduty", "name": "pager", "url": f"{pager.url}/v2/enqueue",
                "routing_key": {"env": "SHOP_ROUTING"}, "breaker_s": 0.5, "min_severity": "info",
            },
        ]  # fmt: skip
        extra = {"notify": {"targets": targets}}
        with pipeline(tmp_path, stack.kafka, stack.clickhouse, "notify", shop, extra) as running:
            expected = running.expected()
            ends = {id: "over" if i["state"] in OVER else "open" for id, i in expected.items()}
            worker = running.start_worker()
            running.wait_for_topics()
            running.replay("--speed", "0")
            wait_for("something on the hook", lambda: hook.standing(), log=worker.log)
            worker.kill()
            pager.down = False
            worker = running.start_worker()
            wait_for("the hook to know all", lambda: hook.standing() == ends, log=worker.log)
            wait_for(
                "nothing left open on the pager",
                lambda: (
                    all(ends[id] == how for id, how in pager.standing().items())
                    and {id for id, how in ends.items() if how == "open"} <= pager.standing().keys()
                ),
                log=worker.log,
            )
            with running.clickhouse() as client:
                sent = "SELECT incident FROM notification_versions WHERE target = 'hook' AND state = 'sent'"
                wait_for(
                    "what was sent in ClickHouse",
                    lambda: {row[0] for row in client.query(sent).result_rows} == ends.keys(),
                    log=worker.log,
                )
            assert hook.refused + pager.refused == []
