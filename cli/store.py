"""ClickHouse for commands: connect, and say in one line what is wrong when that fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from cli.errors import CliError
from config.secrets import SecretError
from config.settings import ClickHouse
from sinks.clickhouse import DENIED, MISSING, connect, denied, untrusted
from sinks.reader import Reader


@contextmanager
def reader_of(settings: ClickHouse) -> Iterator[Reader]:
    """A reader over an open connection. Raises `CliError`, also for what goes wrong inside the block."""
    # The driver logs what it then raises; the person gets one line, from us.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    client: Client | None = None
    try:
        client = connect(settings)
        yield Reader(client)
    except Error as error:
        raise explained(error, settings) from None
    except SecretError as error:
        raise CliError(f"clickhouse.password: {error}") from None
    finally:
        if client is not None:
            client.close()


def full_id(reader: Reader, prefix: str) -> str:
    """The one incident id that begins with `prefix`. Raises `CliError` when none or several do."""
    found = reader.ids_like(prefix) if prefix else []
    if prefix in found:
        return prefix
    if not found:
        raise CliError(f"no incident {prefix!r}", "tocsin incidents lists them")
    if len(found) > 1:
        raise CliError(f"{prefix!r} begins several incident ids: {', '.join(found)}", "give more digits")
    return found[0]


def explained(error: Error, settings: ClickHouse) -> CliError:
    """What is wrong, in one line."""
    if error.code in DENIED:
        return CliError(
            f"ClickHouse at {settings.url} {denied(error, settings)}",
            "check TOCSIN_CLICKHOUSE_USER and TOCSIN_CLICKHOUSE_PASSWORD",
        )
    if error.code in MISSING:
        return CliError(
            f"ClickHouse at {settings.url} has no Tocsin tables in database {settings.database!r}",
            "start a worker (tocsin worker), it creates them; or set TOCSIN_CLICKHOUSE_DATABASE",
        )
    distrust = untrusted(error, settings)
    if distrust:
        return CliError(f"ClickHouse at {settings.url}: {distrust}")
    if error.code is None:
        return CliError(
            f"no ClickHouse at {settings.url}",
            "start one (tocsin dev clickhouse) or name it with --clickhouse",
        )
    return CliError(f"ClickHouse at {settings.url}: {' '.join(str(error).split())[:300]}")
