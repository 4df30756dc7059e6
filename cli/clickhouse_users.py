"""`tocsin clickhouse-users`: roles that write and read, and users with them: shown as SQL, or made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from clickhouse_connect.driver.exceptions import Error

from cli.common import ClickHouseUrl, ConfigFile, console, settings_from
from cli.errors import CliError
from cli.output import plain
from cli.store import explained
from config import secrets
from config.secrets import Secret, SecretError
from config.settings import ClickHouse
from sinks import access
from sinks.clickhouse import DENIED, connect
from sinks.schema import SchemaError

NO_STORAGE = frozenset({495, 514})
"""Server errors that say users and roles cannot be kept there"""


def clickhouse_users(
    writer: Annotated[
        str, typer.Option("--writer", metavar="NAME", help="User that workers log in as.")
    ] = "",
    writer_password_file: Annotated[
        Path | None,
        typer.Option("--writer-password-file", help="Make the user, with the password in this file."),
    ] = None,
    reader: Annotated[
        str, typer.Option("--reader", metavar="NAME", help="User of commands, console and dashboards.")
    ] = "",
    reader_password_file: Annotated[
        Path | None,
        typer.Option("--reader-password-file", help="Make the user, with the password in this file."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run it as clickhouse.user, instead of printing it.")
    ] = False,
    config: ConfigFile = None,
    clickhouse: ClickHouseUrl = None,
) -> None:
    """SQL for the roles DATABASE_writer and DATABASE_reader, and for users that have them.

    Without --apply it is printed, for an administrator to look at and run. Passwords are in it only as salted
    digests. A user without a password file must exist, and is given the role.

    Examples:

      tocsin clickhouse-users --writer tocsin_worker --reader tocsin_console

      tocsin clickhouse-users --reader grafana --reader-password-file grafana.pw | clickhouse-client

      TOCSIN_CLICKHOUSE_USER=admin tocsin clickhouse-users --writer tocsin_worker --apply
    """
    settings = settings_from(config, clickhouse=clickhouse).clickhouse
    users = [
        *_account(writer, "writer", writer_password_file),
        *_account(reader, "reader", reader_password_file),
    ]
    try:
        statements = [*access.roles(settings.database), *access.accounts(settings.database, users)]
    except SchemaError as error:
        raise CliError(str(error)) from None
    if not apply:
        sys.stdout.write("".join(f"{statement};\n" for statement in statements))
        return
    _run(settings, statements)
    named = ", ".join(f"{user.name} ({user.kind})" for user in users) or "none"
    console.print(plain(f"roles of {settings.database}: writer and reader; users: {named}"))


def _account(name: str, kind: access.Kind, password_file: Path | None) -> list[access.Account]:
    if not name:
        if password_file is not None:
            raise CliError(f"--{kind}-password-file without --{kind}", f"name the user with --{kind}")
        return []
    try:
        password = secrets.read(Secret(file=str(password_file))) if password_file else ""
    except SecretError as error:
        raise CliError(f"--{kind}-password-file: {error}") from None
    return [access.Account(name, kind, password)]


def _run(settings: ClickHouse, statements: list[str]) -> None:
    try:
        client = connect(settings, database="")
        try:
            for statement in statements:
                client.command(statement)
        finally:
            client.close()
    except SecretError as error:
        raise CliError(f"clickhouse.password: {error}") from None
    except Error as error:
        if error.code in NO_STORAGE or error.code in DENIED - {516, 193, 194, 192}:
            raise CliError(
                f"user {settings.user!r} may not make roles and users at {settings.url}:"
                f" {' '.join(str(error).split())[:200]}",
                "give an administrator what this prints without --apply, or set TOCSIN_CLICKHOUSE_USER",
            ) from None
        raise explained(error, settings) from None
