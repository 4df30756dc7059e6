"""Apprise: mail, Teams, ntfy and whatever else it knows. At least once: it has no key to send under."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from config.notify import Apprise
from correlator.incident import Incident
from correlator.response import Notice
from sinks.notification import Notification
from sinks.protocol import SinkMisconfigured
from sinks.targets import words
from sinks.targets.protocol import OVER, Answer, Done, Item, Outcome, Refused, Request, Unavailable
from streams.records.digest import digest_hex

KINDS = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}


class AppriseTarget:
    """Told of everything it is configured for."""

    kind = "apprise"

    def __init__(self, settings: Apprise, urls: Callable[[], str]) -> None:
        """Raises `SinkMisconfigured` when the package is missing."""
        self.name = settings.name
        self._settings = settings
        self._urls = urls
        try:
            import apprise
        except ImportError as error:
            raise SinkMisconfigured(
                f"target {settings.name}: Apprise is not installed: pip install 'tocsin[apprise]'"
            ) from error
        self._apprise: Any = apprise

    def dedup_key(self, item: Item) -> str:
        if isinstance(item, Incident):
            return item.id
        return f"{'notice' if isinstance(item, Notice) else 'update'}/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return digest_hex(item.id, item.text)
        live = "over" if item.state in OVER else item.state
        return digest_hex(live, item.severity)

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        is_open = known is not None and known.open
        if known is not None and known.step:
            return None
        if isinstance(item, Incident) and item.state in OVER and not is_open:
            return None
        return Request("SEND", "", about=item.state if isinstance(item, Incident) else "notice")

    async def send(self, request: Request, item: Item, known: Notification | None) -> Outcome:
        """In a thread: its plugins block."""
        teller = self._apprise.Apprise()
        for url in self._urls().split():
            if not teller.add(url):
                raise SinkMisconfigured(
                    f"target {self.name}: one of its addresses is none that Apprise knows"
                )
        over = isinstance(item, Incident) and item.state in OVER
        kind = "success" if over else KINDS.get(getattr(item, "severity", "info"), "info")
        title, body = words.headline(item)[:250], words.body(item, self._settings.console_url)
        sent = await asyncio.to_thread(
            teller.notify, body=body, title=title, notify_type=kind, body_format="text"
        )
        if not sent:
            raise Unavailable("not taken by at least one of its addresses")
        return Done(open=isinstance(item, Incident) and not over)

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        return Refused("it has a way of its own to send")
