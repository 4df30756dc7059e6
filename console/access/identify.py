"""Finds out who asks, before any route does. ASGI middleware, so that streams pass unbuffered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.access.control import Control
from console.access.identity import Identity

Answer = Callable[[Request, int, str, dict[str, str]], Response]


class Identify:
    """Puts what `who` says into `request.state.identity`; None: nobody we know.

    With access control (`control`) it refuses who asks too often (429), and renews cookies in use.
    """

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[Request], Awaitable[Identity | None]],
        control: Control | None,
        answer: Answer,
    ) -> None:
        self._app = app
        self._who = who
        self._control = control
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        scope.setdefault("state", {})["identity"] = identity = await self._who(request)
        control = self._control
        if control is None or _is_free(scope["path"]):
            await self._app(scope, receive, send)
            return
        wait = control.wait_s(request, identity)
        if wait:
            refused = self._answer(
                request, 429, f"too many requests, wait {wait} s", {"retry-after": str(wait)}
            )
            await refused(scope, receive, send)
            return
        renewed = getattr(request.state, "renewed", None)

        async def sent(message: Message) -> None:
            if renewed and message["type"] == "http.response.start":
                kept = Response()
                control.give(request, kept, renewed)
                cookies = [pair for pair in kept.raw_headers if pair[0] == b"set-cookie"]
                given = message["headers"]
                if not any(
                    pair[0].lower() == b"set-cookie" for pair in given
                ):  # login and logout know better
                    message["headers"] = [*given, *cookies]
            await send(message)

        await self._app(scope, receive, sent)


def _is_free(path: str) -> bool:
    return path == "/healthz" or path.startswith("/static/")
