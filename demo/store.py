"""The inventory's store: an SQLite file in WAL mode behind a small pool of connections.

Reads never block in WAL mode; writers queue for the one write lock, and a writer that waits keeps its
connection, so that contention fills the pool and in the end slows readers down as well, as in real life.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import SpanKind, Tracer

from demo.telemetry import SECONDS_BUCKETS

T = TypeVar("T")
POOL_SIZE = 4
LOCK_TIMEOUT_S = 0.9
FULL_SHELF = 500


class Store:
    """Stock levels by product id."""

    def __init__(self, path: Path, products: Iterable[str], meter: Meter, tracer: Tracer) -> None:
        self._path = path
        self._tracer = tracer
        self._threads = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="store")
        self._free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        self._pending = 0
        self._create(products)
        for _ in range(POOL_SIZE):
            self._free.put_nowait(self._open())
        self._lock_wait = meter.create_histogram(
            "store.lock.wait",
            "s",
            "Wait for the write lock",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._operation = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of store operations",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._pool_wait = meter.create_histogram(
            "db.client.connection.wait_time",
            "s",
            "Wait for a free connection",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        meter.create_observable_up_down_counter("db.client.connection.count", [self._count], "{connection}")
        meter.create_observable_up_down_counter(
            "db.client.connection.pending_requests", [self._waiting], "{request}"
        )

    async def stock(self, product: str) -> int | None:
        """Units on the shelf, or None for an unknown product."""

        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute("SELECT units FROM stock WHERE product = ?", (product,)).fetchone()
            return None if row is None else int(row[0])

        return await self._run("SELECT", read)

    async def move(self, lines: dict[str, int]) -> list[str]:
        """Take the units in `lines` (negative gives back) in one transaction; returns products restocked.

        Raises sqlite3.OperationalError when the write lock was not to be had within 0.9 s.
        """

        def write(connection: sqlite3.Connection) -> list[str]:
            asked = time.perf_counter()
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                self._lock_wait.record(time.perf_counter() - asked)
            restocked = []
            for product, units in lines.items():
                connection.execute("UPDATE stock SET units = units - ? WHERE product = ?", (units, product))
                row = connection.execute("SELECT units FROM stock WHERE product = ?", (product,)).fetchone()
                if row is not None and row[0] < FULL_SHELF // 10:
                    connection.execute("UPDATE stock SET units = ? WHERE product = ?", (FULL_SHELF, product))
                    restocked.append(product)
            connection.execute("COMMIT")
            return restocked

        return await self._run("UPDATE", write)

    def close(self) -> None:
        """Close the pool; running statements finish first."""
        self._threads.shutdown()
        while not self._free.empty():
            self._free.get_nowait().close()

    async def _run(self, operation: str, work: Callable[[sqlite3.Connection], T]) -> T:
        labels = {"db.system.name": "sqlite", "db.operation.name": operation, "db.collection.name": "stock"}
        asked = time.perf_counter()
        self._pending += 1
        try:
            connection = await self._free.get()
        finally:
            self._pending -= 1
        self._pool_wait.record(time.perf_counter() - asked)
        started = time.perf_counter()
        try:
            with self._tracer.start_as_current_span(
                f"{operation} stock", kind=SpanKind.CLIENT, attributes=labels
            ):
                # Shielded: a caller that goes away must not hand on a connection that is still in use.
                running = asyncio.get_running_loop().run_in_executor(self._threads, work, connection)
                running.add_done_callback(lambda _: self._free.put_nowait(connection))
                return await asyncio.shield(running)
        finally:
            self._operation.record(time.perf_counter() - started, labels)

    def _create(self, products: Iterable[str]) -> None:
        connection = self._open()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS stock (product TEXT PRIMARY KEY, units INTEGER NOT NULL)"
        )
        connection.executemany(
            "INSERT OR IGNORE INTO stock VALUES (?, ?)", [(product, FULL_SHELF) for product in products]
        )
        connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _count(self, _: CallbackOptions) -> Iterable[Observation]:
        idle = self._free.qsize()
        yield Observation(idle, {"db.client.connection.state": "idle"})
        yield Observation(POOL_SIZE - idle, {"db.client.connection.state": "used"})

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._pending)
