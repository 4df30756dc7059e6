"""Questions to ClickHouse from the console: side by side, each in a thread, and plain about its absence."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from config.settings import ClickHouse
from sinks.clickhouse import DENIED, MISSING, ROW_FAULTS, connect
from sinks.reader import Reader
from sinks.schema import MIGRATIONS

T = TypeVar("T")
_AT_ONCE = 8
_AGAIN_S = 2.0
"""after a failed connection, questions fail at once for so long"""
QUESTION_FAULTS = ROW_FAULTS | {36, 42, 43, 44, 46, 47, 48, 62, 115, 179, 184, 207, 215, 386, 456, 457}
"""Server errors that accuse the question (syntax, unknown column, wrong type, ...). Every other one (memory,
too many questions, time-out, shutting down) is taken for a passing one."""
log = logging.getLogger(__name__)


class Unavailable(Exception):
    """A service the console needs does not answer.

    `service`: Kafka or ClickHouse; `detail`: what to check.
    """

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class Store:
    """Connects when first asked, and again by itself."""

    def __init__(self, settings: ClickHouse) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="clickhouse")
        self._connecting = asyncio.Lock()
        self._failed_at = -_AGAIN_S
        self.trouble = ""
        """why the last question failed for want of a server; empty: it did not"""

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """The answer to a question, which runs in a thread.

        Raises `Unavailable`; mistakes in SQL as they are, unless the tables are of another version than ours.
        """
        loop = asyncio.get_running_loop()
        client: Client | None = None
        try:
            client = await self._connected()
            answer = await loop.run_in_executor(self._pool, lambda: question(Reader(client)))
        except Error as error:
            if client is not None and error.code in QUESTION_FAULTS | MISSING:
                outdated = await loop.run_in_executor(self._pool, _outdated, client)
                if outdated:
                    raise Unavailable("ClickHouse", outdated) from error
                if error.code in QUESTION_FAULTS:
                    raise
            trouble = _trouble(error, self._settings)
            if trouble is None:
                name = error.name or f"code {error.code}"
                raise Unavailable("ClickHouse", f"{self._settings.url} answers {name}") from error
            self._lose(trouble)
            raise Unavailable("ClickHouse", trouble) from error
        except OSError as error:
            self._lose(f"no answer from {self._settings.url}: {error}")
            raise Unavailable("ClickHouse", self.trouble) from error
        self.trouble = ""
        return answer

    async def close(self) -> None:
        """Let go of the connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        async with self._connecting:
            if self._client is None:
                if time.monotonic() - self._failed_at < _AGAIN_S:
                    raise Unavailable("ClickHouse", self.trouble)
                loop = asyncio.get_running_loop()
                self._client = await loop.run_in_executor(self._pool, lambda: connect(self._settings))
        return self._client

    def _lose(self, trouble: str) -> None:
        if not self.trouble:
            log.warning("ClickHouse: %s", trouble)
        self.trouble = trouble
        self._failed_at = time.monotonic()
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _trouble(error: Error, settings: ClickHouse) -> str | None:
    """What to check, when nothing can be asked; None when only this question went wrong."""
    if error.code in DENIED:
        return f"{settings.url} refuses user {settings.user!r}: check clickhouse.user and its password"
    if error.code in MISSING:
        return f"{settings.url} has no tables in {settings.database!r}: a worker makes them when it starts"
    if error.code is None:
        return f"no answer from {settings.url}: is it running?"
    return None


def _outdated(client: Client) -> str:
    """Why no question can fit the tables, which are of another version than we are; empty: they are not."""
    try:
        there = int(client.query("SELECT max(version) FROM schema_version").result_rows[0][0])
    except (Error, OSError, ValueError):
        return ""
    ours = MIGRATIONS[-1].version
    if there == ours:
        return ""
    who = "a worker of this version upgrades them when it starts" if there < ours else "upgrade the console"
    return f"its tables have version {there}, this console knows {ours}: {who}"
