"""Tables and views are created once, upgraded in order, and never by an older program."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from config.settings import ClickHouse
from sinks import schema
from sinks.clickhouse import connect
from sinks.rows import TABLES
from tests.sinks.make import incident
from tests.sinks.store import store


def test_the_database_and_its_tables_are_made_and_made_again_without_harm(client: Client) -> None:
    """Every worker start runs the migrations; data stay."""
    store(client, incident())
    assert schema.migrate(client) == schema.MIGRATIONS[-1].version
    assert client.query("SELECT id FROM incidents").result_rows == [("00000000000000aa",)]


def test_every_column_the_sink_fills_exists(client: Client) -> None:
    """rows.py and schema.sql agree."""
    for table in TABLES:
        present = [name for name, *_ in client.query(f"DESCRIBE TABLE {table.name}").result_rows]
        assert [name for name in present if name != "written_at"] == list(table.columns)


def test_several_workers_may_migrate_at_once(bare: Client, unused: ClickHouse) -> None:
    """Workers start together; none may fail because another was quicker."""

    def one(_: int) -> int:
        own = connect(unused)
        try:
            return schema.migrate(own)
        finally:
            own.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(one, range(4))) == {schema.MIGRATIONS[-1].version}
    versions = bare.query("SELECT version FROM schema_version FINAL ORDER BY version").result_rows
    assert versions == [(migration.version,) for migration in schema.MIGRATIONS]


class Outpaced:
    """A client whose view is taken from under it by another worker, some times."""

    database = None

    def __init__(self, times: int, code: int = schema.TABLE_IS_DROPPED) -> None:
        self.left = times
        self.code = code
        self.done: list[str] = []

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> Any:
        if cmd.startswith("CREATE OR REPLACE VIEW") and self.left:
            self.left -= 1
            raise DatabaseError("another was quicker", code=self.code)
        self.done.append(cmd)
        return 0


def test_a_view_that_another_worker_replaces_meanwhile_is_replaced_again() -> None:
    """The server answers one of two that it was too late (218): no reason for a worker not to start."""
    client = Outpaced(times=3)
    assert schema.migrate(client) == schema.MIGRATIONS[-1].version
    assert [cmd for cmd in client.done if cmd in schema.VIEWS] == list(schema.VIEWS)


def test_any_other_error_is_told_at_once() -> None:
    """A missing right is not mended by asking again."""
    client = Outpaced(times=1, code=497)
    with pytest.raises(DatabaseError):
        schema.migrate(client)
    assert not client.left
    assert not [cmd for cmd in client.done if cmd in schema.VIEWS]


def test_a_newer_database_is_left_alone(bare: Client) -> None:
    """An old worker must not put old views over new tables."""
    bare.command(schema.VERSION_TABLE)
    bare.command("INSERT INTO schema_version (version, name) VALUES (999, 'from the future')")
    with pytest.raises(schema.SchemaError, match="upgrade the worker"):
        schema.migrate(bare)
    assert bare.query("SHOW TABLES").result_rows == [("schema_version",)]


def test_a_database_name_that_is_no_identifier_is_refused(bare: Client) -> None:
    """The name goes into SQL text, so it is checked."""
    with pytest.raises(schema.SchemaError, match=r"clickhouse\.database"):
        schema.create_database(bare, "x; DROP DATABASE default")


def test_migrations_must_be_numbered_without_gaps() -> None:
    """Two branches adding the same number are found when the program starts."""
    with pytest.raises(ValueError, match="numbered"):
        schema.migrations_of("-- migration 1: a\nSELECT 1;\n-- migration 3: b\nSELECT 2;\n")


def test_statements_are_cut_at_line_ends_and_comments_dropped() -> None:
    """A semicolon inside a string or a comment does not cut."""
    assert schema.statements_of("-- a; b\nSELECT ';' AS x;\n\nSELECT\n  2;\n") == (
        "SELECT ';' AS x",
        "SELECT\n  2",
    )
