"""Slack: a message per incident that always says how it stands, and a thread of what happened.

Messages carry the dedup key as metadata: whether a lost answer had posted one is looked up in the newest
messages of the channel before another is posted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec

from config.notify import Slack
from correlator.incident import Incident
from correlator.response import Notice
from sinks.notification import Notification
from sinks.targets import words
from sinks.targets.protocol import (
    OVER,
    Answer,
    Done,
    Item,
    Later,
    Outcome,
    Refused,
    Request,
    retry_after,
    usual,
)
from streams.records.digest import digest_hex

MOST_TEXT = 3_000
"""of a block"""
NONE = "-"
EVENT = "tocsin_incident"
PASSING = frozenset(
    ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
     "team_added_to_org")
)  # fmt: skip
MISCONFIGURED = frozenset(
    ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
     "channel_not_found", "not_in_channel", "is_archived", "no_permission", "ekm_access_denied",
     "access_denied")
)  # fmt: skip
COLOURS = {"critical": ":red_circle:", "error": ":large_orange_circle:", "warning": ":large_yellow_circle:"}


class SlackTarget:
    """Told of incidents and, in their threads or by themselves, of notices and updates."""

    kind = "slack"

    def __init__(self, settings: Slack, token: Callable[[], str]) -> None:
        self.name = settings.name
        self._settings = settings
        self._token = token

    def dedup_key(self, item: Item) -> str:
        if isinstance(item, Incident):
            return item.id
        return f"{'notice' if isinstance(item, Notice) else 'update'}/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return digest_hex(item.id, item.text)
        cause = item.hints[0].service if item.hints else ""
        return digest_hex(item.state, item.severity, item.priority, item.title, item.assignee, cause)

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        step = known.step if known is not None else 0
        sent = known.external_id if known is not None else ""
        about = known.about if known is not None and step else ""
        if not sent:
            return self._look_up()
        if sent == NONE:
            over = isinstance(item, Incident) and item.state in OVER
            return None if over else self._post(item, "opened")
        if about == "opened" or not isinstance(item, Incident):
            return None
        if about not in ("updated", "replied"):
            return self._update(item, sent)
        return self._reply(item, sent) if about == "updated" else None

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        outcome = usual(answer)
        if outcome is not None:
            return outcome
        found = answer.json()
        if not isinstance(found, dict):
            return Later("the answer is no JSON")
        if not found.get("ok"):
            error = str(found.get("error", "unknown"))
            if error in PASSING:
                return Later(error, retry_after(answer))
            if error in MISCONFIGURED:
                return Later(f"{error}: check its token, scopes and channel", 30.0)
            if request.about == "updated" and error in ("message_not_found", "cant_update_message"):
                return Done()  # somebody deleted it; the thread goes on
            return Refused(error)
        if request.about == "looked up":
            return self._find(found, self.dedup_key(item))
        is_open = not (isinstance(item, Incident) and item.state in OVER)
        if request.about == "opened":
            return Done(str(found.get("ts", "")), open=is_open and isinstance(item, Incident))
        return Done(open=is_open)

    def _find(self, found: dict[str, Any], key: str) -> Outcome:
        for message in found.get("messages") or []:
            data = message.get("metadata") or {}
            if data.get("event_type") == EVENT and (data.get("event_payload") or {}).get("key") == key:
                return Done(str(message.get("ts", "")), open=True)
        return Done(NONE)

    def _look_up(self) -> Request:
        query = {"channel": self._settings.channel, "limit": "100", "include_all_metadata": "true"}
        return self._call("GET", f"conversations.history?{urlencode(query)}", None, "looked up")

    def _post(self, item: Item, about: str) -> Request:
        body = {
            **self._message(item),
            "metadata": {"event_type": EVENT, "event_payload": {"key": self.dedup_key(item)}},
        }
        return self._call("POST", "chat.postMessage", body, about)

    def _update(self, item: Incident, ts: str) -> Request:
        return self._call("POST", "chat.update", {**self._message(item), "ts": ts}, "updated")

    def _reply(self, item: Incident, ts: str) -> Request:
        who = f" by {item.acknowledged_by}" if item.state == "acknowledged" and item.acknowledged_by else ""
        text = escaped(f"{item.state}{who}, severity {item.severity}, {item.priority}")
        body = {"channel": self._settings.channel, "thread_ts": ts, "text": text}
        return self._call("POST", "chat.postMessage", body, "replied")

    def _message(self, item: Item) -> dict[str, Any]:
        sign = COLOURS.get(getattr(item, "severity", ""), ":information_source:")
        if isinstance(item, Incident) and item.state in OVER:
            sign = ":white_check_mark:"
        head = f"{sign} *{escaped(words.headline(item))[: MOST_TEXT // 2]}*"
        text = escaped(words.body(item, self._settings.console_url))[:MOST_TEXT]
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in (head, text)]
        return {
            "channel": self._settings.channel,
            "text": escaped(words.headline(item))[:MOST_TEXT],
            "blocks": blocks,
        }

    def _call(self, method: str, path: str, body: Any, about: str) -> Request:
        headers = {"authorization": f"Bearer {self._token()}"}
        if body is not None:
            headers["content-type"] = "application/json; charset=utf-8"
        url = f"{self._settings.url.rstrip('/')}/{path}"
        return Request(method, url, msgspec.json.encode(body) if body is not None else b"", headers, about)


def escaped(text: str) -> str:
    """As Slack wants text that is not to be read as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
