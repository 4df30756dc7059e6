"""Jira: an issue per incident, comments as it goes on, transitions when it is over or open again.

Issues carry the label `tocsin-ID`: whether a lost answer had made one is looked up before another is made.
REST API v3 (cloud) takes the Atlassian document format, v2 (data center) plain text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from config.notify import Jira
from correlator.incident import Incident
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
    usual,
)
from streams.records.digest import digest_hex

MOST_SUMMARY = 255
MOST_TEXT = 30_000
NONE = "-"
"""as external id: looked up, and there is no issue yet"""


class JiraTarget:
    """Told of incidents."""

    kind = "jira"

    def __init__(self, settings: Jira, token: Callable[[], str]) -> None:
        self.name = settings.name
        self._settings = settings
        self._token = token

    def dedup_key(self, item: Item) -> str:
        return item.id if isinstance(item, Incident) else f"notice/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return item.id
        return digest_hex(item.state, item.severity, item.priority, item.assignee, item.merged_into)

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        if not isinstance(item, Incident):
            return None
        over = item.state in OVER
        issue = known.external_id if known is not None else ""
        about = known.about if known is not None and known.step else ""
        if not issue:
            return self._look_up(item)
        if issue == NONE:
            return self._create(item)
        is_open = known is not None and known.open
        if about == "opened" and not over:
            return None
        if about not in ("commented", "transitions", "resolved", "reopened", "opened"):
            return self._comment(issue, item)
        if over == (not is_open) and about != "transitions":
            return None
        if about == "transitions":
            wanted = known.note if known is not None else ""
            return self._transition(issue, wanted, "resolved" if over else "reopened")
        return self._call("GET", f"issue/{quote(issue)}/transitions", None, "transitions")

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        if request.about == "looked up" and answer.status == 404:
            return Later("HTTP 404: check its url", 30.0)
        outcome = usual(answer)
        if outcome is not None:
            return outcome
        found = answer.json()
        if request.about == "looked up":
            issues = found.get("issues", []) if isinstance(found, dict) else None
            if not isinstance(issues, list):
                return Later("the answer has no list of issues")
            if not issues:
                return Done(NONE)
            key = str(issues[0].get("key", ""))
            return Done(key, self._address(key), open=True)
        if request.about == "opened":
            key = str(found.get("key", "")) if isinstance(found, dict) else ""
            if not key:
                return Refused("the answer names no issue")
            return Done(key, self._address(key), open=True)
        if request.about == "transitions":
            return self._choose(found, item)
        if request.about in ("resolved", "reopened"):
            return Done(open=request.about == "reopened")
        return Done()

    def _choose(self, found: object, item: Item) -> Outcome:
        """The transition to make next."""
        over = isinstance(item, Incident) and item.state in OVER
        wanted = self._settings.resolve if over else self._settings.reopen
        rows = found.get("transitions", []) if isinstance(found, dict) else []
        by_name: dict[str, str] = {}
        for row in rows:
            for name in (str(row.get("name", "")), str((row.get("to") or {}).get("name", ""))):
                by_name.setdefault(name.lower(), str(row.get("id", "")))
        chosen = next((by_name[name.lower()] for name in wanted if name.lower() in by_name), "")
        if chosen:
            return Done(note=chosen)
        if over and not rows:
            return Done(open=False)  # it is in a state that nothing leads out of: closed by hand
        names = ", ".join(sorted(by_name)) or "none"
        return Refused(f"no transition named {', '.join(wanted)}; there are: {names}")

    def _look_up(self, item: Incident) -> Request:
        jql = f'project = "{self._settings.project}" AND labels = "{label(item.id)}" ORDER BY created DESC'
        query = urlencode({"jql": jql, "maxResults": "1", "fields": "key"})
        path = f"search/jql?{query}" if self._settings.api == 3 else f"search?{query}"
        return self._call("GET", path, None, "looked up")

    def _create(self, item: Incident) -> Request:
        settings = self._settings
        fields: dict[str, Any] = {
            **settings.fields,
            "project": {"key": settings.project},
            "issuetype": {"name": settings.issue_type},
            "summary": _line(words.headline(item))[:MOST_SUMMARY],
            "description": self._text(words.body(item, settings.console_url)),
            "labels": [*_labels(settings.fields), "tocsin", label(item.id)],
        }
        priority = settings.priorities.get(item.priority)
        if priority:
            fields["priority"] = {"name": priority}
        return self._call("POST", "issue", {"fields": fields}, "opened")

    def _comment(self, issue: str, item: Incident) -> Request:
        text = self._text(words.body(item, self._settings.console_url))
        return self._call("POST", f"issue/{quote(issue)}/comment", {"body": text}, "commented")

    def _transition(self, issue: str, id: str, about: str) -> Request:
        return self._call("POST", f"issue/{quote(issue)}/transitions", {"transition": {"id": id}}, about)

    def _text(self, text: str) -> Any:
        text = text[:MOST_TEXT]
        return document(text) if self._settings.api == 3 else text

    def _call(self, method: str, path: str, body: Any, about: str) -> Request:
        token = self._token()
        if self._settings.user:
            pair = base64.b64encode(f"{self._settings.user}:{token}".encode()).decode()
            headers = {"authorization": f"Basic {pair}"}
        else:
            headers = {"authorization": f"Bearer {token}"}
        headers |= {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        url = f"{self._settings.url.rstrip('/')}/rest/api/{self._settings.api}/{path}"
        return Request(method, url, msgspec.json.encode(body) if body is not None else b"", headers, about)

    def _address(self, key: str) -> str:
        return f"{self._settings.url.rstrip('/')}/browse/{key}"


def label(incident: str) -> str:
    """What an issue is found by."""
    return f"tocsin-{incident}"


def document(text: str) -> dict[str, Any]:
    """Plain text in the Atlassian document format: a paragraph a line."""
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": line}] if line else []}
        for line in text.split("\n")
    ]
    return {"type": "doc", "version": 1, "content": paragraphs}


def _line(text: str) -> str:
    return " ".join(text.split())


def _labels(fields: Mapping[str, object]) -> Sequence[str]:
    given = fields.get("labels", [])
    return [str(one) for one in given] if isinstance(given, list) else []
