"""The ClickHouse sink: rows in batches, acknowledged only after the server confirmed the insert.

Both tables and retries are idempotent (ReplacingMergeTree by id and version), so an insert whose answer
was lost is simply sent again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, stop_after_delay
from tenacity import wait_random_exponential as backoff

from config.connect import clickhouse_options
from config.secrets import SecretError
from config.settings import ClickHouse
from sinks.columns import Row, RowError, Table, columns_of
from sinks.inbox import Delivery
from sinks.protocol import Refusal, SinkMisconfigured, SinkUnavailable
from sinks.rows import COLUMNS, TABLES, row_of
from sinks.schema import SchemaError, create_database, migrate

log = logging.getLogger(__name__)

T = TypeVar("T")

ROW_FAULTS = frozenset({6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 407, 469, 691})
"""Server errors that accuse the data (cannot parse, out of bounds, type mismatch, constraint, ...). Every
other server error (memory, disk, too many parts, shutting down) is taken for a passing one."""

DENIED = frozenset({192, 193, 194, 497, 516})
"""Server errors that accuse the user name, the password or the grants."""

MISSING = frozenset({60, 81})
"""Unknown table, unknown database: the server was emptied under us; the schema is created again."""


class ClickHouseSink:
    """Writes rows through one HTTP connection, in a thread of its own."""

    name = "clickhouse"

    def __init__(
        self, settings: ClickHouse, *, patience_s: float = 15.0, tables: Sequence[Table] = TABLES
    ) -> None:
        """`patience_s`: how long `start` and `write` retry before they raise `SinkUnavailable`;
        `tables`: those that are written."""
        self._settings = settings
        self._patience_s = patience_s
        self._tables = tables
        self._client: Client | None = None
        self._types: dict[str, list[str]] = {}
        # One thread, because a client answers one question at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")

    async def start(self) -> None:
        """Connect and bring the tables up to date."""
        await self._patiently(self._connected)

    async def stop(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    async def write(self, deliveries: Sequence[Delivery]) -> Sequence[Refusal]:
        by_type: dict[type, list[Delivery]] = {}
        for delivery in deliveries:
            by_type.setdefault(type(delivery.item), []).append(delivery)
        rest: list[Delivery] = []
        for kind, found in by_type.items():
            rest += found if kind not in COLUMNS else await self._insert_columns(kind, found)
        return await self._insert_rows(rest)

    async def _insert_columns(self, kind: type, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """The quick way, many at once; returns those that must be looked at one by one."""
        table, parts = COLUMNS[kind]
        size = self._settings.batch_rows
        rest: list[Delivery] = []
        for begin in range(0, len(deliveries), size):
            batch = deliveries[begin : begin + size]
            try:
                columns = columns_of(parts, [delivery.item for delivery in batch])
                await self._patiently(partial(self._insert_now, table, columns, by_column=True))
            except (RowError, _RowFault):
                rest += batch
        return rest

    async def _insert_rows(self, deliveries: Sequence[Delivery]) -> list[Refusal]:
        refusals: list[Refusal] = []
        batches: dict[Table, list[tuple[Delivery, Row]]] = {table: [] for table in TABLES}
        for delivery in deliveries:
            try:
                row = row_of(delivery.item)
            except RowError as error:
                refusals.append(Refusal(delivery, "out-of-range", str(error)))
                continue
            batches[row.table].append((delivery, row))
        size = self._settings.batch_rows
        for table, batch in batches.items():
            for begin in range(0, len(batch), size):
                refusals += await self._insert(table, batch[begin : begin + size])
        return refusals

    async def _insert(self, table: Table, batch: Sequence[tuple[Delivery, Row]]) -> list[Refusal]:
        """Insert the batch; when the data are at fault, halve it until the bad rows stand alone."""
        rows = [row.values for _, row in batch]
        try:
            await self._patiently(lambda: self._insert_now(table, rows))
        except _RowFault as fault:
            if len(batch) == 1:
                return [Refusal(batch[0][0], "refused-by-clickhouse", str(fault))]
            middle = len(batch) // 2
            return await self._insert(table, batch[:middle]) + await self._insert(table, batch[middle:])
        return []

    async def insert_rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Rows that are known to fit. Raises `SinkUnavailable`."""
        await self._patiently(partial(self._insert_now, table, rows))

    async def insert_block(self, table: Table, block: bytes) -> None:
        """One block in ClickHouse's format Native. Raises `SinkUnavailable`."""
        await self._patiently(partial(self._talk, partial(_raw_insert, table, block)))

    async def ask(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """Rows of an answer. Raises `SinkUnavailable`."""

        def query(client: Client) -> Sequence[Sequence[Any]]:
            formats = {"DateTime64": "int"}
            return client.query(sql, parameters=parameters, query_formats=formats).result_rows

        return await self._patiently(partial(self._talk, query))

    async def command(self, sql: str, **parameters: Any) -> None:
        """A statement without an answer. Raises `SinkUnavailable`."""
        await self._patiently(partial(self._talk, lambda client: client.command(sql, parameters=parameters)))

    def _talk(self, what: Callable[[Client], T]) -> T:
        try:
            return what(self._connected())
        except Error as error:
            if error.code in ROW_FAULTS:
                raise  # of our making
            if error.code in MISSING:
                self._disconnect()
            raise SinkUnavailable(f"ClickHouse at {self._settings.url}: {error}") from error

    async def _patiently(self, call: Callable[[], T]) -> T:
        """Run `call` in the thread, again with growing pauses while the server is unavailable."""
        loop = asyncio.get_running_loop()
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(SinkUnavailable),
            stop=stop_after_delay(self._patience_s),
            wait=backoff(multiplier=0.1, max=3.0),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        ):
            with attempt:
                return await loop.run_in_executor(self._thread, call)
        raise AssertionError("unreachable: the loop returns or raises")

    def _insert_now(self, table: Table, rows: Sequence[Sequence[Any]], by_column: bool = False) -> None:
        client = self._connected()
        try:
            client.insert(
                table.name,
                rows,
                column_names=table.columns,
                column_type_names=self._types[table.name],
                column_oriented=by_column,
            )
        except DataError as error:
            raise _RowFault(str(error)) from error
        except Error as error:
            if error.code in ROW_FAULTS:
                raise _RowFault(str(error)) from error
            if error.code in MISSING:
                self._disconnect()
            raise SinkUnavailable(f"ClickHouse at {self._settings.url}: {error}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            # A value clickhouse-connect cannot serialise. What it raises then depends on the type.
            raise _RowFault(f"{type(error).__name__}: {error}") from error

    def _connected(self) -> Client:
        """The client, after creating database, tables and views if this is the first use."""
        if self._client is None:
            try:
                self._client = self._connect()
            except Error as error:
                if error.code in DENIED:
                    raise SinkMisconfigured(
                        f"ClickHouse at {self._settings.url} {denied(error, self._settings)}: check"
                        " clickhouse.user and TOCSIN_CLICKHOUSE_PASSWORD"
                    ) from error
                distrust = untrusted(error, self._settings)
                if distrust:
                    raise SinkMisconfigured(f"ClickHouse at {self._settings.url}: {distrust}") from error
                raise SinkUnavailable(f"ClickHouse at {self._settings.url}: {error}") from error
            except (SchemaError, SecretError) as error:
                raise SinkMisconfigured(str(error)) from error
        return self._client

    def _connect(self) -> Client:
        try:
            client = connect(self._settings)
        except Error as error:
            if error.code not in MISSING:
                raise
            # Without a database: the writer may not even see `default`.
            first = connect(self._settings, database="")
            try:
                create_database(first, self._settings.database)
            finally:
                first.close()
            client = connect(self._settings)
        try:
            migrate(client)
            for table in self._tables:
                described = client.query(f"DESCRIBE TABLE {table.name}").result_rows
                types = {name: kind for name, kind, *_ in described}
                self._types[table.name] = [types[column] for column in table.columns]
        except BaseException:
            client.close()
            raise
        return client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _raw_insert(table: Table, block: bytes, client: Client) -> None:
    client.raw_insert(table.name, table.columns, insert_block=block, fmt="Native")


class _RowFault(Exception):
    """The server or the serialiser blames the data of this insert."""


def connect(settings: ClickHouse, *, database: str | None = None) -> Client:
    """A client for the settings' server. Raises `clickhouse_connect` errors and `SecretError`.

    `database` other than the settings'; empty: none, which works where it does not exist yet.

    Without a session id, so that questions of several threads or clients do not lock one another out.
    """
    return clickhouse_connect.get_client(
        **clickhouse_options(settings),
        database=settings.database if database is None else database,
        connect_timeout=5,
        send_receive_timeout=60,
        autogenerate_session_id=False,
        client_name="tocsin",
    )


_MISSING_GRANT = re.compile(r"necessary to have the grant ([^.]+? ON [^\s]+)")


def denied(error: Error, settings: ClickHouse) -> str:
    """What the server refuses this user, with the grant it lacks."""
    grant = _MISSING_GRANT.search(str(error))
    if grant is None:
        return f"refuses user {settings.user!r}"
    return f"refuses user {settings.user!r} what needs the grant {grant[1]} (see tocsin clickhouse-users)"


def untrusted(error: Error, settings: ClickHouse) -> str:
    """What to check when no TLS connection came about; empty for other errors."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = "is for another host" if "doesn't match" in text or "mismatch" in text else "is not trusted"
        trusted = settings.ca_file or "the system's authorities"
        return (
            f"its certificate {why}: check clickhouse.ca_file (TOCSIN_CLICKHOUSE_CA_FILE), now {trusted},"
            " and the host in clickhouse.url"
        )
    if any(word in text for word in ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA")):
        shown = settings.cert_file or "none"
        return f"it does not accept our certificate: check clickhouse.cert_file, now {shown}"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "it does not speak TLS on this port: check clickhouse.url, http:// or https://"
    return ""


__all__ = ["ClickHouseError", "ClickHouseSink", "connect", "denied", "untrusted"]
