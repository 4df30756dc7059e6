"""Roles and TLS of ClickHouse: the real engine decides what the writer and the reader may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from cli.errors import CliError
from cli.main import main
from cli.store import reader_of
from config.settings import ClickHouse
from embedded.clickhouse import clickhouse_child
from embedded.probe import LOOPBACK, free_port
from embedded.supervisor import Child, Supervisor
from sinks import access
from sinks.clickhouse import ClickHouseSink, connect
from sinks.protocol import SinkMisconfigured
from sinks.schema import MIGRATIONS, VIEWS, SchemaError
from tests.certificates import Authority
from tests.sinks.contract import deliver
from tests.sinks.make import incident

DATABASE = "guarded"
PASSWORDS = {"worker": "w r1te", "console": "r3ad"}
GRANT = re.compile(r"^(GRANT .+) TO (\w+)$", re.DOTALL)


def grants_of(role: str) -> list[str]:
    """The GRANT statements of a role as `roles.sql` has them, without TO."""
    found = [GRANT.match(statement) for statement in access.roles(DATABASE)]
    return [match[1] for match in found if match and match[2] == f"{DATABASE}_{role}"]


class Guarded:
    """An engine with users behind TLS, and settings to reach it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "tls")
        self.stranger = Authority(folder / "tls", "stranger")
        self.own = self.authority.issue("console.test", common_name="console")
        server = self.authority.issue(LOOPBACK)
        users = {
            "roles": {f"{DATABASE}_{kind}": grants_of(kind) for kind in ("writer", "reader")},
            "users": {
                "worker": {"role": f"{DATABASE}_writer", "password": PASSWORDS["worker"]},
                "console": {
                    "role": f"{DATABASE}_reader",
                    "password": PASSWORDS["console"],
                    "common_name": "console",
                },
            },
        }
        (folder / "users.json").write_bytes(msgspec.json.encode(users))
        self.port = free_port()
        plain = clickhouse_child(self.port, folder / "data")
        self.child = Child(
            name=plain.name,
            argv=[
                *plain.argv,
                *("--users", str(folder / "users.json"), "--tls-ca", str(self.authority.ca)),
                *("--tls-cert", str(server.cert), "--tls-key", str(server.key)),
            ],
            ready=lambda: speaks(self.settings("worker")),
            env=plain.env,
            ready_timeout_s=60.0,
        )

    def settings(self, user: str, **given: object) -> ClickHouse:
        base: dict[str, object] = {
            "url": f"https://{LOOPBACK}:{self.port}",
            "database": DATABASE,
            "user": user,
            "password": PASSWORDS.get(user, ""),
            "ca_file": str(self.authority.ca),
        }
        return ClickHouse(**(base | given))  # type: ignore[arg-type]


def speaks(settings: ClickHouse) -> bool:
    try:
        connect(settings, database="").close()
    except Exception:  # noqa: BLE001 - it is asked until it does
        return False
    return True


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Tables made by the writer, through the sink."""
    folder = tmp_path_factory.mktemp("guarded")
    made = Guarded(folder)
    with Supervisor(folder / "run") as supervisor:
        supervisor.start(made.child)
        yield made


@pytest.fixture
async def filled(guarded: Guarded) -> Guarded:
    """One incident is there."""
    sink = ClickHouseSink(guarded.settings("worker"))
    await sink.start()
    try:
        assert await sink.write(deliver(incident())) == []
    finally:
        await sink.stop()
    return guarded


def code_of(client: Client, sql: str) -> int | None:
    """The server's number of what it says to a statement; 0: it did it."""
    try:
        client.command(sql)
    except DatabaseError as error:
        return error.code
    return 0


async def test_the_writers_grants_are_enough_for_every_migration_view_and_row(filled: Guarded) -> None:
    """An empty server to the newest schema, and rows; nothing beyond `roles.sql` is needed."""
    client = connect(filled.settings("worker"))
    try:
        assert client.command("SELECT max(version) FROM schema_version") == MIGRATIONS[-1].version
        assert client.command("SELECT count() FROM incidents") == 1
    finally:
        client.close()


FORBIDDEN_TO_WRITER = (
    "DROP TABLE incident_versions",
    "TRUNCATE TABLE incident_versions",
    "DROP DATABASE guarded",
    "ALTER TABLE incident_versions DELETE WHERE 1",
    "ALTER TABLE incident_versions UPDATE title = 'x' WHERE 1",
    "ALTER TABLE incident_versions DROP COLUMN title",
    "DELETE FROM incident_versions WHERE 1",
    "CREATE DATABASE another",
    "CREATE TABLE default.t (x Int8) ENGINE = Memory",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'x String')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "CREATE USER mallory",
    "GRANT SELECT ON *.* TO guarded_writer",
    "SYSTEM SHUTDOWN",
)


@pytest.mark.parametrize("sql", FORBIDDEN_TO_WRITER)
async def test_the_writer_removes_nothing_and_stays_in_its_database(filled: Guarded, sql: str) -> None:
    """What a stolen password of a worker is not good for."""
    client = connect(filled.settings("worker"))
    try:
        assert code_of(client, sql) == 497
    finally:
        client.close()


async def test_the_reader_may_ask_every_view(filled: Guarded) -> None:
    """Also through the views that read other tables."""
    client = connect(filled.settings("console"))
    try:
        names = [row[0] for row in client.query("SHOW TABLES").result_rows]
        assert len(names) > len(VIEWS) / 2
        for name in names:
            if not name.endswith("_mv"):
                client.query(f"SELECT * FROM {name} LIMIT 1")  # noqa: S608 - a name from the server
    finally:
        client.close()
    with reader_of(filled.settings("console")) as reader:
        assert [one.id for one in reader.incidents()] == [incident().id]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO schema_version (version, name) VALUES (99, 'x')",
        "CREATE TABLE t (x Int8) ENGINE = Memory",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE incident_versions MODIFY COLUMN title String",
        "DROP VIEW incidents",
        *FORBIDDEN_TO_WRITER,
    ],
)
async def test_the_reader_changes_nothing(filled: Guarded, sql: str) -> None:
    """And sees no other place."""
    client = connect(filled.settings("console"))
    try:
        assert code_of(client, sql) == 497
    finally:
        client.close()


async def test_a_worker_that_logs_in_as_the_reader_says_which_grant_it_lacks(filled: Guarded) -> None:
    """At start, in one line."""
    sink = ClickHouseSink(filled.settings("console"))
    try:
        with pytest.raises(
            SinkMisconfigured, match=r"refuses user 'console' what needs the grant .* ON guarded"
        ):
            await sink.start()
    finally:
        await sink.stop()


async def test_who_is_not_let_in_is_told_what_to_check(filled: Guarded) -> None:
    """Wrong password, unknown authority, http in place of https: a worker's start and a command."""
    elsewhere = f"https://localhost:{filled.port}"
    cases = [
        (filled.settings("worker", password="no"), ["refuses user 'worker'", "TOCSIN_CLICKHOUSE_PASSWORD"]),  # noqa: S106
        (filled.settings("mallory"), ["refuses user 'mallory'"]),
        (filled.settings("worker", ca_file=str(filled.stranger.ca)), ["not trusted", "clickhouse.ca_file"]),
        (filled.settings("worker", ca_file=""), ["not trusted", "the system's authorities"]),
        (
            filled.settings("worker", url=elsewhere),
            ["another host", "clickhouse.url"],
        ),
    ]
    for settings, parts in cases:
        sink = ClickHouseSink(settings)
        try:
            with pytest.raises(SinkMisconfigured) as refused:
                await sink.start()
        finally:
            await sink.stop()
        with pytest.raises(CliError) as told, reader_of(settings):
            pass
        for part in parts:
            assert part in str(refused.value)
            assert part in f"{told.value} {told.value.next_step}"


async def test_a_certificate_stands_for_the_password(filled: Guarded) -> None:
    """Ours for `console`; nobody else's, and not for another user."""
    own = {"cert_file": str(filled.own.cert), "key_file": str(filled.own.key), "password": ""}
    with reader_of(filled.settings("console", **own)) as reader:
        assert len(reader.incidents()) == 1
    with pytest.raises(CliError, match="refuses user 'worker'"), reader_of(filled.settings("worker", **own)):
        pass
    mallory = filled.stranger.issue("console.test", common_name="mallory")
    theirs = {"cert_file": str(mallory.cert), "key_file": str(mallory.key), "password": ""}
    with pytest.raises(CliError), reader_of(filled.settings("console", **theirs)):
        pass


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
async def test_without_verify_anybody_is_believed(filled: Guarded) -> None:
    """It is off only when it is asked for."""
    with reader_of(filled.settings("console", ca_file="", verify=False)) as reader:
        assert len(reader.incidents()) == 1


def test_the_engine_understands_every_statement_that_is_printed(
    server: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The embedded engine keeps no roles made by SQL, but it parses all of it; no password is in it."""
    (tmp_path / "pw").write_text("s3cret-of-reader")
    argv = ["clickhouse-users", "--clickhouse", server, "--writer", "w", "--reader", "r"]
    with pytest.raises(SystemExit, match="0"):
        main([*argv, "--reader-password-file", str(tmp_path / "pw")])
    printed = capsys.readouterr().out
    statements = [one.strip() for one in printed.split(";\n") if one.strip()]
    assert any(
        one.startswith("CREATE USER IF NOT EXISTS r IDENTIFIED WITH sha256_hash") for one in statements
    )
    assert "GRANT tocsin_writer TO w" in statements
    assert "s3cret" not in printed
    client = connect(ClickHouse(url=server), database="default")
    try:
        for one in statements:
            assert client.command("SELECT formatQuery({sql:String})", parameters={"sql": one})
    finally:
        client.close()


def test_who_may_make_no_roles_is_told_who_must(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The embedded engine gives its user no access management."""
    with pytest.raises(SystemExit, match="2"):
        main(["clickhouse-users", "--clickhouse", server, "--apply"])
    said = capsys.readouterr().err
    assert "may not make roles and users" in said
    assert "administrator" in said


@pytest.mark.parametrize("name", ["a-b", "x; DROP", "", "1a", "`"])
def test_names_that_would_need_quoting_are_refused(name: str) -> None:
    """They become part of statements."""
    with pytest.raises(SchemaError):
        access.roles(name)
    with pytest.raises(SchemaError):
        access.accounts("tocsin", [access.Account(name, "reader", "pw")])
