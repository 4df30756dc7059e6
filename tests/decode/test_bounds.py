"""Whatever a record says, and however long: what comes out fits a message of any broker's default size."""

from __future__ import annotations

import json

import pytest

from streams.decode import deadletter
from streams.decode.errors import UNDECODABLE
from streams.decode.pager import MAX_PAGE_BYTES
from streams.records.stage import Output
from tests.decode import support
from tests.decode.support import T0, core, read, record

LONG = "x" * 3_000_000
A_MESSAGE = 1_000_000


def outputs(wire_format: str, *rows: dict[str, object]) -> list[Output]:
    """Of one record with a row a line."""
    value = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return core(support.settings(wire_format)).process([record(value)])


def largest(of: list[Output]) -> int:
    return max(len(output.value or b"") for output in of)


@pytest.mark.parametrize("name", ["body", "exception", "trace_id"])
def test_a_long_text_of_a_log_line_is_cut(name: str) -> None:
    """The line is used."""
    line = {"ts": T0, "service": "cart", "severity": "ERROR", "body": "b", name: LONG}
    found = outputs("tocsin", line)
    assert largest(found) < 50_000
    assert len(read(found).logs) == 1


@pytest.mark.parametrize(
    ("wire_format", "name"),
    [
        *(("changes", name) for name in ("id", "kind", "version", "summary", "author")),
        *(("actions", name) for name in ("id", "action", "actor", "note")),
    ],
)
def test_a_long_text_of_a_change_or_an_action_is_cut(wire_format: str, name: str) -> None:
    """It reaches the correlator all the same."""
    row = {"ts": T0, "service": "cart", "incident": "i", "action": "acknowledge", name: LONG}
    found = outputs(wire_format, row)
    assert largest(found) < 50_000
    assert len(read(found).messages) == 1


def test_long_ids_stay_distinct() -> None:
    """Two changes are two changes, even if only the end of their ids differs."""
    first, second = (
        read(outputs("changes", {"ts": T0, "service": "a", "id": LONG + end})).messages[0][1]["id"]
        for end in "12"
    )
    assert first != second


def test_pages_of_many_wide_senders_fit() -> None:
    """Each log line has a sender of its own with a long context, in letters of two bytes."""
    rows = [
        {
            "ts": T0,
            "service": f"s{n}",
            "body": "b",
            "exception": "я" * 200,
            "resource": {f"k{k}": "я" * 190 for k in range(16)},
        }
        for n in range(1_000)
    ]
    found = outputs("tocsin", *rows)
    assert len(read(found).logs) == 1_000
    assert largest(found) < MAX_PAGE_BYTES + 50_000


def test_pages_of_many_wide_series_fit() -> None:
    """Each sample describes a series with long labels in letters of two bytes."""
    labels = {f"k{k}": "я" * 190 for k in range(60)}
    rows = [
        {"ts": T0, "service": "cart", "metric": f"m{n}", "value": 1, "labels": labels} for n in range(100)
    ]
    found = outputs("tocsin", *rows)
    assert len(read(found).samples) == 100
    assert largest(found) < MAX_PAGE_BYTES + 50_000


def test_a_dead_letter_with_a_large_key_and_headers_fits() -> None:
    """They are left out, and it says so: it cannot be put back as it was."""
    whole = record(b"\x00" * 500_000, headers=(("\x01" * 100_000, b"\xff" * 300_000),))
    found = core(support.settings("tocsin")).process([whole._replace(key=b"k" * 200_000)])
    assert largest(found) < A_MESSAGE
    (letter,) = read(found).letters
    assert (letter.reason, letter.headers, letter.key) == (UNDECODABLE, (), None)
    with pytest.raises(deadletter.Unreadable, match="too many to keep"):
        deadletter.original(letter)


def test_the_detail_of_a_dead_letter_is_short() -> None:
    """A name that is a megabyte long is not repeated whole."""
    of = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": LONG, "sum": {"dataPoints": [{}]}}]}]}]}
    (letter,) = read(outputs("otlp-json", of)).letters
    assert len(letter.detail) <= deadletter.MAX_DETAIL
