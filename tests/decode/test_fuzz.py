"""Whatever the bytes, a decoder raises `BadRecord` or nothing, and leaves whole rows behind."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import REASONS, BadRecord
from streams.decode.formats import sniff
from tests.decode import producers, support
from tests.decode.support import T0, core, read, record

VALID = [
    *(m().SerializeToString() for m in (producers.metrics, producers.logs, producers.traces)),
    *(producers.as_json(m()) for m in (producers.metrics, producers.logs, producers.traces)),
    b'{"ts":1700000000000,"service":"a","metric":"m","value":1,"labels":{"x":"y"}}\n'
    b'{"ts":1700000000000,"service":"a","body":"hello","severity":"ERROR"}\n'
    b'{"ts":1700000000000,"service":"a","trace_id":"t","span_id":"s"}',
    b'{"ts":1700000000000,"service":"a","version":"2"}',
    b'{"ts":1700000000000,"incident":"i","action":"resolve"}',
]


def attempt(wire_format: str, value: bytes) -> None:
    """Decode; only `BadRecord` may come out, and all columns must have the same length."""
    columns = Columns(Catalog(4, 1_000))
    mark = columns.mark()
    reason = None
    try:
        formats.DECODERS[wire_format](value, columns)
    except BadRecord as bad:
        reason = bad.reason
        columns.undo(mark)
    columns.finish()
    assert reason is None or reason in REASONS
    assert len(columns.slot) == len(columns.ts) == len(columns.value)
    assert len(columns.h_slot) == len(columns.h_ts) == len(columns.h_sum) == len(columns.h_width)
    assert 8 * sum(columns.h_width) == len(columns.h_count)
    assert len(columns.l_origin) == len(columns.l_ts) == len(columns.bodies) == len(columns.exceptions)
    assert 16 * len(columns.s_origin) == len(columns.s_trace) == 2 * len(columns.s_span)


def attempt_all(value: bytes) -> None:
    for wire_format in formats.DECODERS:
        attempt(wire_format, value)
    sniff(value)
    outputs = core(support.settings("auto")).process([record(value), record(value, 1)])
    read(outputs)


@settings(max_examples=300, deadline=None)
@given(value=st.binary(max_size=400))
def test_random_bytes_never_break_a_decoder(value: bytes) -> None:
    """Noise on a topic."""
    attempt_all(value)


@settings(max_examples=200, deadline=None)
@given(value=st.sampled_from(VALID), data=st.data())
def test_truncated_records_never_break_a_decoder(value: bytes, data: st.DataObject) -> None:
    """A producer that died half-way."""
    attempt_all(value[: data.draw(st.integers(0, len(value)))])


@settings(max_examples=400, deadline=None)
@given(value=st.sampled_from(VALID), data=st.data())
def test_flipped_bits_never_break_a_decoder(value: bytes, data: st.DataObject) -> None:
    """A few bits anywhere, so that most of the record still makes sense."""
    raw = bytearray(value)
    for bit in data.draw(st.lists(st.integers(0, 8 * len(raw) - 1), min_size=1, max_size=6)):
        raw[bit // 8] ^= 1 << (bit % 8)
    attempt_all(bytes(raw))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.just(10**400)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_KEYS = ["ts", "service", "metric", "value", "labels", "resource", "severity", "body", "span_id", "trace_id"]


@settings(max_examples=300, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(_KEYS), _json))
def test_fields_of_any_json_type_never_break_a_decoder(fields: dict[str, object]) -> None:
    """The right names with anything in them."""
    base = {"ts": T0, "service": "a", "metric": "m", "value": 1}
    attempt_all(json.dumps({**base, **fields}).encode())


def _paths(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [path]
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        found += _paths(child, (*path, key))
    return found


@settings(max_examples=300, deadline=None)
@given(which=st.integers(3, 5), data=st.data(), instead=_json)
def test_otlp_json_with_anything_in_one_place_never_breaks_a_decoder(
    which: int, data: st.DataObject, instead: object
) -> None:
    """Every field of the protocol gets values of every type."""
    root = json.loads(VALID[which])
    path = data.draw(st.sampled_from(_paths(root)[1:]))
    node = root
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = instead
    attempt_all(json.dumps(root).encode())


@pytest.mark.parametrize(
    "value",
    [
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"ts":1,"service":"a","metric":"m","value":1,"labels":' + b'{"a":' * 50_000,
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + b'{"arrayValue":{"values":[' * 50_000,
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a" * 100_000,
    ],
)
def test_hostile_nesting_and_lengths_end_quickly(value: bytes) -> None:
    """Deep nesting and lengths beyond the record neither overflow the stack nor the memory."""
    attempt_all(value)
