"""Alertmanager: POST /api/v2/alerts. An incident is one alert, sent again with every change."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from config.notify import Alertmanager
from correlator.incident import Incident
from sinks.notification import Notification
from sinks.targets import words
from sinks.targets.protocol import OVER, Answer, Done, Item, Outcome, Request, usual
from streams.records.digest import digest_hex

FAR_MS = 7 * 86_400_000
"""an incident that nobody ends ends there by itself after this"""
_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class AlertmanagerTarget:
    """Told of incidents."""

    kind = "alertmanager"

    def __init__(self, settings: Alertmanager, password: Callable[[], str]) -> None:
        self.name = settings.name
        self._settings = settings
        self._password = password

    def dedup_key(self, item: Item) -> str:
        return item.id if isinstance(item, Incident) else f"notice/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return item.id
        return digest_hex(str(item.state in OVER), item.severity, item.title, item.state, str(item.reopened))

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        if not isinstance(item, Incident) or (known is not None and known.step):
            return None
        if item.state in OVER:
            return self._post(item, "resolved") if known is not None and known.open else None
        return self._post(item, "updated" if known is not None and known.open else "opened")

    def _post(self, item: Incident, about: str) -> Request:
        """Labels are what it is known by: only what does not change belongs there."""
        over = item.state in OVER
        ends = (item.resolved_at or item.updated_at) if over else item.updated_at + FAR_MS
        own = {"alertname": "TocsinIncident", "incident": item.id, "domain": item.domain}
        further = {_LABEL.sub("_", name): value for name, value in self._settings.labels.items()}
        alert = {
            "labels": {k: v for k, v in {**further, **own}.items() if v},
            "annotations": {
                "summary": words.headline(item)[:1_000],
                "description": words.body(item, self._settings.console_url)[:10_000],
                "severity": item.severity,
                "priority": item.priority,
                "state": item.state,
            },
            "startsAt": _rfc3339(item.started_at),
            "endsAt": _rfc3339(max(ends, item.started_at)),
            "generatorURL": words.link(item.id, self._settings.console_url),
        }
        headers = {"content-type": "application/json"}
        password = self._password()
        if self._settings.user:
            pair = f"{self._settings.user}:{password}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        url = f"{self._settings.url.rstrip('/')}/api/v2/alerts"
        return Request("POST", url, msgspec.json.encode([alert]), headers, about)

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        return usual(answer) or Done(open=request.about != "resolved")


def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
