"""No insert the engine refused is ever reported as done, and nobody's rows are lost in a crowd."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from itertools import count
from typing import cast
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import clickhouse_connect
import pytest
from aiohttp.test_utils import TestClient, TestServer
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from embedded.ch_engine import Answer, Engine, Statement
from embedded.ch_front import Front
from embedded.stack import Stack

_numbers = count()


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    """A table of two columns whose constraint allows ids below 100."""
    name = f"picky_{next(_numbers)}"
    client.command(
        f"CREATE TABLE {name} (id UInt64, s String, CONSTRAINT small CHECK id < 100)"
        " ENGINE = ReplacingMergeTree ORDER BY id"
    )
    yield name
    client.command(f"DROP TABLE {name}")


def _refusal(client: Client, table: str, body: bytes, fmt: str, **more: object) -> DatabaseError:
    columns = cast("list[str] | None", more.pop("columns", None))
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert(table, columns, body, fmt=fmt, **more)  # type: ignore[arg-type]
    return caught.value


def _count(client: Client, table: str) -> int:
    return cast(int, client.command("SELECT count() FROM {table:Identifier}", parameters={"table": table}))


def _post(stack: Stack, body: bytes, query: str = "") -> HTTPResponse:
    url = f"{stack.clickhouse}/?query={quote(query)}" if query else stack.clickhouse
    return cast(HTTPResponse, urlopen(Request(url, data=body)))  # noqa: S310 - http on loopback


@pytest.mark.slow
def test_a_violated_constraint_is_an_error(client: Client, table: str) -> None:
    """Rows a CHECK forbids are refused with the server's code and status, and none of them is kept."""
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT") as caught:
        client.insert(table, [[1, "a"], [1000, "b"]], column_names=["id", "s"])
    assert caught.value.code == 469
    assert _count(client, table) == 0


@pytest.mark.slow
def test_a_violation_after_many_good_blocks_is_an_error(client: Client) -> None:
    """The last of a million rows decides as the first does."""
    client.command("CREATE TABLE last_row (id UInt64, CONSTRAINT most CHECK id < 1000000) ENGINE = Null")
    body = b"".join(b"%d\n" % number for number in range(1_000_001))
    assert _refusal(client, "last_row", body, "TSV").code == 469


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "fmt", "code"),
    [
        (b'{"id":1,"s":"a"}\n{"id":"x","s":"b"}\n', "JSONEachRow", 27),
        (b'{"id":1,"s":"a"}\n{"id":2,"s', "JSONEachRow", 26),
        (b"1\ta\n2\n", "TSV", 27),
        (b"1\n", "CSV", 27),
        (b"1,a,b\n", "CSV", 117),
        (b"garbage", "Native", 33),
        (b"garbage", "Parquet", 117),
        (b"1\ta\n", "NoSuchFormat", 73),
        (b'{"id":1000,"s":"a"}\n', "JSONEachRow", 469),
    ],
)
def test_rows_that_cannot_be_read_are_an_error(
    client: Client, table: str, body: bytes, fmt: str, code: int
) -> None:
    """Wrong values, too few and too many columns, cut and foreign bytes: all refused, nothing kept."""
    assert _refusal(client, table, body, fmt).code == code
    assert _count(client, table) == 0


@pytest.mark.slow
def test_an_unknown_column_is_an_error(client: Client, table: str) -> None:
    """A column the table lacks is refused where it is named, and in the rows when they may not be skipped."""
    row = b'{"id":1,"zz":"a"}\n'
    assert _refusal(client, table, row, "JSONEachRow", columns=["id", "zz"]).code == 16
    strict = {"input_format_skip_unknown_fields": 0}
    assert _refusal(client, table, row, "JSONEachRow", settings=strict).code == 117


@pytest.mark.slow
def test_a_table_that_does_not_exist_is_an_error(client: Client) -> None:
    """So is a database that does not."""
    assert _refusal(client, "no_such_table", b"1\n", "TSV").code == 60
    assert _refusal(client, "no_such_database.t", b"1\n", "TSV").code == 81


@pytest.mark.slow
def test_a_failing_materialised_view_fails_the_insert(client: Client) -> None:
    """What happens behind the table is part of the insert: the writer hears of it."""
    client.command("CREATE TABLE seen (id UInt64) ENGINE = MergeTree ORDER BY id")
    client.command("CREATE TABLE seen_even (id UInt64) ENGINE = MergeTree ORDER BY id")
    client.command(
        "CREATE MATERIALIZED VIEW seen_mv TO seen_even AS SELECT id + throwIf(id % 2 = 1) AS id FROM seen"
    )
    with pytest.raises(DatabaseError, match="pushing to view") as caught:
        client.insert("seen", [[2], [3]], column_names=["id"])
    assert caught.value.code == 395
    assert client.command("SELECT count() FROM seen_even") == 0


@pytest.mark.slow
def test_a_table_that_takes_no_more_is_an_error(client: Client) -> None:
    """A limit of the table itself (partitions, parts) refuses the insert."""
    client.command("CREATE TABLE parts (id UInt64) ENGINE = ReplacingMergeTree ORDER BY id PARTITION BY id")
    with pytest.raises(DatabaseError, match="TOO_MANY_PARTS") as caught:
        client.insert("parts", [[number] for number in range(200)], column_names=["id"])
    assert caught.value.code == 252
    assert client.command("SELECT count() FROM parts") == 0


@pytest.mark.slow
def test_a_refusal_is_heard_also_by_who_does_not_wait(client: Client, table: str) -> None:
    """``wait_for_async_insert=0`` hides a refusal on a server; here nothing is hidden."""
    settings = {"async_insert": 1, "wait_for_async_insert": 0}
    assert _refusal(client, table, b"1000\ta\n", "TSV", settings=settings).code == 469


@pytest.mark.slow
def test_rows_for_input_are_refused(client: Client, table: str) -> None:
    """The engine would take none of them and call it success."""
    with pytest.raises(DatabaseError, match="input") as caught:
        client.command(
            "INSERT INTO {table:Identifier} SELECT * FROM input('id UInt64, s String') FORMAT TSV\n1\ta\n",
            parameters={"table": table},
        )
    assert caught.value.code == 48


@pytest.mark.slow
def test_the_refusal_has_status_code_and_no_path(stack: Stack, table: str) -> None:
    """As the server answers: 4xx or 5xx, the code in a header, a text that names no file of ours."""
    with pytest.raises(HTTPError) as caught:
        _post(stack, b'{"id":"x"}\n', f"INSERT INTO {table} FORMAT JSONEachRow")
    text = caught.value.read().decode()
    assert (caught.value.code, caught.value.headers["X-ClickHouse-Exception-Code"]) == (400, "27")
    assert text.startswith("Code: 27. DB::Exception: Cannot parse input")
    assert "/proc" not in text


@pytest.mark.slow
def test_a_statement_that_is_not_utf8_is_refused_in_form(stack: Stack) -> None:
    """The engine's refusal quotes it; the answer is an error with a code all the same."""
    with pytest.raises(HTTPError) as caught:
        _post(stack, b"INSERT INTO t\xff FORMAT TSV\n1\n")
    assert caught.value.headers["X-ClickHouse-Exception-Code"] == "62"


@pytest.mark.slow
def test_settings_columns_and_defaults_of_an_insert_hold(client: Client) -> None:
    """A SETTINGS clause, a column list and DEFAULT expressions do what they do on a server."""
    client.command(
        "CREATE TABLE filled (id UInt64, s String DEFAULT concat('d', toString(id))) ENGINE = Memory"
    )
    head = "INSERT INTO filled (id) SETTINGS input_format_allow_errors_num=1 FORMAT TSV\n"
    client.command(head + "1\nx\n3\n")
    client.raw_insert("filled", None, b'{"id":4}\n{"id":5,"s":"e"}\n', fmt="JSONEachRow")
    rows = client.query("SELECT * FROM filled ORDER BY id").result_rows
    assert rows == [(1, "d1"), (3, "d3"), (4, "d4"), (5, "e")]


@pytest.mark.slow
def test_a_session_goes_on_after_a_refused_insert(stack: Stack, table: str) -> None:
    """The next statement of the session works, with its temporary tables still there."""
    port = urlsplit(stack.clickhouse).port or 0
    with clickhouse_connect.get_client(host="127.0.0.1", port=port, session_id="refused") as session:
        session.command("CREATE TEMPORARY TABLE kept (a UInt8)")
        assert _refusal(session, table, b"1000\ta\n", "TSV").code == 469
        session.insert(table, [[1, "a"]], column_names=["id", "s"])
        assert _count(session, table) == 1
        assert _count(session, "kept") == 0


@pytest.mark.slow
def test_half_a_request_inserts_nothing(stack: Stack, client: Client, table: str) -> None:
    """A writer that dies while sending has inserted nothing, also not the rows that came."""
    address = urlsplit(stack.clickhouse)
    with socket.create_connection(("127.0.0.1", address.port or 0)) as dying:
        dying.sendall(
            f"POST /?query=INSERT+INTO+{table}+FORMAT+TSV HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Content-Length: 1000\r\n\r\n1\ta\n2\tb\n".encode()
        )
        # Another request's round trip: the front has seen the first rows by then.
        assert client.command("SELECT 1") == 1
    assert client.command("SELECT 2") == 2
    assert _count(client, table) == 0


@pytest.mark.slow
def test_a_crowd_of_writers_is_told_the_truth(stack: Stack, client: Client) -> None:
    """Of 48 writers at once, each hears of its own refusals only, and all accepted rows are there."""
    client.command(
        "CREATE TABLE crowd (id UInt64, s String, CONSTRAINT good CHECK s != 'bad')"
        " ENGINE = MergeTree ORDER BY id"
    )
    port = urlsplit(stack.clickhouse).port or 0

    def write(writer: int) -> list[int | None]:
        refusals: list[int | None] = []
        with clickhouse_connect.get_client(host="127.0.0.1", port=port) as mine:
            for turn in range(3):
                text = "bad" if (writer + turn) % 3 == 0 else "x" * 1000
                rows = [[writer * 1000 + turn * 100 + number, text] for number in range(100)]
                try:
                    mine.insert("crowd", rows, column_names=["id", "s"])
                    refusals.append(None)
                except DatabaseError as error:
                    refusals.append(error.code)
        return refusals

    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(write, range(48)))
    assert answers == [
        [469 if (writer + turn) % 3 == 0 else None for turn in range(3)] for writer in range(48)
    ]
    assert client.command("SELECT uniqExact(id) FROM crowd") == 48 * 2 * 100


class _Gate:
    """Stands in for the engine: every statement waits until the gate opens."""

    version = "1.2.3.4"
    timezone = "UTC"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.ran = count()

    def run(self, statement: Statement) -> Answer:
        assert self.open.wait(30)
        next(self.ran)
        return Answer(statement.sql, "TSV")

    def close(self) -> None:
        self.open.set()


async def test_a_full_queue_refuses_and_then_goes_on() -> None:
    """Requests beyond the queue are refused as by the server at once; those within it are all answered."""
    gate = _Gate()
    front = Front(cast(Engine, gate), max_waiting=5)
    bodies = [b"%d " % number + b"x" * 300_000 for number in range(40)]
    async with TestClient(TestServer(front.app())) as http:

        async def post(body: bytes) -> tuple[int, str, bytes]:
            async with http.post("/", data=body) as answer:
                code = answer.headers.get("X-ClickHouse-Exception-Code", "")
                return answer.status, code, await answer.read()

        pending = {asyncio.create_task(post(body)) for body in bodies}
        refused: list[tuple[int, str, bytes]] = []
        while len(refused) < 40 - 8 - 5:  # all but the places and the queue
            done, pending = await asyncio.wait(pending, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            assert done
            refused += [task.result() for task in done]
        gate.open.set()
        answered = await asyncio.gather(*pending)
    assert {(status, code) for status, code, _ in refused} == {(500, "202")}
    served = [body for status, _, body in answered if status == 200]
    assert len(served) == 13
    assert set(served) <= set(bodies)


async def test_a_silent_sender_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts a body and sends nothing more is refused, so that the others get on."""
    monkeypatch.setattr("embedded.ch_front._BODY_TIMEOUT_S", 0.05)
    gate = _Gate()
    gate.open.set()
    async with TestServer(Front(cast(Engine, gate)).app()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nhalf")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        writer.close()
    assert head.startswith(b"HTTP/1.1 503")
    assert b"X-ClickHouse-Exception-Code: 209" in head
    assert next(gate.ran) == 0


@pytest.mark.slow
def test_what_was_written_is_what_the_summary_says(stack: Stack, client: Client, table: str) -> None:
    """The summary of an accepted insert counts its rows, and nothing else is called written."""
    with _post(stack, b"1\ta\n2\tb\n", f"INSERT INTO {table} FORMAT TSV") as answer:
        summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert summary["written_rows"] == "2"
    assert _count(client, table) == 2
