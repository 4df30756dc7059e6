"""A broker for the shell's tests. `tests/kafka` runs the same tests with a `bootstrap` of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedded.broker import broker_child
from embedded.probe import free_port
from embedded.supervisor import Supervisor


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """HOST:PORT of an embedded broker."""
    with Supervisor() as supervisor:
        port = free_port()
        supervisor.start(broker_child(port))
        yield f"127.0.0.1:{port}"
