"""What no route may see: foreign names, foreign pages, large bodies. ASGI middleware inside `Identify`."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.access.origin import host_is_ours, is_same_origin

SAFE = ("GET", "HEAD", "OPTIONS")
MOST_BYTES = 1_000_000
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Answer = Callable[[Request, int, str], Response]


class Gate:
    """Refuses with 400 (host), 403 (origin, CSRF token), 413 (body) and 415 (type of the body).

    `open_to_all`: there is no access control. Bodies are read here, and given on as they came.
    """

    def __init__(self, app: ASGIApp, public_url: str, open_to_all: bool, answer: Answer) -> None:
        self._app = app
        self._public_url = public_url
        self._open_to_all = open_to_all
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        host = request.headers.get("host", "")
        if scope["path"] != "/healthz" and not host_is_ours(
            host, self._public_url, open_to_all=self._open_to_all
        ):
            await self._answer(request, 400, f"this console is not {host or 'nobody'}")(scope, receive, send)
            return
        if scope["method"] in SAFE:
            await self._app(scope, receive, send)
            return
        body = await _body(request)
        refused = self._why_not(request, body)
        if refused is not None:
            await self._answer(request, *refused)(scope, receive, send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body or b"", "more_body": False}

        await self._app(scope, again, send)

    def _why_not(self, request: Request, body: bytes | None) -> tuple[int, str] | None:
        if body is None:
            return 413, f"a body of more than {MOST_BYTES} bytes"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != JSON and (kind != FORM or request.url.path.startswith("/api/")):
            return 415, f"send {JSON}" if request.url.path.startswith("/api/") else f"send {JSON} or {FORM}"
        if getattr(request.state, "bearer", False):  # no browser adds a bearer token by itself
            return None
        if not is_same_origin(request.headers, request.url.scheme, self._public_url):
            return 403, (
                "this came from no page of this console; "
                f"programs send a bearer token, or Origin: {request.url.scheme}://{request.headers.get('host')}"
            )
        token: str = getattr(request.state, "csrf", "")
        if not token:
            return None
        sent = request.headers.get("x-csrf-token", "")
        if not sent and kind == FORM:
            sent = _field(body, "csrf")
        if not hmac.compare_digest(sent.encode(), token.encode()):
            return 403, "the page is too old, load it again (no valid CSRF token)"
        return None


async def _body(request: Request) -> bytes | None:
    """None: too large; what remains is not read."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MOST_BYTES:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _field(body: bytes, name: str) -> str:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=100)).get(name, "")
    except ValueError:
        return ""
