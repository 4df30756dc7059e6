"""Broker and ClickHouse together, for ``tocsin dev up``, the demo and the end-to-end tests.

with Stack() as stack:
    stack.kafka, stack.clickhouse          # "127.0.0.1:21897", "http://127.0.0.1:20410"
    stack.supervisor.start(Child(...))     # stopped before the two, in reverse order
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.broker import broker_child
from embedded.clickhouse import clickhouse_child
from embedded.probe import LOOPBACK, free_port, port_is_free
from embedded.supervisor import Child, ChildFailed, Supervisor

_TRIES = 3


class Stack:
    """The services everything else needs. Ports of 0 are chosen; ``data_dir`` None means a temporary one.

    ClickHouse data survives in ``data_dir``; the broker's contents never do.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        kafka: bool = True,
        clickhouse: bool = True,
        *,
        kafka_port: int = 0,
        clickhouse_port: int = 0,
    ) -> None:
        self._data_dir = data_dir
        self._wanted = {"kafka": kafka, "clickhouse": clickhouse}
        self._fixed = {"kafka": kafka_port, "clickhouse": clickhouse_port}
        self._ports: dict[str, int] = {}
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start what is wanted, side by side, until it answers; raises ChildFailed or MissingExtra."""
        supervisor = self._supervisor = Supervisor(self._data_dir)
        makers: dict[str, Callable[[int], Child]] = {
            "kafka": broker_child,
            "clickhouse": lambda port: clickhouse_child(port, supervisor.data_dir / "clickhouse"),
        }
        wanted = {name: make for name, make in makers.items() if self._wanted[name]}
        try:
            for name, make in wanted.items():
                self._ports[name] = self._port(name)
                supervisor.spawn(make(self._ports[name]))
            for name, make in wanted.items():
                self._wait(supervisor, name, make)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything started through this stack. Idempotent."""
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    @property
    def supervisor(self) -> Supervisor:
        """Where further children belong; raises RuntimeError before ``start``."""
        if self._supervisor is None:
            raise RuntimeError("the stack is not started: use it in a with statement")
        return self._supervisor

    @property
    def data_dir(self) -> Path:
        """Logs and ClickHouse data."""
        return self.supervisor.data_dir

    @property
    def kafka(self) -> str:
        """Bootstrap address, host:port."""
        return f"{LOOPBACK}:{self._ports['kafka']}"

    @property
    def clickhouse(self) -> str:
        """Base URL of the ClickHouse HTTP interface."""
        return f"http://{LOOPBACK}:{self._ports['clickhouse']}"

    @property
    def addresses(self) -> dict[str, str]:
        """Service name to address, of those that run."""
        return {name: getattr(self, name) for name in self._ports}

    def _port(self, name: str) -> int:
        fixed = self._fixed[name]
        if fixed and not port_is_free(fixed):
            raise ChildFailed(
                f"port {fixed} on {LOOPBACK} is in use: choose another for {name}, or 0 for a free one"
            )
        return fixed or free_port()

    def _wait(self, supervisor: Supervisor, name: str, make: Callable[[int], Child]) -> None:
        """Wait for one service; a chosen port that somebody took in between is chosen anew."""
        for attempt in range(1, _TRIES + 1):
            try:
                supervisor.wait_ready(name)
            except ChildFailed as error:
                taken = "in use" in str(error)
                if self._fixed[name] or not taken or attempt == _TRIES:
                    raise
                self._ports[name] = free_port()
                supervisor.spawn(make(self._ports[name]))
            else:
                return
