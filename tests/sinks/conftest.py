"""The real ClickHouse engine behind its HTTP protocol, one for all tests here, and one database."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.schema import create_database
from tests.engine import empty, migrated

_numbers = count(1)
SHARED = "shared"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with Stack(kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture(scope="session")
def shared(server: str) -> Iterator[Client]:
    """One database with all tables and views; most tests use it emptied, as `client`."""
    client = migrated(ClickHouse(url=server, database=SHARED))
    yield client
    client.close()


@pytest.fixture
def client(shared: Client) -> Client:
    """The shared database without rows: quicker than making one."""
    empty(shared, SHARED)
    return shared


@pytest.fixture
def settings(server: str, client: Client) -> ClickHouse:
    """Of the database `client` asks."""
    return ClickHouse(url=server, database=SHARED)


@pytest.fixture
def unused(server: str) -> ClickHouse:
    """A database nobody has used."""
    return ClickHouse(url=server, database=f"test_{next(_numbers)}")


@pytest.fixture
def bare(unused: ClickHouse) -> Iterator[Client]:
    """A client whose database, `unused`, exists and has no tables; for tests that change or drop them."""
    first = connect(unused, database="default")
    create_database(first, unused.database)
    first.close()
    client = connect(unused)
    yield client
    client.command(f"DROP DATABASE {unused.database}")
    client.close()
