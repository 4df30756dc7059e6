"""Whatever a record says, and however long: what comes out fits a message of any broker's default size."""

from __future__ import annotations

import json
from collections.abc import Callable

import cramjam
import pytest

from streams.decode import deadletter, formats
from streams.decode.errors import OVERSIZED, UNDECODABLE
from streams.decode.pager import MAX_PAGE_BYTES
from streams.records.stage import Output
from tests.decode import support
from tests.decode.support import T0, core, read, record
from tests.fuzz.shapes import varint

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


def nested(*tags: bytes, inside: bytes) -> bytes:
    """Protobuf messages in one another, the first the outermost."""
    for tag in reversed(tags):
        inside = tag + varint(len(inside)) + inside
    return inside


NAME, LEVELS = b"\x0a\x01m", (b"\x0a", b"\x12", b"\x12")
POINT = nested(b"\x0a", inside=b"\x19" + (T0 * 10**6).to_bytes(8, "little") + b"\x21" + bytes(8))
LOG = nested(b"\x12", inside=b"\x09" + (T0 * 10**6).to_bytes(8, "little"))
LINE = b'{"ts":%d,"service":"a","metric":"m","value":1}\n' % T0
SERIES = nested(
    b"\x0a",
    inside=nested(b"\x0a", inside=b"\x0a\x08__name__\x12\x02up") + b"\x12\x0d\x09" + bytes(8) + b"\x10\x01",
)
CROWDS: dict[str, tuple[str, Callable[[int], bytes], int]] = {
    "points": ("otlp", lambda n: nested(*LEVELS, inside=NAME + nested(b"\x2a", inside=POINT * n)), 4),
    "log records": ("otlp", lambda n: nested(b"\x0a", b"\x12", inside=LOG * n), 2),
    "empty log records": ("otlp", lambda n: nested(b"\x0a", b"\x12", inside=LOG + b"\x12\x00" * (n - 1)), 2),
    "resources": ("otlp", lambda n: nested(b"\x0a", b"\x12", inside=LOG) + b"\x0a\x00" * (n - 1), 2),
    "objects": ("tocsin", lambda n: LINE * n, 0),
    "series": ("prometheus-remote-write", lambda n: bytes(cramjam.snappy.compress_raw(SERIES * n)), 0),
    "commas": ("statsd", lambda n: b"a:1|c|#" + b"," * (n - 1), 0),
    "lines": ("lines", lambda n: b"x\n" * n, 0),
    "pairs": ("influx", lambda n: b"m f=1" + b",f=1" * (n - 1) + b"\n", 0),
    "maps": ("fluent-bit-msgpack", lambda n: b"\xdc" + (n - 1).to_bytes(2) + b"\x92\x01\x80" * (n - 1), 0),
}  # fmt: skip
"""what there is too much of -> format, record of n of them, and what is counted beside them"""
MOST = 3_000


def crowded(name: str, n: int, **limits: int) -> list[Output]:
    wire_format, make, _ = CROWDS[name]
    return core(support.settings(wire_format, **limits)).process([record(make(n))])


@pytest.mark.parametrize("name", CROWDS)
def test_a_record_of_too_many_items_is_refused_whole(name: str) -> None:
    """The dead letter names the limit and its key."""
    found = read(crowded(name, MOST + 1, max_record_items=MOST))
    (letter,) = found.letters
    assert letter.reason == OVERSIZED
    assert letter.detail.endswith(f"at most {MOST} (ingest.max_record_items)")
    assert [*found.samples, *found.logs] == []


@pytest.mark.parametrize("name", set(CROWDS) - {"maps"})
def test_a_record_of_as_many_items_as_may_be_is_read(name: str) -> None:
    """With what lies around them counted."""
    found = read(crowded(name, MOST - CROWDS[name][2], max_record_items=MOST))
    assert OVERSIZED not in {letter.reason for letter in found.letters}


def test_events_of_a_batch_count_together() -> None:
    """Each of them has few enough."""
    line = {"ts": T0, "service": "a", "metric": "m", "value": 1}
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": [line] * 60}
    made = core(support.settings("tocsin", max_record_items=100))
    found = read(made.process([record(json.dumps([event, event]))]))
    assert [letter.reason for letter in found.letters] == [OVERSIZED]


@pytest.mark.parametrize("value", [b"[" + b"{}," * 200 + b"{}]", b"\xdc\x00\xc8" + b"\x92\x01\x80" * 200])
def test_the_first_record_of_an_unknown_format_is_bounded_too(value: bytes) -> None:
    """Before anybody looks into it."""
    found = read(core(support.settings("auto", max_record_items=100)).process([record(value)]))
    assert [letter.reason for letter in found.letters] == [OVERSIZED]


@pytest.mark.parametrize(
    "value", [b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdb\xff", b"\x0a\xff", b"\xff" * 50, b"\x0a\x02\x12\x05"]
)
def test_counting_ends_whatever_the_bytes(value: bytes) -> None:
    """It never raises: what is no valid record is the decoder's to refuse."""
    for each in formats.ITEMS.values():
        assert each.counted(value, 10) >= 0
