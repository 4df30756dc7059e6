"""Requests that other web pages make a browser send are refused, as are names that only pretend to be us.

A page elsewhere can make a browser post to a loopback address; the browser then says where it comes from
(`Sec-Fetch-Site`, `Origin`). A name that is not ours and leads here (DNS rebinding) shows in `Host`.
Programs send neither header and are let through to what checks who they are. ASGI middleware.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
MOST_BYTES = 1_000_000
"""of a request's body"""


class Origins:
    """`hosts`: names, without ports, under which this console is reached."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, why = self.refused(scope["method"], Headers(scope=scope))
        if status:
            await JSONResponse({"detail": why}, status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def refused(self, method: str, headers: Headers) -> tuple[int, str]:
        """Status and reason; (0, "") when there is none."""
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return 421, f"this console is not {host[:100]!r}: set console.public_url if it is"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, f"at most {MOST_BYTES} bytes"
        if method in SAFE:
            return 0, ""
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return 403, f"sent by a page of another site ({site[:20]})"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"sent by a page of {origin[:100]!r}"
        return 0, ""


def _name(host: str) -> str:
    """Without its port."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") and ":" in host else host
    return name.lower()


def hosts_of(public_url: str) -> tuple[str, ...]:
    """Names of a console: loopback, and the one browsers see."""
    seen = urlsplit(public_url).hostname
    return (*LOOPBACK, *([seen] if seen else ()))
