"""The real ClickHouse engine behind its HTTP protocol, one for all tests here; a database for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.schema import create_database, migrate
from tests.engine import empty, migrated

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with Stack(kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture
def settings(server: str) -> ClickHouse:
    """A database nobody has used."""
    return ClickHouse(url=server, database=f"test_{next(_numbers)}")


@pytest.fixture
def bare(settings: ClickHouse) -> Iterator[Client]:
    """A client whose database exists and is empty."""
    first = connect(settings, database="default")
    create_database(first, settings.database)
    first.close()
    client = connect(settings)
    yield client
    client.command(f"DROP DATABASE {settings.database}")
    client.close()


@pytest.fixture
def client(bare: Client) -> Client:
    """A client whose database has all tables and views."""
    migrate(bare)
    return bare


@pytest.fixture(scope="session")
def shared(server: str) -> Iterator[Client]:
    """One database with all tables and views for tests that only ask; use `emptied`."""
    client = migrated(ClickHouse(url=server, database="shared"))
    yield client
    client.close()


@pytest.fixture
def emptied(shared: Client) -> Client:
    """The shared database without rows: quicker than making one."""
    empty(shared, "shared")
    return shared
