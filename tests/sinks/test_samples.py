"""Pages to columns of the history."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sinks.samples import NO_DOMAIN, buckets_block, domain_of, extents, narrowed, numbers_block, sampled
from streams.records.messages import MAX_MS
from streams.records.pages import Kind, Logs, Origin, Page, decode_numbers, encode_page
from tests.sinks.pages import buckets, page, series

A, B = series("a"), series("b")
H = series("h", Kind.HISTOGRAM, bounds=(1.0,))


def test_columns_of_pages_follow_one_another() -> None:
    """In the order of the pages, without a look at single samples."""
    rows = sampled([page([A], [(A, 5, 1.5)]), page([B], [(B, 3, 2.5), (A, 6, -1.0)])])
    assert rows.numbers.fps.tolist() == [A.fp, B.fp, A.fp]
    assert rows.numbers.ts.tolist() == [5, 3, 6]
    assert rows.numbers.values.tolist() == [1.5, 2.5, -1.0]
    assert rows.series == {A.fp: A, B.fp: B}


def test_the_last_description_of_a_series_wins() -> None:
    """Pages come in order."""
    newer = series("a", resource=(("env", "test"),))
    assert sampled([page([A], []), page([newer], [])]).series == {A.fp: newer}


def test_a_block_is_the_arrays_as_they_are() -> None:
    """ClickHouse's Native format: columns, rows, and each column's name, type and bytes."""
    rows = sampled([page([A], [(A, i, float(i)) for i in range(300)])]).numbers
    block = numbers_block(rows)
    assert block[:3] == b"\x03\xac\x02"
    for column in rows:
        assert column.tobytes() in block
    assert len(block) == 300 * 24 + 3 + len("fingerprintUInt64tsDateTime64(3, 'UTC')valueFloat64") + 6


def test_histograms_carry_their_buckets() -> None:
    """End offsets and then all elements; a sum that was not sent is not a number."""
    rows = sampled([buckets(H, [(1, math.nan, (1, 2)), (2, 3.0, (4, 5))])]).buckets
    assert rows.widths.tolist() == [2, 2]
    tail = np.array([2, 4], "<u8").tobytes() + np.array([1, 2, 4, 5], "<f8").tobytes()
    assert buckets_block(rows).endswith(tail)


def test_unwanted_series_are_left_out_with_their_buckets() -> None:
    """And nothing else."""
    rows = sampled([page([A, B], [(A, 1, 1.0), (B, 1, 2.0)]), buckets(H, [(1, 1.0, (1, 2))])])
    kept = narrowed(rows, np.array([A.fp, H.fp], np.uint64))
    assert kept.numbers.values.tolist() == [2.0]
    assert (len(kept.buckets.ts), len(kept.buckets.counts)) == (0, 0)
    assert narrowed(rows, np.empty(0, np.uint64)).buckets.counts.tolist() == [1, 2]


def test_times_no_column_holds_are_left_out() -> None:
    """Before 1970 and beyond what DateTime64 can say."""
    rows = sampled([page([A], [(A, -1, 1.0), (A, MAX_MS, 2.0), (A, MAX_MS + 1, 3.0)])])
    assert narrowed(rows, np.empty(0, np.uint64)).numbers.values.tolist() == [2.0]


def test_extents_are_those_of_the_series_asked_for() -> None:
    """First and last time, over numbers and histograms."""
    rows = sampled([page([A, B], [(A, 4, 1.0), (B, 1, 1.0), (A, 2, 1.0)]), buckets(H, [(9, 1.0, (1, 2))])])
    assert extents(rows, [A.fp, H.fp]) == {A.fp: (2, 4), H.fp: (9, 9)}


@pytest.mark.parametrize(
    ("label", "domain"), [("", NO_DOMAIN), ("env", "prod"), ("instance", "a"), ("tenant", NO_DOMAIN)]
)
def test_a_series_is_in_the_domain_of_its_alerts(label: str, domain: str) -> None:
    """By its resource, else by its labels."""
    assert domain_of(A, label) == domain


def test_log_records_of_a_page_are_not_read() -> None:
    """Only numbers are."""
    logs = Logs([Origin("s")], b"\0" * 8, b"\0" * 8, b"\0", ["line"], [""], [""])
    whole = Page("in/0", 1, 0, series=[A], fps=np.array([A.fp]).tobytes(), logs=logs)
    read = decode_numbers(encode_page(whole))
    assert (read.series, read.fps, read.logs) == ([A], whole.fps, None)
