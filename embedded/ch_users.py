"""Users of the embedded ClickHouse: names, passwords and certificates here, grants in the engine.

chDB runs everything as one user of its own, and keeps no users that are made by SQL. But it reads roles
with their grants from a file when it starts, and `SET ROLE` holds for a handle. So a request's user is
checked here, and its handle is given that user's role: what it may then do, the real engine decides.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import msgspec


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may come in, and as what."""

    role: str
    password: str = ""
    common_name: str = ""
    """of a client certificate that stands for the password"""


class Users(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`roles`: name -> GRANT statements, without TO."""

    roles: dict[str, list[str]]
    users: dict[str, User]

    def write(self, folder: Path) -> Path:
        """The engine's configuration; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        roles = "".join(
            f"<{name}><grants>{''.join(f'<query>{escape(one)}</query>' for one in grants)}</grants></{name}>"
            for name, grants in self.roles.items()
        )
        granted = "".join(f"<query>GRANT {name}</query>" for name in self.roles)
        users = folder / "users.xml"
        users.write_text(
            "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>"
            f"<roles>{roles}</roles><users><default><password></password><networks><ip>::/0</ip></networks>"
            f"<profile>default</profile><quota>default</quota><grants>{granted}</grants></default></users>"
            "</clickhouse>"
        )
        config = folder / "config.xml"
        config.write_text(f"<clickhouse><users_config>{escape(str(users))}</users_config></clickhouse>")
        return config

    def known(self, headers: Mapping[str, str], query: Mapping[str, str], certificate: Any) -> User | None:
        """Who asks, by the headers, the URL or a certificate; None: nobody we know."""
        name, password = _credentials(headers, query)
        user = self.users.get(name)
        if user is None:
            return None
        if headers.get("X-ClickHouse-SSL-Certificate-Auth") == "on":
            named = {value for part in (certificate or {}).get("subject", ()) for key, value in part
                     if key == "commonName"}  # fmt: skip
            return user if user.common_name and user.common_name in named else None
        if user.common_name and not user.password:
            return None
        return user if hmac.compare_digest(user.password.encode(), password.encode()) else None


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return name, password
    name = headers.get("X-ClickHouse-User") or query.get("user") or "default"
    return name, headers.get("X-ClickHouse-Key") or query.get("password") or ""
