"""PagerDuty, Events API v2: trigger, acknowledge, resolve under one dedup key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from config.notify import PagerDuty
from correlator.incident import Incident
from sinks.notification import Notification
from sinks.targets import words
from sinks.targets.protocol import OVER, Answer, Done, Item, Outcome, Refused, Request, usual
from streams.records.digest import digest_hex

MOST_SUMMARY = 1_024
MOST_BYTES = 500_000
_JSON = {"content-type": "application/json"}


class PagerDutyTarget:
    """Told of incidents; what it is paged with it escalates by its own policies."""

    kind = "pagerduty"

    def __init__(self, settings: PagerDuty, routing_key: Callable[[], str]) -> None:
        self.name = settings.name
        self._settings = settings
        self._routing_key = routing_key

    def dedup_key(self, item: Item) -> str:
        return item.id if isinstance(item, Incident) else f"notice/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return item.id
        live = "over" if item.state in OVER else "acknowledged" if item.acknowledged_at else "open"
        return digest_hex(live, item.severity, item.title, str(item.reopened))

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        if not isinstance(item, Incident):
            return None
        step = known.step if known is not None else 0
        is_open = known is not None and known.open
        if item.state in OVER:
            return self._event("resolve", item, "resolved") if is_open else None
        if step == 0:
            return self._event("trigger", item, "updated" if is_open else "opened")
        if step == 1 and item.state in ("acknowledged", "mitigated"):
            return self._event("acknowledge", item, "acknowledged")
        return None

    def _event(self, action: str, item: Incident, about: str) -> Request:
        event: dict[str, object] = {
            "routing_key": self._routing_key(),
            "event_action": action,
            "dedup_key": item.id,
        }
        if item.merged_into:
            event["payload"] = {
                "summary": f"merged into incident {item.merged_into}",
                "source": "tocsin",
                "severity": item.severity,
            }
        if action == "trigger":
            lead = item.services[0].service if item.services else "unknown"
            event["payload"] = {
                "summary": words.headline(item)[:MOST_SUMMARY],
                "source": lead,
                "severity": item.severity,
                "timestamp": datetime.fromtimestamp(item.started_at / 1000, UTC).isoformat(),
                "component": lead,
                "group": item.domain,
                "class": item.category,
                "custom_details": {"text": words.body(item, self._settings.console_url)[: MOST_BYTES // 4]},
            }
            event["client"] = "Tocsin"
            address = words.link(item.id, self._settings.console_url)
            if address:
                event["client_url"] = address
                event["links"] = [{"href": address, "text": "incident"}]
        return Request("POST", self._settings.url, msgspec.json.encode(event), _JSON, about)

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        outcome = usual(answer)
        if outcome is not None:
            return outcome
        found = answer.json()
        if answer.status == 202 and isinstance(found, dict) and found.get("status") == "success":
            return Done(str(found.get("dedup_key", "")), open=request.about != "resolved")
        return Refused(f"HTTP {answer.status} without success: {answer.body[:200]!r}")
