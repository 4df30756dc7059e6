"""The pure half of the ClickHouse front: cutting statements apart, naming statuses, encoding bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.ch_protocol import (
    UnknownEncoding,
    answers_rows,
    as_the_server_says,
    compress,
    decompress,
    error_code,
    http_status,
    reads_posted_rows,
    split_insert,
    trailing_format,
)


@pytest.mark.parametrize("break_", [b"\n", b"\r\n", b" \n", b" "])
def test_data_begins_after_the_format_and_one_line_break(break_: bytes) -> None:
    """The separator after the format's name is not data."""
    parts = split_insert(b"INSERT INTO t (a, b) FORMAT JSONEachRow" + break_ + b'{"a":1}')
    assert parts is not None
    assert (parts.head, parts.format, parts.data) == (b"INSERT INTO t (a, b)", b"JSONEachRow", b'{"a":1}')


@given(st.binary())
def test_native_data_is_kept_to_the_byte(data: bytes) -> None:
    """Whatever the bytes, also line breaks, quotes and the word FORMAT, they arrive unchanged."""
    parts = split_insert(b"INSERT INTO t FORMAT Native\n" + data)
    assert parts is not None
    assert parts.data == data


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1 FORMAT Native",
        b"INSERT INTO t VALUES (1)",
        b"INSERT INTO t FORMAT Values (1)",
        b"INSERT INTO t SELECT * FROM s FORMAT Native",
        b"INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x FORMAT Native",
        b"INSERT INTO t FROM INFILE 'x' FORMAT Native",
        b"CREATE TABLE t (a String) ENGINE = Memory",
    ],
)
def test_other_statements_are_left_to_the_engine(sql: bytes) -> None:
    """Only an INSERT with raw rows behind its FORMAT is cut apart."""
    assert split_insert(sql) is None


def test_names_that_look_like_clauses_are_names() -> None:
    """A quoted column called `a FORMAT b` or `select` ends no statement."""
    parts = split_insert(
        b"/* note */ INSERT INTO t (`a FORMAT b`, `select`) SETTINGS x='FORMAT y' FORMAT CSV\n1,2"
    )
    assert parts is not None
    assert (parts.format, parts.data) == (b"CSV", b"1,2")
    assert b"`a FORMAT b`" in parts.head


@pytest.mark.parametrize(
    "head",
    [
        b"INSERT INTO t (select, values)",
        b"INSERT INTO t (id) -- FORMAT TSV, not VALUES\n",
        b"INSERT INTO t(a)",
    ],
)
def test_columns_and_comments_named_like_keywords_hide_no_data(head: bytes) -> None:
    """A column called `values`, or a comment, does not send the rows another way."""
    parts = split_insert(head + b"FORMAT CSV\n1,2")
    assert parts is not None
    assert (parts.format, parts.data) == (b"CSV", b"1,2")


def test_data_behind_a_long_head_are_found() -> None:
    """Hundreds of columns are no reason to lose sight of the data."""
    head = b"INSERT INTO t (" + b", ".join(b"column_%d" % number for number in range(9_000)) + b")"
    parts = split_insert(head + b" FORMAT CSV\n1")
    assert parts is not None
    assert (parts.head, parts.data) == (head, b"1")


def test_rows_from_a_file_come_before_the_settings() -> None:
    """The engine wants FROM INFILE between the columns and SETTINGS, and FORMAT last."""
    parts = split_insert(b"INSERT INTO t (a) SETTINGS async_insert=0, max_threads = 1 FORMAT CSV\n1")
    assert parts is not None
    assert parts.from_file("/x/1") == (
        b"INSERT INTO t (a) FROM INFILE '/x/1' COMPRESSION 'none' "
        b"SETTINGS async_insert=0, max_threads = 1 FORMAT CSV"
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"INSERT INTO t SELECT a FROM input('a UInt8') FORMAT CSV\n1", True),
        (b"INSERT INTO t SELECT a FROM `input` FORMAT CSV\n1", False),
        (b"INSERT INTO t VALUES ('FROM input(1)')", False),
        (b"SELECT * FROM input('a UInt8')", False),
    ],
)
def test_an_insert_that_selects_from_posted_rows_is_known(sql: bytes, expected: bool) -> None:
    """``input(…)`` reads rows sent with the statement, and only there does it mean that."""
    assert reads_posted_rows(sql) is expected


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"select 1 format JSONEachRow settings max_threads=1;\n", "JSONEachRow"),
        (b"SELECT 'FORMAT JSON'", None),
        (b"SELECT format FROM t", None),
    ],
)
def test_the_format_clause_at_the_end_is_found(sql: bytes, name: str | None) -> None:
    """The answer's format is the one the statement asks for."""
    assert trailing_format(sql) == name


@pytest.mark.parametrize(
    "sql", [b"SELECT 1", b"-- why\n (select 1)", b"/* a */ WITH 1 AS x SELECT x", b"show tables"]
)
def test_reading_statements_answer_rows(sql: bytes) -> None:
    """Comments and parentheses do not hide what a statement is."""
    assert answers_rows(sql)


@pytest.mark.parametrize("sql", [b"INSERT INTO t VALUES (1)", b"DROP TABLE t", b"", b"-- SELECT"])
def test_other_statements_answer_none(sql: bytes) -> None:
    """What changes data, or is nothing, has no result set."""
    assert not answers_rows(sql)


@pytest.mark.parametrize(
    ("code", "status"), [(60, 404), (62, 400), (516, 403), (159, 408), (48, 501), (241, 500), (99_999, 500)]
)
def test_error_codes_have_the_servers_status(code: int, status: int) -> None:
    """The status is the server's; codes it does not list are 500."""
    assert http_status(code) == status


def test_the_code_is_read_from_the_engines_text() -> None:
    """The number comes from the text; a text without one is "unknown exception"."""
    assert error_code("Code: 60. DB::Exception: no such table") == 60
    assert error_code("something broke") == 1002


def test_the_file_an_inserts_rows_came_from_is_not_mentioned() -> None:
    """The text is what the server says of rows in the request: said once, and without a path."""
    text = (
        "Code: 27. DB::Exception: Code: 27. DB::Exception: Cannot parse input: 'x': (at row 1)\n"
        ": (in file/uri /proc/self/fd/17): While executing ParallelParsingBlockInputFormat: While executing"
        " File: data for INSERT was parsed from file. (CANNOT_PARSE_INPUT_ASSERTION_FAILED)"
        " (version 26.9.2.1). (CANNOT_PARSE_INPUT_ASSERTION_FAILED)"
    )
    assert as_the_server_says(text) == (
        "Code: 27. DB::Exception: Cannot parse input: 'x': (at row 1)\n"
        ": While executing ParallelParsingBlockInputFormat: data for INSERT was parsed from query."
        " (CANNOT_PARSE_INPUT_ASSERTION_FAILED)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Code: 60. DB::Exception: Table default.t does not exist. (UNKNOWN_TABLE)",
        "Code: 27. DB::Exception: bad: (in file/uri /home/me/rows.csv): While executing File. (CANNOT_PARSE)",
    ],
)
def test_other_error_texts_are_left_alone(text: str) -> None:
    """Also those about a file the user named."""
    assert as_the_server_says(text) == text


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "deflate", "br"])
def test_every_accepted_encoding_round_trips(encoding: str) -> None:
    """What is sent in an encoding can be read in it."""
    body = b"incident " * 1000
    packed, name = compress(body, encoding)
    assert name == encoding
    assert len(packed) < len(body)
    assert decompress(packed, encoding) == body


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "snappy"])
def test_nothing_is_compressed_that_nobody_accepts(accepted: str) -> None:
    """Without an encoding the client reads, the body goes as it is."""
    body = b"x" * 5000
    assert compress(body, accepted) == (body, None)


def test_unknown_encodings_are_named() -> None:
    """The message says which encoding was refused."""
    with pytest.raises(UnknownEncoding, match="snappy"):
        decompress(b"", "snappy")


def test_a_body_of_another_encoding_is_a_value_error() -> None:
    """Bytes that are not what the header says never crash the front."""
    with pytest.raises(ValueError, match="not gzip"):
        decompress(b"plain text", "gzip")
