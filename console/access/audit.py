"""A record of every request that changes something or is refused. ASGI middleware around all others."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.access.control import LOGINS, address_of
from console.access.gate import SAFE
from console.access.identity import Identity
from console.access.noting import Note, current
from streams.records.audit import NAME, SAYS, WORD, AuditRecord, clipped
from streams.records.digest import digest_hex

ALWAYS = frozenset({"login", "login_refused", "logout", "token_refused", "download"})
"""actions that leave a record also where the request is one that changes nothing"""
METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")
_OF_ROUTE = {**dict.fromkeys(LOGINS, "login_refused"), ("POST", "/logout"): "logout"}
"""what it is when it was refused before its route could say"""


class Paths:
    """From a path to that of its route with placeholders, also for what never reaches its route."""

    def __init__(self, known: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._known = [(path, compile_path(path)[0], frozenset(methods)) for path, methods in known]

    def template(self, method: str, path: str) -> str:
        """Empty: no route has it. One of another method is better than none."""
        found = [(route, methods) for route, regex, methods in self._known if regex.match(path)]
        fitting = [route for route, methods in found if method in methods]
        return next(iter(fitting or [route for route, _ in found]), "")


class Audited:
    """Gives every answer an `X-Request-Id` (one that comes in is not believed), and `keep` the records."""

    def __init__(
        self, app: ASGIApp, paths: Paths, clock: Callable[[], int], keep: Callable[[AuditRecord], None]
    ) -> None:
        self._app = app
        self._paths = paths
        self._clock = clock
        self._keep = keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = Note(secrets.token_hex(8))
        scope.setdefault("state", {})["request_id"] = note.request_id
        status = 500  # whatever breaks before there is an answer

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", note.request_id.encode())]
            await send(message)

        token = current.set(note)
        try:
            await self._app(scope, receive, sent)
        except Exception:
            status = 500
            raise
        finally:
            current.reset(token)
            record = record_of(Request(scope), note, status, self._paths, self._clock())
            if record is not None:
                self._keep(record)


def record_of(request: Request, note: Note, status: int, paths: Paths, at_ms: int) -> AuditRecord | None:
    """None: it changed nothing, and nothing was refused that matters. Pure."""
    identity: Identity | None = note.by or getattr(request.state, "identity", None)
    status = note.status or status
    refused = 400 <= status < 500
    method = request.method
    route = paths.template(method, request.scope["path"])
    action = note.action
    if not action and refused:
        stranger = identity is None and getattr(request.state, "bearer", False)
        action = "token_refused" if stranger else _OF_ROUTE.get((method, route), "")
    if method in SAFE and status != 403 and action not in ALWAYS:
        return None
    action = action or ("refused" if refused else "other")
    return AuditRecord(
        id=digest_hex("audit", note.request_id, action),
        at=at_ms,
        who=clipped(identity.name, NAME) if identity else "",
        role=identity.role if identity else "",
        via=identity.via if identity else "nobody",
        action=clipped(action, WORD),
        target=clipped(note.target, NAME),
        what=clipped(note.what, SAYS),
        reason=clipped(note.reason, SAYS),
        outcome="refused" if refused else "failed" if status >= 500 else "done",
        status=status,
        method=method if method in METHODS else "other",
        route=route,
        address=clipped(address_of(request), NAME),
        agent=clipped(request.headers.get("user-agent", ""), NAME),
        request_id=note.request_id,
        domain=clipped(note.domain, NAME),
    )
