"""The console in this process over the real ClickHouse engine; Kafka where a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.settings import ClickHouse, Kafka, Settings
from console.access.identity import Identity
from console.app import create_app
from embedded.stack import Stack
from tests.engine import empty, migrated

NOW_MS = 1_790_000_000_000
"""2026-09-21 14:13:20 UTC"""

ADMIN = Identity("ann", "admin")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of the engine."""
    with Stack(kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture(scope="session")
def tables(server: str) -> Iterator[tuple[ClickHouse, Client]]:
    """A database with all tables and views."""
    settings = ClickHouse(url=server, database="console")
    client = migrated(settings)
    yield settings, client
    client.close()


@pytest.fixture
def clickhouse(tables: tuple[ClickHouse, Client]) -> ClickHouse:
    """All tables and views, empty."""
    settings, client = tables
    empty(client, settings.database)
    return settings


@pytest.fixture
def settings(clickhouse: ClickHouse) -> Settings:
    """No broker listens there: what needs one says so."""
    return Settings(clickhouse=clickhouse, kafka=Kafka(bootstrap="127.0.0.1:9"))


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings, lambda: NOW_MS)


@pytest.fixture
def client_for(app: FastAPI) -> Callable[[Identity], TestClient]:
    """A client whose requests come from this identity. Nothing is started: no feed, no bus."""

    def make(identity: Identity) -> TestClient:
        app.state.who = identity
        here = {"sec-fetch-site": "same-origin"}
        return TestClient(app, base_url="http://127.0.0.1:8088", headers=here)

    return make


@pytest.fixture
def client(client_for: Callable[[Identity], TestClient]) -> TestClient:
    """An admin's."""
    return client_for(ADMIN)


def with_domains(identity: Identity, *domains: str) -> Identity:
    return msgspec.structs.replace(identity, domains=domains)
