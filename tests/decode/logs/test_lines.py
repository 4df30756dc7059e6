"""Plain lines: times, severities, stack traces, and bytes of every kind."""

from __future__ import annotations

import contextlib
import time

import pytest

from streams.decode.errors import BadRecord
from streams.decode.logs import levels
from streams.decode.rules import Rules
from tests.decode.logs.support import read

NOW = 1_795_373_910_000
"""2026-11-22T18:58:30Z"""
AT = NOW - 7_000


@pytest.mark.parametrize(
    ("line", "ts"),
    [
        ("2026-11-22T18:58:23Z x", AT),
        ("2026-11-22T18:58:23.123456+00:00 x", AT + 123),
        ("2026-11-22T19:58:23.123+0100 x", AT + 123),
        ("2026-11-22 18:58:23,123 x", AT + 123),
        ("2026-11-22 18:58:23,123 - INFO - x", AT + 123),
        ("2026-11-22 18:58:23.5: x", AT + 500),
        ("2026-11-22 18:58:23.123456789Z", AT + 123),
        ("2026-11-22 13:28:23-05:30 x", AT),
        ("2026-11-22 20:58:23+02 x", AT),
        ("2026-11-22 18:58:23\tx", AT),
        ("2026-11-22 18:58:2345", NOW),
        ("2026-11-22T18+01:00", NOW),
        ("2026-11-22 18:58:23+x", NOW),
        ("2026-11-22 18:58:23.١١١ x", AT + 111),
        ("2026-11-22 18:58:23.123 UTC [7] ERROR: x", AT + 123),
        ("2026-11-22 20:58:23.123 +0200 x", AT + 123),
        ("[2026-11-22T18:58:23Z] x", AT),
        ("[2026-11-22 18:58:23] x", AT),
        ("2026/11/22 18:58:23 [error] 7#0: x", AT),
        ("Nov 22 18:58:23 h a: x", AT),
        ('192.0.2.1 - - [22/Nov/2026:19:58:23 +0100] "GET / HTTP/1.1" 500 1', AT),
        ('time="2026-11-22T18:58:23Z" level=info msg=x', AT),
        ("ts=2026-11-22T18:58:23.5Z level=info msg=x", AT + 500),
        ("2020-01-01T00:00:00Z old but with a zone", 1_577_836_800_000),
        ("2020-01-01 00:00:00 old without", 1_577_836_800_000),
        ("2026-11-22 20:58:23 two hours ahead", NOW),
        ("2026-11-22 13:58:23 five behind", NOW),
        ("2026-13-22T18:58:23Z no month", NOW),
        ("2026-11-22", NOW),
        ("2026 was a good year", NOW),
        ("Nov 99 18:58:23 x", NOW),
        ("[x] y", NOW),
        ("t=1 x", NOW),
        ("1", NOW),
        ("99/Foo [99/Foo/2026:18:58:23 +0000]", NOW),
    ],
)
def test_a_time_at_the_beginning_counts(line: str, ts: int) -> None:
    """With a zone always; without one if it is near the reference time or a long way off; else that time."""
    assert read("lines", line, NOW)[0].ts == ts


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("ERROR no", 17),
        ("Error: no", 17),
        ("error no", 17),
        ("[warn] careful", 13),
        ("WARNING:root:careful", 13),
        ("level=error msg=x", 17),
        ('time="2026-11-22T18:58:23Z" level=warning msg=x', 13),
        ("severity=ERROR x", 17),
        ("a=1 lvl=eror", 17),
        ("2026-11-22 18:58:23,123 - app - CRITICAL - x", 18),
        ("2026-11-22 18:58:23.123 UTC [7] FATAL:  x", 21),
        ("2026/11/22 18:58:23 [error] 7#0: x", 17),
        ("E1122 18:58:23.000123 7 main.go:1] x", 17),
        ("panic: runtime error", 21),
        ("no errors found", 0),
        ("payment error occurred", 0),
        ("alert manager started", 0),
        ("the ERRORS of others", 0),
        ("a b c d e f g ERROR", 0),
        ("level=", 0),
        ("=", 0),
        ("x" * 96 + " ERROR", 0),
    ],
)
def test_a_level_word_at_the_beginning_is_the_severity(line: str, severity: int) -> None:
    """In upper case or set off near the beginning, or as the first word; never from the middle."""
    assert read("lines", line, NOW)[0].severity == severity


def test_a_stack_trace_stays_with_its_line() -> None:
    """Java's, Python's with its chain, and what follows is a row of its own."""
    java = "ERROR failed\njava.io.IOException: gone\n\tat A.java:1\nCaused by: b.C: x\n\t... 3 more"
    python = 'ERROR:x\nTraceback (most recent call last):\n  File "a.py", line 1, in f\n    x\nKeyError: 1'
    chain = python + (
        "\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "a.py", line 2, in g\nValueError: 2'
    )
    for trace in (java, python):
        assert [row.body for row in read("lines", f"one\n{trace}\ntwo\n", NOW)] == ["one", trace, "two"]
    bodies = [row.body for row in read("lines", f"{chain}\ntwo\n", NOW)]
    assert bodies == [chain.replace("\n\n", "\n"), "two"]


def test_a_trace_without_end_is_cut() -> None:
    """The rest of it says nothing more."""
    rows = read("lines", "head\n" + "\tat x\n" * 200_000 + "next", NOW)
    assert [len(row.body) for row in rows] == [16_384, 4]


def test_bytes_of_every_kind_make_a_line() -> None:
    """Colours and control characters go, what is no UTF-8 is replaced, letters stay."""
    value = b"\x1b[31mERROR\x1b[0m\x00\x07 gr\xc3\xbcn \xff\xfe\x7f\tend\x1b"
    (row,) = read("lines", value, NOW)
    assert (row.body, row.severity) == ("ERROR grün \ufffd\ufffd\tend", 17)


def test_a_json_line_is_opened() -> None:
    """Message, level and trace of an application that logs JSON."""
    (row,) = read("lines", '{"level":"error","msg":"no","trace_id":"AB"}', NOW)
    assert row[4:7] == (17, "no", "ab")


def test_the_service_comes_from_the_topic() -> None:
    """A line does not say."""
    assert read("lines", "x", NOW)[0].service == "unknown"
    assert read("lines", "x", NOW, Rules(service=("=cart",), env=("=prod",)))[0][:3] == (
        "cart",
        "",
        {"env": "prod"},
    )


@pytest.mark.parametrize("value", [b"", b"\n\n", b" \t", b"\x00", b"\x1b[0m"])
def test_blank_records_are_refused(value: bytes) -> None:
    """Blank lines among others are left out; nothing else at all is a fault."""
    with pytest.raises(BadRecord):
        read("lines", value, NOW)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_000,
        "\x1b[" * 500_000,
        "\x1b[" + "0;" * 500_000,
        "\x1b" * 1_000_000,
        " " * 1_000_000 + "x",
        "level=" * 170_000,
        "level=" + '"' * 1_000_000,
        "[" * 1_000_000,
        "1" * 1_000_000,
        "2026-11-22T" + "1" * 1_000_000,
        "{" * 1_000_000,
        '{"msg":' + "[" * 1_000_000,
        "Exception" * 100_000,
        "a.Exception: x\n" * 70_000,
        "Traceback (most recent call last)\nx\n" * 20_000,
        "\n" * 1_000_000 + "x",
        "\u2028" * 300_000 + "x",
        "a\n" * 100_000,
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(value: str) -> None:
    """Far below what a pattern that goes back over it would take."""
    began = time.process_time()
    with contextlib.suppress(BadRecord):
        read("lines", value, NOW)
    assert time.process_time() - began < 4


def test_level_words_of_a_field_need_not_be_whole() -> None:
    """One letter, a number as text, a finer grade."""
    found = [
        levels.of(word)
        for word in ("E", "w", "4", "60", "ERROR3", " info ", "", "x" * 10_000, True, None, 2.0)
    ]
    assert found == [17, 13, 13, 21, 19, 9, 0, 0, 0, 0, 0]
