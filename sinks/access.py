"""Who may do what in the database: a role that writes, a role that reads, and users with them.

Needs somebody who may make roles and users (`access_management` in ClickHouse), so it is no migration: the
worker's own user should not be one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, NamedTuple

from sinks.schema import SchemaError, statements_of

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

Kind = Literal["writer", "reader"]


class Account(NamedTuple):
    """A user to be, and the role it gets."""

    name: str
    kind: Kind
    password: str = ""
    """empty: the user exists, and is only given the role"""


def roles(database: str) -> tuple[str, ...]:
    """Statements that make both roles. Raises `SchemaError` for a name that would need quoting."""
    name = _checked(database, "clickhouse.database")
    sql = files("sinks").joinpath("access/roles.sql").read_text(encoding="utf-8")
    return statements_of(sql.replace("{database}", name))


def accounts(database: str, users: Sequence[Account]) -> tuple[str, ...]:
    """Statements that make the users, or give those that are there the role. Raises `SchemaError`.

    Of a password only a salted SHA-256 digest is in them, from which a weak one can still be guessed.
    """
    name = _checked(database, "clickhouse.database")
    made: list[str] = []
    for user in users:
        who, role = _checked(user.name, "a user's name"), f"{name}_{user.kind}"
        if user.password:
            identified = _identified(user.password)
            made.append(f"CREATE USER IF NOT EXISTS {who} {identified}")
            made.append(f"ALTER USER {who} {identified}")  # one that is there may have had another
        # No default role is set: that would take from a user the defaults it has; new ones have all.
        made.append(f"GRANT {role} TO {who}")
    return tuple(made)


def _identified(password: str) -> str:
    salt = secrets.token_hex(16)
    digest = hashlib.sha256((password + salt).encode()).hexdigest()
    return f"IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{salt}'"


def _checked(name: str, what: str) -> str:
    if not _NAME.match(name):
        raise SchemaError(f"{what} is {name!r}: expected letters, digits and _ only")
    return name
