"""Apprise, through its own JSON plugin at a local server: told, told again after faults, and of the end."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from aiohttp import web

from config import notify
from config.settings import Topics
from sinks.protocol import SinkMisconfigured, SinkUnavailable
from sinks.targets.build import secrets_of, target_of
from sinks.targets.engine import Engine
from sinks.targets.ledger import MemoryLedger
from tests.targets.kit import record
from tests.targets.server import Service
from tests.targets.test_targets import life, told

pytest.importorskip("apprise", reason="pip install 'tocsin[apprise]'")


class Mailbox(Service):
    """Takes what Apprise's json:// sends."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        mail = json.loads(await request.read())
        if not mail.get("title") or not mail.get("message"):
            return self.bad("title and message")
        self.mails.append(mail)
        return web.Response()


def teller(environment: pytest.MonkeyPatch, urls: str) -> Engine:
    environment.setenv("T_URLS", urls)
    raw = {"type": "apprise", "name": "mail", "urls": {"env": "T_URLS"}, "breaker_failures": 100}
    settings = msgspec.convert(raw, notify.Target)
    return Engine(target_of(settings), settings, Topics(), MemoryLedger("mail"), lambda: secrets_of(settings))


async def test_apprise_is_told_of_what_changes_and_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over two faults: each message arrives, the last one says that it is over."""
    async with Mailbox() as box:
        one = teller(monkeypatch, f"json://127.0.0.1:{box.port}/secretpath")
        box.faults = ["500"]
        for item in life():
            await told(one, [item])
        await one.stop()
    assert box.refused == []
    assert [mail["type"] for mail in box.mails] == ["failure", "failure", "failure", "success"]
    assert "resolved" in box.mails[-1]["title"]
    assert one.counts["failed"] == 1


async def test_an_address_apprise_does_not_know_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may hold a password: only the target is named."""
    one = teller(monkeypatch, "nonsense://user:pass@host")
    with pytest.raises(SinkUnavailable, match="target mail: one of its addresses") as caught:
        await one.write([record(life()[0])])
    assert "pass" not in str(caught.value)
    await one.stop()


async def test_a_missing_secret_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the variable."""
    one = teller(monkeypatch, "json://x")
    monkeypatch.delenv("T_URLS")
    with pytest.raises(SinkMisconfigured, match="the environment has no T_URLS: set it"):
        await one.start()
