"""The real Alertmanager, where it is installed: an incident is an alert there until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from embedded.probe import free_port
from tests.kafka import programs
from tests.targets.kit import engine, version
from tests.targets.server import Service
from tests.targets.test_targets import told

CONFIG = """
route: {receiver: nobody, group_by: [incident]}
receivers: [{name: nobody}]
"""


async def test_the_real_alertmanager_shows_an_incident_until_it_is_over(tmp_path: Path) -> None:
    """Posted, acknowledged as annotation, gone from the active alerts when it resolves."""
    binary = programs.program("prometheus-alertmanager", "prometheus-alertmanager")
    (tmp_path / "am.yml").write_text(CONFIG)
    service = Service()
    service.port = free_port()
    argv = [
        binary,
        f"--config.file={tmp_path}/am.yml",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{service.port}",
        "--cluster.listen-address=",
    ]
    now = round(time.time() * 1000)
    with programs.running(argv, tmp_path / "am.log") as ended:
        teller = engine("alertmanager", service, labels={"team": "shop"}, timeout_s=5)
        opened = version(1, state="open", severity="critical", started_at=now - 60_000, updated_at=now)
        await _ready(service.url, ended)
        await told(teller, [opened])
        shown = await _alerts(service.url)
        assert [a["labels"] for a in shown] == [
            {"alertname": "TocsinIncident", "incident": opened.id, "team": "shop"}
            | ({"domain": opened.domain} if opened.domain else {})
        ]
        assert shown[0]["status"]["state"] in ("active", "unprocessed")
        over = version(
            2, state="resolved", severity="critical", started_at=now - 60_000, updated_at=now, resolved_at=now
        )
        await told(teller, [over])
        assert await _alerts(service.url) == [], ended()
        await teller.stop()


async def _ready(url: str, ended: Callable[[], str]) -> None:
    """On a busy machine it takes seconds until it listens."""
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as answer:
                if answer.status == 200:
                    return
        assert time.monotonic() < until, ended()
        await asyncio.sleep(0.1)


async def _alerts(url: str) -> list[dict]:  # type: ignore[type-arg]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v2/alerts") as answer:
        assert answer.status == 200
        found: list[dict] = await answer.json()  # type: ignore[type-arg]
        return found


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_TOKEN", "x")
