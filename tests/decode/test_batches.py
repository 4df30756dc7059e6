"""What a batch decoder makes of many records is what the ordinary decoder makes of each, byte for byte."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import formats, json_kernel, otlp_kernel
from streams.decode.columns import BatchDecoder, Columns
from streams.decode.decimals import FURTHEST, nearest
from streams.decode.keys import MOST_PROBES, Keys, entry_of
from streams.decode.rawbytes import handle
from streams.records.compiled import COMPILING
from streams.records.stage import Output, Record
from tests.decode import mutants, producers, support
from tests.decode.support import T0, record

BATCHES: dict[str, BatchDecoder] = {
    each.name: each.batch for each in formats.FORMATS if each.batch is not None
}
MAKERS: dict[str, Callable[[random.Random], bytes]] = {"otlp": mutants.otlp, "tocsin": mutants.lines}
EXAMPLES = 150 if COMPILING else 12


def outputs(records: list[Record], wire_format: str, sizes: list[int], max_series: int) -> list[list[Output]]:
    """What one core says to chunks of these sizes in turn."""
    made = support.core(support.settings(wire_format, max_series=max_series, max_record_bytes=20_000))
    found, at, turn = [], 0, 0
    while at < len(records):
        size = sizes[turn % len(sizes)]
        found.append(made.process(records[at : at + size]))
        at, turn = at + size, turn + 1
    return found


def in_both_ways(
    values: list[bytes],
    wire_format: str,
    sizes: list[int],
    monkeypatch: pytest.MonkeyPatch,
    max_series: int = 1_000,
) -> tuple[list[list[Output]], list[list[Output]]]:
    records = support.numbered(values)
    with monkeypatch.context() as patch:
        patch.setattr(formats, "BATCHES", {})
        single = outputs(records, wire_format, sizes, max_series)
        patch.setattr(formats, "BATCHES", BATCHES)
        return single, outputs(records, wire_format, sizes, max_series)


def test_every_batch_decoder_is_tested_here() -> None:
    """A format that gets one needs records to be compared."""
    assert BATCHES.keys() == MAKERS.keys()


@pytest.mark.parametrize("wire_format", BATCHES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**63), sizes=st.sampled_from([[1], [3, 1], [50]]), few=st.booleans())
def test_batches_give_what_single_records_give(
    wire_format: str, seed: int, sizes: list[int], few: bool
) -> None:
    """Pages, dead letters and their order; also when the catalog forgets between chunks."""
    dice = random.Random(seed)
    values = [MAKERS[wire_format](dice) for _ in range(60)]
    for _ in range(dice.randrange(3)):
        values.insert(dice.randrange(len(values)), dice.choice([b"", b"x" * 30_000]))
    with pytest.MonkeyPatch.context() as patch:
        single, batch = in_both_ways(values, wire_format, sizes, patch, 5 if few else 1_000)
    if not few:
        assert batch == single
        return
    # The catalog may forget at other times, and then series are described again at other times.
    one, many = (support.read([output for chunk in found for output in chunk]) for found in (single, batch))
    assert many.rows() == one.rows()
    assert many.letters == one.letters
    assert many.watermarks == one.watermarks
    assert not many.undescribed


def test_real_requests_are_taken_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not left to the parser, which would give the same, only slower."""
    data = mutants.metrics_pb2.MetricsData.FromString(producers.metrics().SerializeToString())
    for part in data.resource_metrics:
        for scope in part.scope_metrics:
            plain = [m for m in scope.metrics if not m.HasField("exponential_histogram")]
            assert {m.WhichOneof("data") for m in plain} == {"gauge", "sum", "histogram"}
            del scope.metrics[:]
            scope.metrics.extend(plain)
    assert left_to_the_parser("otlp", [data.SerializeToString()] * 3) == []


def test_lines_of_all_usual_shapes_are_taken_by_the_kernel() -> None:
    """One or many a record, with and without blanks, ints and floats."""
    values = [
        b'{"ts":1700000000000,"service":"a","metric":"m","value":1}',
        b'{"ts": 1700000000000, "service": "a", "metric": "m", "value": -1.25e-3, "labels": {"a": "b"}}',
        b'{"ts":1700000000000,"service":"a","metric":"m","value":1}\n' * 3,
        b'{"value":0.30000000000000004,"metric":"m","ts":1700000000000,"service":"a"}\n',
    ]
    assert left_to_the_parser("tocsin", values) == []


def left_to_the_parser(wire_format: str, values: list[bytes]) -> list[int]:
    core = support.core(support.settings(wire_format))
    columns, left = Columns(core._catalog), []

    def one(i: int) -> None:
        left.append(i)
        columns.finish()

    BATCHES[wire_format](values, columns, one)
    assert columns.records == len(values)
    return left


@pytest.mark.skipif(not COMPILING, reason="this is the run without compiling")
@pytest.mark.slow
def test_kernels_never_reach_beyond_their_arrays() -> None:
    """The same tests with the kernels as plain Python, where every access is checked."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", __file__],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3_000:]


def test_equal_hashes_of_unequal_keys_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries whose hash says they are the same, and whose bytes do not."""
    keys = Keys()
    raw = np.frombuffer(b"aaaabbbb", dtype=np.uint8)

    def entry(at: int) -> int:
        return int(entry_of(keys.handles(), 0, handle(raw), at, 4))

    assert [entry(0), entry(4)] == [0, 1]
    keys.hashes[0] = keys.hashes[1]  # as if "aaaa" had the hash of "bbbb"
    keys.places[:] = -1
    at = int(keys.hashes[1]) & (len(keys.places) - 1)
    keys.places[at], keys.places[(at + 1) & (len(keys.places) - 1)] = 0, 1
    assert entry(4) == 1


def test_a_crowd_of_equal_hashes_is_given_up() -> None:
    """Someone who makes keys collide makes their own records slow, and nothing else."""
    keys = Keys()
    raw = np.frombuffer(b"aaaabbbb", dtype=np.uint8)
    entry_of(keys.handles(), 0, handle(raw), 0, 4)
    keys.places[:] = 0
    assert entry_of(keys.handles(), 0, handle(raw), 4, 4) == -1
    assert len(keys.places) > MOST_PROBES


def test_keys_keep_their_entries_while_they_grow() -> None:
    """Far beyond the first room."""
    keys, texts = Keys(4, 16), [b"%d" % (7**i) for i in range(200)]

    def entry(text: bytes) -> int:
        raw = np.frombuffer(text, dtype=np.uint8)
        while True:
            found = int(entry_of(keys.handles(), 16, handle(raw), 0, len(raw)))
            if found >= 0:
                return found
            assert found == -2
            keys.grow(len(raw))

    assert [entry(text) for text in texts] == list(range(200))
    assert [entry(text) for text in texts] == list(range(200))
    assert [keys.bytes_of(i) for i in range(200)] == texts


@settings(max_examples=20 * EXAMPLES, deadline=None)
@given(
    digits=st.integers(0, 10**19 - 1) | st.integers(0, 10**6) | st.integers(2**53 - 9, 2**53 + 9),
    power=st.integers(-FURTHEST, FURTHEST),
)
def test_decimals_become_the_nearest_double(digits: int, power: int) -> None:
    """What is said to be certain is what the standard library says."""
    value, certain = nearest(np.uint64(digits), power)
    assert not certain or value == float(f"{digits}e{power}")


@settings(max_examples=20 * EXAMPLES, deadline=None)
@given(bits=st.integers(2**52, 2**53 - 1), shift=st.integers(-20, 9))
def test_numbers_half_way_between_two_doubles_are_not_got_wrong(bits: int, shift: int) -> None:
    """The hardest ones."""
    exact = 2 * bits + 1
    digits, power = (exact << shift, 0) if shift >= 0 else (exact * 5**-shift, shift)
    if digits < 10**19:
        value, certain = nearest(np.uint64(digits), power)
        assert not certain or value == float(f"{digits}e{power}")


def test_shortest_rows_are_as_short_as_can_be() -> None:
    """The room for rows is counted by them."""
    line = b'{"ts":0,"value":0}'
    assert len(line) == json_kernel.LEAST_LINE
    point = mutants.metrics_pb2.NumberDataPoint(time_unix_nano=1, as_int=1)
    assert point.ByteSize() + 2 == otlp_kernel.LEAST_POINT
    bars = mutants.metrics_pb2.HistogramDataPoint(time_unix_nano=1)
    assert bars.ByteSize() + 2 == otlp_kernel.LEAST_HISTOGRAM


def test_a_second_look_tells_bad_keys_from_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record with an unreadable label, between good ones, is refused as the parser refuses it."""
    good = mutants.metrics_pb2.MetricsData()
    point = good.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add()
    point.time_unix_nano, point.as_double = T0 * 1_000_000, 1.0
    point.attributes.add(key="kkkk").value.string_value = "vvvv"
    raw = good.SerializeToString()
    bad = raw.replace(b"vvvv", b"\xff\xff\xff\xff")
    single, batch = in_both_ways([raw, bad, raw, bad], "otlp", [4], monkeypatch)
    assert batch == single
    assert len(support.read(batch[0]).letters) == 2


def test_records_are_read_once_the_format_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` looks at records one by one, and leaves the rest of the chunk to the batch."""
    line = b'{"ts":%d,"service":"a","metric":"m","value":1}' % T0
    with monkeypatch.context() as patch:
        patch.setattr(formats, "BATCHES", BATCHES)
        found = support.core().process([record(b"\xff\xfe", 0), *support.numbered([line] * 9)])
    read = support.read(found)
    assert len(read.samples) == 9
    assert len(read.letters) == 1
