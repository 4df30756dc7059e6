"""One embedded ClickHouse and one broker for the whole session; tests use tables and topics of their own."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from embedded.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Both services, on free ports and in a temporary directory."""
    with Stack() as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """clickhouse-connect, as the worker's sink uses it."""
    connection = clickhouse_connect.get_client(host="127.0.0.1", port=urlsplit(stack.clickhouse).port or 0)
    yield connection
    connection.close()
