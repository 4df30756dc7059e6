"""The console: where it listens, who may do what there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from config import oidc
from config.oidc import ROLES, Oidc, Role
from config.response import Problem
from config.secrets import Secret

__all__ = ["ROLES", "Access", "Console", "Oidc", "Rate", "Role", "Token", "View", "expires_ms", "problems"]


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A saved view of the list that everybody has."""

    name: str
    query: str
    """as in the address: severity=critical&team=payments"""


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program, or a person of a team without a provider. `tocsin console-token` makes one."""

    name: str
    """as it stands in the audit"""
    sha256: str = ""
    """of the token, 64 hexadecimal digits; this or `token`"""
    token: Secret = Secret()
    role: Role = "viewer"
    domains: tuple[str, ...] = ()
    """correlation domains it may see; none: all"""
    expires: str = ""
    """2027-01-31 or 2027-01-31T12:00:00Z; a day ends at its beginning, UTC; empty: never"""


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Requests within any minute, of one identity, or of one address where nobody is known."""

    reads_per_minute: Annotated[int, Meta(ge=1)] = 1_200
    actions_per_minute: Annotated[int, Meta(ge=1)] = 120
    logins_per_minute: Annotated[int, Meta(ge=1)] = 10
    """of one address, and bearer tokens that are not known"""


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may use the console."""

    oidc: Oidc | None = None
    tokens: tuple[Token, ...] = ()
    session_key: Secret = Secret()
    """signs cookies, 32 characters or more; none: a new one at each start, so that a restart logs out"""
    session_hours: Annotated[float, Meta(gt=0)] = 12.0
    idle_minutes: Annotated[float, Meta(gt=0)] = 60.0
    rate: Rate = Rate()
    trusted_proxies: tuple[str, ...] = ()
    """addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed"""


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`tocsin console`."""

    listen: str = "127.0.0.1:8088"
    """HOST:PORT; other than loopback only with `access`"""
    public_url: str = ""
    """its address as browsers see it, https://tocsin.example; empty: as it listens"""
    workers: tuple[str, ...] = ("127.0.0.1:8390",)
    """health ports of workers, for the page of the pipeline"""
    views: tuple[View, ...] = ()
    max_incidents: Annotated[int, Meta(ge=100)] = 20_000
    """kept in memory; of more, the oldest that are over are left to ClickHouse"""
    act_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    """how long an action waits for its answer"""
    access: Access | None = None
    """none: only on loopback, where everybody is admin"""


_SHA256 = re.compile(r"[0-9a-f]{64}")


def expires_ms(token: Token) -> int | None:
    """When it ends, ms UTC; None: never. Raises ValueError."""
    if not token.expires:
        return None
    when = datetime.fromisoformat(token.expires)
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def problems(settings: Console) -> Iterator[Problem]:
    """Key, value and expectation of whatever cannot be."""
    url = urlsplit(settings.public_url)
    if settings.public_url and (url.scheme not in ("http", "https") or not url.netloc or url.path.strip("/")):
        yield Problem("console.public_url", settings.public_url, "https://HOST without a path")
    access = settings.access
    if access is None:
        return
    if not access.tokens and access.oidc is None:
        yield Problem("console.access.tokens", [], "at least one, or oidc: without either nobody can log in")
    if access.oidc:
        yield from oidc.problems(access.oidc, settings.public_url)
    names = [token.name for token in access.tokens]
    for index, token in enumerate(access.tokens):
        key = f"console.access.tokens[{index}]"
        if not token.name or names.count(token.name) > 1:
            yield Problem(f"{key}.name", token.name, "a name of its own")
        if bool(token.sha256) == bool(token.token.env or token.token.file):
            yield Problem(key, token.name, "either sha256 or token: {env: NAME} or {file: PATH}")
        elif token.sha256 and not _SHA256.fullmatch(token.sha256):
            yield Problem(f"{key}.sha256", token.sha256, "64 hexadecimal digits in lower case")
        try:
            expires_ms(token)
        except ValueError:
            yield Problem(f"{key}.expires", token.expires, "a day (2027-01-31) or a time of ISO 8601")
