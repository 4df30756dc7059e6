"""Create and upgrade the tables. Idempotent; several workers may do it at once.

`migrations/` has one file per numbered migration; a released one is never edited: add the next. Every
statement may run twice (several workers start at once). Table names are unqualified: the database is the
connection's. Times are DateTime64(3, 'UTC'), event time unless the comment says otherwise. `views/` is
read in order of the file names; views hold no data, so a definition is changed in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from clickhouse_connect.driver.exceptions import Error
from tenacity import Retrying, retry_if_exception, stop_after_attempt
from tenacity import wait_random_exponential as backoff

VERSION_TABLE = """CREATE TABLE IF NOT EXISTS schema_version
(
    version UInt32,
    name String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version"""

_HEADER = re.compile(r"^-- migration (\d+): (.+)$")
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

TABLE_IS_DROPPED = 218
"""What the server answers, now and then, when two workers replace one view at the same moment: the one
that lost the exchange finds the table it had made gone. Nothing is harmed; it is done again."""


class SchemaError(Exception):
    """The database cannot be used as it is; the message says what to do."""


class SqlClient(Protocol):
    """The part of a clickhouse-connect client the schema needs."""

    database: str | None

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step; `statements` in order, each harmless when it runs a second time."""

    version: int
    name: str
    statements: tuple[str, ...]


def statements_of(sql: str) -> tuple[str, ...]:
    """Statements of a script: comment lines dropped, cut at a `;` that ends a line."""
    kept = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return tuple(part.strip() for part in re.split(r";[ \t]*(?:\n|$)", kept) if part.strip())


def migrations_of(sql: str) -> tuple[Migration, ...]:
    """Cut a script at its `-- migration N: name` lines; N must count 1, 2, 3, ... (ValueError)."""
    found: list[tuple[int, str, list[str]]] = []
    for line in sql.splitlines():
        header = _HEADER.match(line)
        if header:
            found.append((int(header[1]), header[2], []))
        elif found:
            found[-1][2].append(line)
    if [number for number, _, _ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered 1, 2, 3, ...: {[n for n, _, _ in found]}")
    return tuple(Migration(n, name, statements_of("\n".join(lines))) for n, name, lines in found)


def _scripts(folder: str) -> str:
    """All SQL files of a folder beside this one, in order of their names."""
    found = [file for file in files("sinks").joinpath(folder).iterdir() if file.name.endswith(".sql")]
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(found, key=lambda file: file.name))


MIGRATIONS = migrations_of(_scripts("migrations"))
VIEWS = statements_of(_scripts("views"))


def create_database(client: SqlClient, database: str) -> None:
    """`client` must be connected to a database that exists, or to none."""
    if not _IDENTIFIER.match(database):
        raise SchemaError(f"database name {database!r}: letters, digits and _ only; set clickhouse.database")
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")


def migrate(client: SqlClient) -> int:
    """Bring the client's database to the newest version, which is returned, and replace the views.

    A database that is newer than this program is left untouched (`SchemaError`): an old worker must
    not put old views over new tables.
    """
    client.command(VERSION_TABLE)
    present = int(client.command("SELECT max(version) FROM schema_version"))
    newest = MIGRATIONS[-1].version
    if present > newest:
        raise SchemaError(
            f"the ClickHouse database has schema {present}, this program knows {newest}: upgrade the worker"
        )
    for migration in MIGRATIONS[present:]:
        for statement in migration.statements:
            _execute(client, statement)
        client.command(
            "INSERT INTO schema_version (version, name) VALUES ({version:UInt32}, {name:String})",
            parameters={"version": migration.version, "name": migration.name},
        )
    for statement in VIEWS:
        _execute(client, statement)
    return newest


def _execute(client: SqlClient, statement: str) -> None:
    """Run a statement, again while another worker is in its way."""
    for attempt in Retrying(
        retry=retry_if_exception(_outpaced),
        stop=stop_after_attempt(10),
        wait=backoff(multiplier=0.02, max=0.5),
        reraise=True,
    ):
        with attempt:
            client.command(statement)


def _outpaced(error: BaseException) -> bool:
    return isinstance(error, Error) and error.code == TABLE_IS_DROPPED
