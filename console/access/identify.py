"""Finds out who asks, before any route does. ASGI middleware, so that streams pass unbuffered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from console.access.identity import Identity


class Identify:
    """Puts what `who` says into `request.state.identity`; None: nobody we know."""

    def __init__(self, app: ASGIApp, who: Callable[[Request], Awaitable[Identity | None]]) -> None:
        self._app = app
        self._who = who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["identity"] = await self._who(Request(scope))
        await self._app(scope, receive, send)
