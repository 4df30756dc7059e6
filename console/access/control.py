"""Access control as it runs: who a request comes from, by bearer token or by session."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from config.console import Access
from console.access.identity import Identity
from console.access.origin import is_loopback
from console.access.rates import Rates
from console.access.session import PLAIN, SECURE, Session, Sessions
from console.access.tokens import Tokens
from sinks.targets.secrets import read

SHORTEST_KEY = 32


class WeakKey(Exception):
    """The session key is too short to sign with."""


class Control:
    """Made of the settings. Raises `SinkMisconfigured` and `WeakKey`."""

    def __init__(self, access: Access, clock: Callable[[], int]) -> None:
        key = secrets.token_urlsafe(48)
        if access.session_key.env or access.session_key.file:
            key = read(access.session_key, "console.access.session_key")
            if len(key) < SHORTEST_KEY:
                raise WeakKey(
                    f"console.access.session_key has {len(key)} characters, {SHORTEST_KEY} are needed"
                )
        self._clock = clock
        self.tokens = Tokens(access)
        self.sessions = Sessions(key, access.session_hours, access.idle_minutes, clock)
        self.rates = Rates(access.rate)

    async def who(self, request: Request) -> Identity | None:
        """Who asks. Notes in `request.state` what `Gate` and `Cookies` need."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            request.state.bearer = True
            address = address_of(request)
            if self.rates.full_s("logins", address):
                return None
            known = self.tokens.holder(token.strip(), self._clock())
            if known is None:
                self.rates.wait_s("logins", address)
            return known.identity if known else None
        session = self.session_of(request)
        known = self.tokens.by_digest(session.holder, self._clock()) if session else None
        if session is None or known is None:
            return None
        request.state.csrf = session.csrf
        request.state.renewed = self.sessions.renewed(session)
        return known.identity

    def session_of(self, request: Request) -> Session | None:
        cookie = request.cookies.get(cookie_name(request))
        return self.sessions.read(cookie) if cookie else None

    def give(self, request: Request, response: Response, session: Session) -> None:
        """Set the session's cookie. No Max-Age: it goes with the browser, and the server ends it earlier."""
        response.set_cookie(
            cookie_name(request),
            self.sessions.write(session),
            path="/",
            secure=_secure(request),
            httponly=True,
            samesite="lax",
        )

    def take(self, request: Request, response: Response) -> None:
        """End the session and delete its cookie."""
        session = self.session_of(request)
        if session:
            self.sessions.end(session)
        response.delete_cookie(
            cookie_name(request), path="/", secure=_secure(request), httponly=True, samesite="lax"
        )

    def wait_s(self, request: Request, identity: Identity | None) -> int:
        """Counts this request. 0: it may pass; else seconds to wait."""
        address = address_of(request)
        if identity is None and getattr(request.state, "bearer", False):
            return self.rates.full_s("logins", address)
        if request.method == "POST" and request.url.path == "/login":
            return self.rates.wait_s("logins", address)
        who = f"name {identity.name}" if identity else f"address {address}"
        safe = request.method in ("GET", "HEAD", "OPTIONS")
        return self.rates.wait_s("reads" if safe else "actions", who)


def address_of(request: Request) -> str:
    """Where it comes from; behind a trusted proxy what that says (the server sees to it)."""
    return request.client.host if request.client else ""


def _secure(request: Request) -> bool:
    """Everywhere but over plain HTTP on this machine, where browsers would refuse it."""
    return request.url.scheme == "https" or not is_loopback(request.headers.get("host", ""))


def cookie_name(request: Request) -> str:
    return SECURE if _secure(request) else PLAIN
