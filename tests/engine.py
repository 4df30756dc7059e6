"""Databases of tests on the real engine: made once with all tables, emptied between tests."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from sinks.clickhouse import connect
from sinks.schema import create_database, migrate

_WITH_ROWS = """
SELECT name FROM system.tables
WHERE database = {database:String} AND engine LIKE '%MergeTree'
    AND name != 'schema_version' AND total_rows > 0
"""


def migrated(settings: ClickHouse) -> Client:
    """A client of that database with all tables and views. It takes seconds."""
    first = connect(settings, database="default")
    create_database(first, settings.database)
    first.close()
    client = connect(settings)
    migrate(client)
    return client


def empty(client: Client, database: str) -> None:
    """Without rows, as if just made; much quicker than making one."""
    for (name,) in client.query(_WITH_ROWS, {"database": database}).result_rows:
        client.command(f"TRUNCATE TABLE {database}.{name}")
