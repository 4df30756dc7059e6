"""Access control as it runs: who a request comes from, by bearer token or by session."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from config.console import Access
from console.access.identity import Identity
from console.access.oidc import Provider
from console.access.origin import is_loopback
from console.access.rates import Rates
from console.access.session import Session, Sessions
from console.access.tokens import Tokens
from sinks.targets.secrets import read

SHORTEST_KEY = 32
NAME = "tocsin"
"""cookie of the session"""
SECURE = "__Host-"
"""the browser sends it over TLS only, to this very host, and no other host can set it"""
LOGINS = (("POST", "/login"), ("GET", "/login/callback"))


class WeakKey(Exception):
    """The session key is too short to sign with."""


class Control:
    """Made of the settings. Raises `SinkMisconfigured`, `WeakKey`, and `OSError` for a bad `oidc.ca_file`."""

    def __init__(self, access: Access, public_url: str, clock: Callable[[], int]) -> None:
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
        self.provider = Provider(access.oidc, public_url, key, clock) if access.oidc else None

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
        identity = self._whose(session) if session else None
        if session is None or identity is None:
            return None
        request.state.csrf = session.csrf
        request.state.renewed = self.sessions.renewed(session)
        return identity

    def _whose(self, session: Session) -> Identity | None:
        """None: its token has ended, or its provider is no longer the one of the settings."""
        if session.who is not None:
            return session.who if self.provider and session.holder == self.provider.holder else None
        known = self.tokens.by_digest(session.holder, self._clock())
        return known.identity if known else None

    def session_of(self, request: Request) -> Session | None:
        cookie = self.cookie(request, NAME)
        return self.sessions.read(cookie) if cookie else None

    def give(self, request: Request, response: Response, session: Session) -> None:
        """Set the session's cookie. No Max-Age: it goes with the browser, and the server ends it earlier."""
        self.set_cookie(request, response, NAME, self.sessions.write(session))

    def take(self, request: Request, response: Response) -> None:
        """End the session and delete its cookie."""
        session = self.session_of(request)
        if session:
            self.sessions.end(session)
        self.drop_cookie(request, response, NAME)

    def set_cookie(
        self, request: Request, response: Response, name: str, value: str, age_s: int | None = None
    ) -> None:
        """For this host alone, over TLS, unseen by scripts."""
        response.set_cookie(
            cookie_name(request, name),
            value,
            max_age=age_s,
            path="/",
            secure=_secure(request),
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, request: Request, response: Response, name: str) -> None:
        response.delete_cookie(
            cookie_name(request, name), path="/", secure=_secure(request), httponly=True, samesite="lax"
        )

    def cookie(self, request: Request, name: str) -> str:
        """Its value; empty: it was not sent."""
        return request.cookies.get(cookie_name(request, name), "")

    def wait_s(self, request: Request, identity: Identity | None) -> int:
        """Counts this request. 0: it may pass; else seconds to wait."""
        address = address_of(request)
        if identity is None and getattr(request.state, "bearer", False):
            return self.rates.full_s("logins", address)
        if (request.method, request.url.path) in LOGINS:
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


def cookie_name(request: Request, name: str) -> str:
    return f"{SECURE}{name}" if _secure(request) else name
