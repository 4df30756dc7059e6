"""The HTTP face itself, as curl and Grafana meet it: raw requests, headers, refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import cramjam
import pytest

from embedded.ch_protocol import decompress
from embedded.stack import Stack

pytestmark = pytest.mark.slow


def _ask(
    stack: Stack,
    sql: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **params: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request; a GET unless there is a body."""
    if sql:
        params["query"] = sql
    url = stack.clickhouse + "/?" + "&".join(f"{key}={quote(value)}" for key, value in params.items())
    try:
        with urlopen(Request(url, data=body, headers=dict(headers or {}))) as answer:  # noqa: S310
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
def test_health_paths_say_ok(stack: Stack, path: str) -> None:
    """What load balancers and health checks ask answers ``Ok.``."""
    with urlopen(stack.clickhouse + path) as answer:  # noqa: S310 - http on loopback
        assert answer.read() == b"Ok.\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_with_a_statement_as_data(stack: Stack) -> None:
    """``curl URL -d 'SELECT …'`` works, although curl calls its body a form."""
    said = subprocess.run(
        ["curl", "-sS", stack.clickhouse, "-d", "SELECT 1 AS a FORMAT JSONEachRow"],
        capture_output=True,
        check=True,
    )
    assert said.stdout == b'{"a":1}\n'


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_compressed_both_ways(stack: Stack) -> None:
    """A gzipped statement with data, answered compressed."""
    url = stack.clickhouse
    subprocess.run(
        ["curl", "-sSf", url, "-d", "CREATE TABLE curled (a UInt64) ENGINE = MergeTree ORDER BY a"],
        check=True,
    )
    packed = bytes(
        cramjam.gzip.compress(b"INSERT INTO curled FORMAT TSV\n" + b"".join(b"%d\n" % n for n in range(999)))
    )
    subprocess.run(
        ["curl", "-sSf", url, "-H", "Content-Encoding: gzip", "--data-binary", "@-"], input=packed, check=True
    )
    said = subprocess.run(
        ["curl", "-sSf", "--compressed", f"{url}/?query=SELECT+a+FROM+curled"],
        capture_output=True,
        check=True,
    )
    assert said.stdout.split() == [b"%d" % n for n in range(999)]


def test_the_answer_names_format_query_and_zone(stack: Stack) -> None:
    """The server's headers are there, with the query id we gave."""
    status, headers, body = _ask(stack, "SELECT 1 AS a", default_format="JSONCompact", query_id="mine-1")
    assert status == 200
    assert headers["X-ClickHouse-Format"] == "JSONCompact"
    assert headers["Content-Type"].startswith("application/json")
    assert headers["X-ClickHouse-Query-Id"] == "mine-1"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["X-ClickHouse-Server-Display-Name"]
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "1"
    assert json.loads(body)["data"] == [[1]]


def test_every_query_gets_an_id_of_its_own(stack: Stack) -> None:
    """Without a query id in the request each answer carries a fresh one."""
    ids = {_ask(stack, "SELECT 1")[1]["X-ClickHouse-Query-Id"] for _ in range(3)}
    assert len(ids) == 3


def test_statement_in_the_url_and_rows_in_the_body(stack: Stack) -> None:
    """``?query=INSERT … FORMAT CSV`` with the rows posted."""
    _ask(stack, body=b"CREATE TABLE posted (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    status, headers, _ = _ask(stack, "INSERT INTO posted FORMAT CSV", body=b'1,"x"\n2,"y, z"\n')
    assert status == 200
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert _ask(stack, "SELECT s FROM posted ORDER BY a")[2] == b"x\ny, z\n"


def test_parameters_in_the_url(stack: Stack) -> None:
    """``param_NAME`` fills ``{NAME:Type}``."""
    assert _ask(stack, "SELECT {a:UInt8} + 1, {s:String}", param_a="4", param_s="o'k")[2] == b"5\to\\'k\n"


def test_parameters_in_a_multipart_form(stack: Stack) -> None:
    """Long queries come as a form with ``query`` and ``param_NAME`` fields."""
    boundary = "xyz"
    fields = {"query": "SELECT {s:String}", "param_s": "from a form"}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, _, answer = _ask(stack, body=f"{body}--{boundary}--\r\n".encode(), headers=headers)
    assert (status, answer) == (200, b"from a form\n")


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "deflate", "br"])
def test_answers_are_compressed_as_asked(stack: Stack, encoding: str) -> None:
    """Each encoding ClickHouse clients ask for is spoken."""
    _, headers, body = _ask(stack, "SELECT number FROM numbers(2000)", headers={"Accept-Encoding": encoding})
    assert headers["Content-Encoding"] == encoding
    assert decompress(body, encoding).split()[-1] == b"1999"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT x", 404, "47"),
        ("SELECT * FROM nowhere", 404, "60"),
        ("SELECT (", 400, "62"),
        ("SELECT throwIf(1)", 500, "395"),
    ],
)
def test_refusals_have_the_servers_status_and_code(stack: Stack, sql: str, status: int, code: str) -> None:
    """Errors are 4xx or 5xx with the code in a header and ClickHouse's text in the body."""
    got, headers, body = _ask(stack, sql)
    assert (got, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception".encode())
    assert b"(version " in body


def test_a_get_cannot_change_anything(stack: Stack) -> None:
    """As with the server, GET is read-only."""
    status, headers, _ = _ask(stack, "CREATE TABLE by_get (a UInt8) ENGINE = Memory")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert _ask(stack, "EXISTS by_get")[2] == b"0\n"


def test_a_body_that_is_not_its_encoding_is_refused(stack: Stack) -> None:
    """A wrong Content-Encoding is one clear error."""
    status, _, body = _ask(stack, body=b"SELECT 1", headers={"Content-Encoding": "gzip"})
    assert status == 500
    assert b"not gzip" in body


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_pages_of_other_sites_are_refused(stack: Stack, headers: Mapping[str, str]) -> None:
    """There is no password, so a browser must not be a way in for other sites."""
    assert _ask(stack, "SELECT 1", headers=headers)[0] == 403


def test_a_statement_without_rows_has_no_format(stack: Stack) -> None:
    """Clients tell an empty result from no result by the format header."""
    _, made, _ = _ask(stack, body=b"CREATE TABLE nothing_in (a UInt8) ENGINE = Memory")
    _, empty, _ = _ask(stack, "SELECT * FROM nothing_in")
    assert "X-ClickHouse-Format" not in made
    assert empty["X-ClickHouse-Format"] == "TabSeparated"
