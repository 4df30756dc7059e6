"""The learned topology, as ClickHouse shows it."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from correlator.incident import ServiceRole
from sinks.reader import Reader
from sinks.rows import row_of
from sinks.services import services_seen
from tests.sinks.make import MINUTE, T0, incident, service
from tests.sinks.store import store


@pytest.fixture
def client(client: Client) -> Client:
    """All tables and views, empty."""
    return client


def test_the_newest_record_of_each_service_is_shown(client: Client) -> None:
    """In whatever order they came; a service that is gone is not shown."""
    newest = service(at=T0 + MINUTE)
    quiet = service("quiet", seen_ms=-1, calls=())
    store(client, newest, service(), newest, quiet, service("gone"), service("gone", T0 + MINUTE, gone=True))
    assert services_seen(Reader(client)) == [newest, quiet]


def test_calls_are_rows(client: Client) -> None:
    """To be asked for in SQL."""
    store(client, service())
    (row,) = Reader(client).ask("SELECT caller, callee, per_minute, failed, seen_in FROM calls_seen")
    assert row == {
        "caller": "checkout", "callee": "payment", "per_minute": 12.5, "failed": 0.25,
        "seen_in": ["traces", "metrics"],
    }  # fmt: skip


def test_an_incident_from_before_the_catalogue_is_read_back(client: Client) -> None:
    """Rows that were written without the newer columns."""
    row = row_of(incident())
    new = {"services.owner", "services.tier", "services.runbook", "services.links", "calls"}
    kept = [n for n, name in enumerate(row.table.columns) if name not in new]
    columns = [row.table.columns[n] for n in kept]
    client.insert(row.table.name, [[row.values[n] for n in kept]], column_names=columns)
    found = Reader(client).incident(incident().id)
    assert found is not None
    assert found.services == (ServiceRole("payment", "suspected cause"), ServiceRole("checkout", "affected"))
    assert found.calls == ()
