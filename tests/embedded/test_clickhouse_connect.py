"""The contract with clickhouse-connect: what the worker and the console do, they can do here."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from embedded.stack import Stack

pytestmark = pytest.mark.slow


def _port(stack: Stack) -> int:
    return urlsplit(stack.clickhouse).port or 0


def test_ping_and_version(client: Client) -> None:
    """The client connects, pings, and learns version and time zone as from a server."""
    assert client.ping()
    assert client.server_version.count(".") == 3
    assert str(client.server_tz) in {"UTC", "Etc/UTC"}


def test_command_returns_a_value(client: Client) -> None:
    """A command with one value returns that value."""
    assert client.command("SELECT 40 + 2") == 42


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "tab\tand\nline", "äöü✓", "", "{x:String}"])
def test_string_parameters_arrive_unchanged(client: Client, text: str) -> None:
    """A bound parameter is a value, whatever characters it has."""
    assert client.query("SELECT {x:String}", parameters={"x": text}).result_rows == [(text,)]


def test_parameters_of_other_types(client: Client) -> None:
    """Numbers, arrays, times and identifiers can be bound."""
    when = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    rows = client.query(
        "SELECT {n:UInt64}, {a:Array(String)}, {t:DateTime64(3)}, {col:Identifier} FROM numbers(1)",
        parameters={"n": 2**63, "a": ["x", "y'z"], "t": when, "col": "number"},
    ).result_rows
    assert rows == [(2**63, ["x", "y'z"], when.replace(tzinfo=None), 0)]


def test_native_insert_reports_written_rows(client: Client) -> None:
    """An insert of many columns and rows lands whole, and its summary says how much."""
    client.command(
        "CREATE TABLE wide (id UInt64, s String, tags Map(String, String), v Nullable(Float64))"
        " ENGINE = MergeTree ORDER BY id"
    )
    rows = [
        [number, f"s{number}", {"k": str(number)}, None if number % 2 else number / 3]
        for number in range(5000)
    ]
    summary = client.insert("wide", rows, column_names=["id", "s", "tags", "v"])
    assert summary.written_rows == 5000
    assert [list(row) for row in client.query("SELECT * FROM wide ORDER BY id").result_rows] == rows


def test_an_insert_larger_than_the_engines_query_buffer(client: Client) -> None:
    """Megabytes of Native data arrive whole (data behind a plain statement is cut at 256 KiB)."""
    client.command("CREATE TABLE big (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    client.insert("big", [[number, "x" * 100] for number in range(60_000)], column_names=["id", "s"])
    assert client.query("SELECT count(), sum(length(s)) FROM big").result_rows == [(60_000, 6_000_000)]


def test_raw_insert_of_json_lines(client: Client) -> None:
    """``raw_insert`` of JSONEachRow, also compressed, is how rows go in without a codec."""
    client.command("CREATE TABLE lines (id UInt64, s String) ENGINE = MergeTree ORDER BY id")
    body = b"".join(b'{"id":%d,"s":"n"}\n' % number for number in range(100))
    assert client.raw_insert("lines", ["id", "s"], body, fmt="JSONEachRow").written_rows == 100
    client.raw_insert("lines", ["id", "s"], gzip.compress(body), fmt="JSONEachRow", compression="gzip")
    assert client.command("SELECT count() FROM lines") == 200


def test_final_keeps_the_highest_version(client: Client) -> None:
    """ReplacingMergeTree and FINAL: the latest version of an id, however often and in what order it came."""
    client.command(
        "CREATE TABLE versions (id String, version UInt64, state String)"
        " ENGINE = ReplacingMergeTree(version) ORDER BY id"
    )
    for version, state in [(2, "acknowledged"), (1, "open"), (2, "acknowledged"), (3, "resolved")]:
        client.insert("versions", [["i1", version, state]], column_names=["id", "version", "state"])
    assert client.query("SELECT * FROM versions FINAL").result_rows == [("i1", 3, "resolved")]


def test_views_and_materialised_views(client: Client) -> None:
    """Views read, and materialised views follow inserts."""
    client.command("CREATE TABLE base (service String, n UInt64) ENGINE = MergeTree ORDER BY service")
    client.command(
        "CREATE TABLE totals (service String, n UInt64) ENGINE = SummingMergeTree ORDER BY service"
    )
    client.command("CREATE MATERIALIZED VIEW base_totals TO totals AS SELECT service, n FROM base")
    client.command(
        "CREATE VIEW busiest AS SELECT service FROM base GROUP BY service ORDER BY sum(n) DESC LIMIT 1"
    )
    client.insert("base", [["cart", 1], ["pay", 5], ["cart", 2]], column_names=["service", "n"])
    assert client.command("SELECT service FROM busiest") == "pay"
    assert client.query(
        "SELECT service, sum(n) FROM totals GROUP BY service ORDER BY service"
    ).result_rows == [("cart", 3), ("pay", 5)]


def test_arrow_and_streams(client: Client) -> None:
    """Arrow answers and streamed blocks carry all rows."""
    assert client.query_arrow("SELECT number FROM numbers(1000)").num_rows == 1000
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nothing_like_this", 47),
        ("SELECT * FROM no_such_table", 60),
        ("SELEC 1", 62),
        ("SELECT 1; SELECT 2", 62),
    ],
)
def test_errors_carry_the_servers_code(client: Client, sql: str, code: int) -> None:
    """A refused statement is a DatabaseError with ClickHouse's own code and text."""
    with pytest.raises(DatabaseError, match=f"Code: {code}") as caught:
        client.command(sql)
    assert caught.value.code == code


def test_a_bad_row_refuses_the_insert(client: Client) -> None:
    """Rows that do not parse raise, nothing of the block is kept, and the service goes on."""
    client.command("CREATE TABLE strict (id UInt64) ENGINE = MergeTree ORDER BY id")
    with pytest.raises(DatabaseError, match="CANNOT_PARSE"):
        client.raw_insert("strict", ["id"], b'{"id":1}\n{"id":"x"}\n', fmt="JSONEachRow")
    assert client.command("SELECT count() FROM strict") == 0


def test_settings_apply_to_one_request(client: Client) -> None:
    """A setting given with a query is in force for it, and gone for the next."""
    ask = "SELECT getSetting('max_block_size')"
    usual = client.command(ask)
    assert client.command(ask, settings={"max_block_size": 77}) == 77
    assert client.command(ask) == usual


def test_an_unknown_setting_is_refused(client: Client, stack: Stack) -> None:
    """A setting ClickHouse does not know is an error, not silence."""
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{stack.clickhouse}/?query=SELECT+1&no_such_setting=1")  # noqa: S310 - http on loopback
    assert caught.value.headers["X-ClickHouse-Exception-Code"] == "115"


def test_the_database_of_the_client_is_used(stack: Stack, client: Client) -> None:
    """A client of a database sees its tables by their short names; an unknown one is refused."""
    client.command("CREATE DATABASE other")
    client.command("CREATE TABLE other.only_here (a UInt8) ENGINE = Memory")
    with clickhouse_connect.get_client(host="127.0.0.1", port=_port(stack), database="other") as there:
        assert there.command("EXISTS only_here") == 1
    assert client.command("EXISTS only_here") == 0
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(host="127.0.0.1", port=_port(stack), database="nowhere")
    assert caught.value.code == 81


def test_a_session_keeps_its_temporary_tables(stack: Stack, client: Client) -> None:
    """Temporary tables live as long as the session, and only in it."""
    with clickhouse_connect.get_client(host="127.0.0.1", port=_port(stack), session_id="one") as session:
        session.command("CREATE TEMPORARY TABLE scratch (a UInt8)")
        session.command("INSERT INTO scratch VALUES (7)")
        assert session.command("SELECT a FROM scratch") == 7
        session.command("SELECT 1", settings={"max_block_size": 77})
        assert session.command("SELECT getSetting('max_block_size')") != 77
    with pytest.raises(DatabaseError, match="scratch"):
        client.command("SELECT a FROM scratch")


def test_many_clients_at_once(stack: Stack, client: Client) -> None:
    """Writers and readers side by side lose nothing and get no other's answer."""
    client.command("CREATE TABLE shared (writer UInt8, n UInt64) ENGINE = MergeTree ORDER BY (writer, n)")

    def work(writer: int) -> None:
        mine = clickhouse_connect.get_client(host="127.0.0.1", port=_port(stack))
        for number in range(20):
            mine.insert("shared", [[writer, number]], column_names=["writer", "n"])
            assert mine.command(f"SELECT {writer} * 1000 + {number}") == writer * 1000 + number
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    rows = client.query(
        "SELECT writer, count(), sum(n) FROM shared GROUP BY writer ORDER BY writer"
    ).result_rows
    assert rows == [(writer, 20, 190) for writer in range(6)]
