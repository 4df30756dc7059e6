"""ServiceNow: a record of the incident table, found by `correlation_id`, or an event of event management.

Whether a lost answer had made a record is looked up before another is made. Resolving needs close code and
notes; reopening takes it back to in progress.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from config.notify import ServiceNow
from correlator.incident import Incident
from sinks.notification import Notification
from sinks.targets import words
from sinks.targets.protocol import OVER, Answer, Done, Item, Later, Outcome, Refused, Request, usual
from streams.records.digest import digest_hex

MOST_SHORT = 160
MOST_TEXT = 4_000
NONE = "-"
LEVELS = {"high": "1", "medium": "2", "low": "3", "": "2"}
SEVERITIES = {"critical": "1", "error": "2", "warning": "4", "info": "5"}
"""of events: 1 critical, 2 major, 3 minor, 4 warning, 5 info, 0 clears"""
IN_PROGRESS, RESOLVED = "2", "6"


class ServiceNowTarget:
    """Told of incidents."""

    kind = "servicenow"

    def __init__(self, settings: ServiceNow, password: Callable[[], str], token: Callable[[], str]) -> None:
        self.name = settings.name
        self._settings = settings
        self._password, self._token = password, token

    def dedup_key(self, item: Item) -> str:
        return item.id if isinstance(item, Incident) else f"notice/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return item.id
        return digest_hex(item.state, item.severity, item.priority, item.assignee, item.merged_into)

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        if not isinstance(item, Incident):
            return None
        step = known.step if known is not None else 0
        if self._settings.events:
            is_open = known is not None and known.open
            return None if step or (item.state in OVER and not is_open) else self._event(item)
        record = known.external_id if known is not None else ""
        about = known.about if known is not None and step else ""
        if not record:
            return self._look_up(item)
        if record == NONE:
            return self._create(item)
        if about == "opened" and item.state not in OVER:
            return None
        return None if about in ("updated", "resolved") else self._update(item, record)

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        outcome = usual(answer)
        if outcome is not None:
            return outcome
        over = isinstance(item, Incident) and item.state in OVER
        if self._settings.events:
            return Done(open=not over)
        found = answer.json()
        result = found.get("result") if isinstance(found, dict) else None
        if request.about == "looked up":
            if not isinstance(result, list):
                return Later("the answer has no list of records")
            return self._found(result[0], True) if result else Done(NONE)
        if request.about == "opened":
            return self._found(result, True) if isinstance(result, dict) else Refused("it names no record")
        return Done(open=not over)

    def _found(self, record: dict[str, Any], is_open: bool) -> Outcome:
        sys_id = str(record.get("sys_id", ""))
        if not sys_id:
            return Refused("the answer names no sys_id")
        return Done(sys_id, f"{self._base()}/nav_to.do?uri=incident.do?sys_id={sys_id}", open=is_open)

    def _look_up(self, item: Incident) -> Request:
        query = urlencode(
            {
                "sysparm_query": f"correlation_id={item.id}",
                "sysparm_limit": "1",
                "sysparm_fields": "sys_id,number,state",
            }
        )
        return self._call("GET", f"api/now/table/incident?{query}", None, "looked up")

    def _create(self, item: Incident) -> Request:
        text = words.body(item, self._settings.console_url)[:MOST_TEXT]
        record = {
            **self._settings.fields,
            "short_description": " ".join(words.headline(item).split())[:MOST_SHORT],
            "description": text,
            "impact": LEVELS[item.impact_level],
            "urgency": LEVELS[item.urgency],
            "correlation_id": item.id,
            "correlation_display": "Tocsin",
            **self._group(item),
        }
        return self._call("POST", "api/now/table/incident", record, "opened")

    def _update(self, item: Incident, sys_id: str) -> Request:
        over = item.state in OVER
        record = {
            "impact": LEVELS[item.impact_level],
            "urgency": LEVELS[item.urgency],
            "work_notes": words.body(item, self._settings.console_url)[:MOST_TEXT],
            **self._group(item),
        }
        if over:
            note = (
                f"merged into incident {item.merged_into}" if item.merged_into else item.fix or "it is over"
            )
            record |= {
                "state": RESOLVED,
                "close_code": self._settings.close_code,
                "close_notes": note[:MOST_TEXT],
            }
        else:
            record |= {"state": IN_PROGRESS}
        about = "resolved" if over else "updated"
        return self._call("PATCH", f"api/now/table/incident/{quote(sys_id)}", record, about)

    def _group(self, item: Incident) -> dict[str, str]:
        team = item.assignee or item.owner
        group = self._settings.assignment_groups.get(team, "")
        return {"assignment_group": group} if group else {}

    def _event(self, item: Incident) -> Request:
        lead = item.services[0].service if item.services else "unknown"
        over = item.state in OVER
        record = {
            "source": "Tocsin",
            "node": lead,
            "type": item.category,
            "resource": item.domain,
            "metric_name": "incident",
            "severity": "0" if over else SEVERITIES[item.severity],
            "resolution_state": "Closing" if over else "New",
            "description": words.body(item, self._settings.console_url)[:MOST_TEXT],
            "message_key": item.id,
            "time_of_event": datetime.fromtimestamp(item.updated_at / 1000, UTC).strftime(
                "%Y-%m-%d %H:%M:%S"
            ),
            "additional_info": msgspec.json.encode(
                {"priority": item.priority, "state": item.state, "title": item.title}
            ).decode(),
        }
        about = "resolved" if over else "opened"
        return self._call("POST", "api/global/em/jsonv2", {"records": [record]}, about)

    def _base(self) -> str:
        return self._settings.url.rstrip("/")

    def _call(self, method: str, path: str, body: Any, about: str) -> Request:
        token = self._token()
        if token:
            headers = {"authorization": f"Bearer {token}"}
        else:
            pair = f"{self._settings.user}:{self._password()}".encode()
            headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        headers |= {"accept": "application/json", "content-type": "application/json"}
        payload = msgspec.json.encode(body) if body is not None else b""
        return Request(method, f"{self._base()}/{path}", payload, headers, about)
