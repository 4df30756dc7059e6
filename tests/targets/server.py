"""Local servers that enforce what the real services ask for, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FAULTS = ("429", "500", "hang", "close", "lost")
"""answers in place of the right one; lost: it is done, and the answer does not arrive"""


class Service:
    """An HTTP service on loopback. `faults` are used up first, one a request."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.refused: list[str] = []
        """what was wrong with requests that were answered with 400"""
        self.down = False
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        """with it the service speaks TLS only"""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self):  # type: ignore[no-untyped-def]
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        fault = "down" if self.down else self.faults.pop(0) if self.faults else ""
        if fault in ("500", "down"):
            return web.Response(status=500, text="boom")
        if fault == "429":
            return web.Response(status=429, headers={"Retry-After": "0"})
        if fault == "close":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if fault == "hang":
            await asyncio.sleep(30)
        answer = await self.answer(request)
        if fault == "lost":
            assert request.transport is not None
            request.transport.close()
        return answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    def bad(self, why: str, status: int = 400) -> web.Response:
        self.refused.append(why)
        return web.json_response({"errors": [why]}, status=status)

    def standing(self) -> dict[str, str]:
        """Incident -> open | over, as the service sees it."""
        raise NotImplementedError

    def doubles(self) -> list[str]:
        """Incidents the service has more than once."""
        return []


class PagerDutyService(Service):
    """Events API v2."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        event = json.loads(raw)
        wrong = self._wrong(request, event, len(raw))
        if wrong:
            return self.bad(wrong)
        self.events.append(event)
        said = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return web.json_response(said, status=202)

    def _wrong(self, request: web.Request, event: dict[str, Any], size: int) -> str:
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            return f"{request.method} {request.path}"
        if size > 512_000:
            return "too large"
        if not re.fullmatch(r"[0-9a-zA-Z]{32}", event.get("routing_key", "")):
            return "routing_key"
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            return "event_action"
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            return "dedup_key"
        if event["event_action"] != "trigger":
            return ""
        payload = event.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1024:
            return "summary"
        if not payload.get("source"):
            return "source"
        return "" if payload.get("severity") in ("critical", "error", "warning", "info") else "severity"

    def standing(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for event in self.events:
            if event["event_action"] == "trigger":
                found[event["dedup_key"]] = "open"
            elif event["event_action"] == "resolve":
                found[event["dedup_key"]] = "over"
        return found


class AlertmanagerService(Service):
    """POST /api/v2/alerts."""

    def __init__(self) -> None:
        super().__init__()
        self.alerts: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if (request.method, request.path) != ("POST", "/api/v2/alerts"):
            return self.bad(f"{request.method} {request.path}", 404)
        body = await request.json()
        for alert in body:
            if not alert.get("labels") or any(not re.fullmatch(r"[a-zA-Z_]\w*", k) for k in alert["labels"]):
                return self.bad("labels")
            if not all(isinstance(v, str) and v for v in alert["labels"].values()):
                return self.bad("label values")
            for name in ("startsAt", "endsAt"):
                if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", alert[name]):
                    return self.bad(name)
            if alert["endsAt"] < alert["startsAt"]:
                return self.bad("it ends before it starts")
        self.alerts += body
        return web.Response()

    def standing(self) -> dict[str, str]:
        return {
            a["labels"]["incident"]: "over"
            if a["annotations"]["state"] in ("resolved", "closed", "merged")
            else "open"
            for a in self.alerts
        }


class WebhookService(Service):
    """Takes CloudEvents."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append({k.lower(): v for k, v in request.headers.items()})
        return web.Response(status=204)

    def standing(self) -> dict[str, str]:
        found = {}
        for body in self.bodies:
            data = json.loads(body)["data"]
            over = data.get("state") in ("resolved", "closed", "merged")
            found[data["id"]] = "over" if over else "open"
        return found


class JiraService(Service):
    """The part of REST API v3 (or v2) an incident needs: search, create, comment, transitions."""

    def __init__(self, api: int = 3) -> None:
        super().__init__()
        self.api = api
        self.issues: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("authorization", "").startswith(("Basic ", "Bearer ")):
            return self.bad("no authorization", 401)
        path = request.path.removeprefix(f"/rest/api/{self.api}/")
        if path == request.path:
            return self.bad("unknown API", 404)
        if path in ("search/jql", "search"):
            return self._search(request)
        body = await request.json() if request.can_read_body else {}
        if path == "issue" and request.method == "POST":
            return self._create(body)
        found = re.fullmatch(r"issue/([^/]+)/(comment|transitions)", path)
        if not found or found[1] not in self.issues:
            return self.bad(path, 404)
        issue = self.issues[found[1]]
        if found[2] == "comment":
            wrong = self._text(body.get("body"))
            if wrong:
                return self.bad(wrong)
            issue["comments"].append(body["body"])
            return web.json_response({"id": "1"}, status=201)
        names = (
            {"31": ("Resolve Issue", "Done")}
            if issue["state"] == "open"
            else {"41": ("Reopen Issue", "Open")}
        )
        if request.method == "GET":
            rows = [{"id": id, "name": name, "to": {"name": to}} for id, (name, to) in names.items()]
            return web.json_response({"transitions": rows})
        id = body.get("transition", {}).get("id")
        if id not in names:
            return self.bad(f"transition {id}")
        issue["state"] = "over" if id == "31" else "open"
        return web.Response(status=204)

    def _search(self, request: web.Request) -> web.StreamResponse:
        if ("jql" in request.path) != (self.api == 3):
            return self.bad("this search is not there", 410)
        wanted = re.search(r'labels = "([^"]+)"', request.query["jql"])
        assert wanted
        keys = [key for key, issue in self.issues.items() if wanted[1] in issue["fields"]["labels"]]
        return web.json_response({"issues": [{"id": "1", "key": key} for key in keys[-1:]]})

    def _create(self, body: dict[str, Any]) -> web.StreamResponse:
        fields = body.get("fields", {})
        summary = fields.get("summary", "")
        if not summary or len(summary) > 255 or "\n" in summary:
            return self.bad("summary")
        if not fields.get("project", {}).get("key") or not fields.get("issuetype", {}).get("name"):
            return self.bad("project and issuetype")
        if any(" " in label for label in fields.get("labels", [])):
            return self.bad("a label with a space")
        wrong = self._text(fields.get("description"))
        if wrong:
            return self.bad(wrong)
        key = f"OPS-{len(self.issues) + 1}"
        self.issues[key] = {"fields": fields, "state": "open", "comments": []}
        return web.json_response({"id": str(len(self.issues)), "key": key}, status=201)

    def _text(self, text: Any) -> str:
        if self.api == 2:
            return "" if isinstance(text, str) else "text expected"
        if not isinstance(text, dict) or text.get("type") != "doc" or text.get("version") != 1:
            return "an Atlassian document expected"
        for paragraph in text["content"]:
            for part in paragraph["content"]:
                if part["type"] != "text" or not part["text"]:
                    return "empty text node"
        return ""

    def _incident(self, issue: dict[str, Any]) -> str:
        return next(x.removeprefix("tocsin-") for x in issue["fields"]["labels"] if x.startswith("tocsin-"))

    def standing(self) -> dict[str, str]:
        return {self._incident(issue): issue["state"] for issue in self.issues.values()}

    def doubles(self) -> list[str]:
        counts = Counter(self._incident(issue) for issue in self.issues.values())
        return [id for id, count in counts.items() if count > 1]


class ServiceNowService(Service):
    """The incident table, and the event API."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if base64.b64encode(b"tocsin:pw").decode() not in request.headers.get("authorization", ""):
            return self.bad("User Not Authenticated", 401)
        if request.path == "/api/global/em/jsonv2":
            return await self._event(request)
        found = re.fullmatch(r"/api/now/table/incident(?:/([0-9a-f]{32}))?", request.path)
        if not found:
            return self.bad(request.path, 404)
        if request.method == "GET":
            wanted = parse_qs(request.query_string)["sysparm_query"][0].removeprefix("correlation_id=")
            rows = [r for r in self.records.values() if r["correlation_id"] == wanted]
            return web.json_response({"result": rows[:1]})
        body = await request.json()
        for name in ("impact", "urgency"):
            if body.get(name) not in ("1", "2", "3"):
                return self.bad(name)
        if request.method == "POST":
            if not body.get("short_description") or len(body["short_description"]) > 160:
                return self.bad("short_description")
            sys_id = f"{len(self.records) + 1:032x}"
            self.records[sys_id] = {**body, "sys_id": sys_id, "state": "1"}
            return web.json_response({"result": self.records[sys_id]}, status=201)
        record = self.records.get(found[1] or "")
        if request.method != "PATCH" or record is None:
            return self.bad("no record", 404)
        if body.get("state") == "6" and not (body.get("close_code") and body.get("close_notes")):
            return self.bad("Data Policy Exception: close code and close notes are mandatory", 403)
        record.update(body)
        return web.json_response({"result": record})

    async def _event(self, request: web.Request) -> web.StreamResponse:
        for record in (await request.json())["records"]:
            if record["severity"] not in ("0", "1", "2", "3", "4", "5"):
                return self.bad("severity")
            if not 0 < len(record["message_key"]) <= 1024 or not isinstance(record["additional_info"], str):
                return self.bad("message_key")
            if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["time_of_event"]):
                return self.bad("time_of_event")
            json.loads(record["additional_info"])
            self.events.append(record)
        return web.json_response({"result": {"Default Bulk Endpoint": "1 events were inserted"}})

    def standing(self) -> dict[str, str]:
        if self.events:
            return {e["message_key"]: "over" if e["severity"] == "0" else "open" for e in self.events}
        return {r["correlation_id"]: "over" if r["state"] == "6" else "open" for r in self.records.values()}

    def doubles(self) -> list[str]:
        counts = Counter(r["correlation_id"] for r in self.records.values())
        return [id for id, count in counts.items() if count > 1]


class SlackService(Service):
    """conversations.history, chat.postMessage, chat.update."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.replies: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("authorization", "").startswith("Bearer xoxb-"):
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if request.path == "/conversations.history":
            if request.query["channel"] != "C123":
                return web.json_response({"ok": False, "error": "channel_not_found"})
            newest = sorted(self.messages.values(), key=lambda m: m["ts"], reverse=True)
            return web.json_response({"ok": True, "messages": newest[: int(request.query["limit"])]})
        body = await request.json()
        if body.get("channel") != "C123":
            return web.json_response({"ok": False, "error": "channel_not_found"})
        wrong = self._wrong(body)
        if wrong:
            self.refused.append(wrong)
            return web.json_response({"ok": False, "error": wrong})
        if request.path == "/chat.postMessage":
            ts = f"1700000000.{len(self.messages) + len(self.replies):06d}"
            if "thread_ts" in body:
                self.replies.append({**body, "ts": ts})
            else:
                self.messages[ts] = {**body, "ts": ts}
            return web.json_response({"ok": True, "ts": ts, "channel": "C123"})
        if request.path == "/chat.update":
            if body["ts"] not in self.messages:
                return web.json_response({"ok": False, "error": "message_not_found"})
            self.messages[body["ts"]].update(text=body["text"], blocks=body["blocks"])
            return web.json_response({"ok": True, "ts": body["ts"]})
        return web.json_response({"ok": False, "error": "unknown_method"})

    def _wrong(self, body: dict[str, Any]) -> str:
        if not body.get("text") or len(body["text"]) > 40_000:
            return "no_text"
        blocks = body.get("blocks", [])
        if len(blocks) > 50 or any(not 0 < len(b["text"]["text"]) <= 3_000 for b in blocks):
            return "invalid_blocks"
        return ""

    def standing(self) -> dict[str, str]:
        found = {}
        for message in self.messages.values():
            key = message["metadata"]["event_payload"]["key"]
            over = ":white_check_mark:" in message["blocks"][0]["text"]["text"]
            found[key] = "over" if over else "open"
        return found

    def doubles(self) -> list[str]:
        counts = Counter(m["metadata"]["event_payload"]["key"] for m in self.messages.values())
        return [id for id, count in counts.items() if count > 1]


@contextmanager
def secret_in(variable: str, value: str, environment: Any) -> Iterator[None]:
    """A secret in the environment for as long as it is needed."""
    environment.setenv(variable, value)
    yield
    environment.delenv(variable)
