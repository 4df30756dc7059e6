"""Walks OTLP metrics as protobuf, a chunk of records at once: number points and explicit histograms.

Takes only what is regular: every field at most once where the protocol says so, of its wire type, each
metric with a name and one kind of data, each point with a value and a time. Any other record, however
right, is left to the parser (`otlp_protobuf`), which also knows what to say of it. What is taken is taken
exactly as the parser would have: same rows, same order, same raw keys.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streams.decode.keys import FULL, entry_of
from streams.decode.otlp import CUMULATIVE, DELTA, MAX_BUCKETS, NO_RECORDED_VALUE, NS_PER_MS
from streams.decode.rawbytes import (
    byte_at,
    double_of,
    int_at,
    put_double,
    put_int,
    put_unsigned,
    sized,
    varint,
    word_at,
)
from streams.records.compiled import kernel, part, source_digest
from streams.records.pages import Kind

TAKEN, LEFT, NO_ROOM = 0, 1, 2
"""what became of a record"""

RESOURCE, NAME, BOUNDS, SERIES, HEAD = 0, 1, 2, 3, 4
"""levels of entries; HEAD + kind is the unit of a metric of that kind"""

ROWS, H_ROWS, BUCKETS = 0, 1, 2
"""places in `filled`: rows so far. There is room for as many as the records can hold at most."""

LEAST_POINT = 20
"""bytes of the shortest number point that makes a row: tag, length, a time and a value"""
LEAST_HISTOGRAM = 11
"""likewise of a histogram: tag, length and a time"""

_GAUGE, _COUNTER, _DELTA = int(Kind.GAUGE), int(Kind.COUNTER), int(Kind.DELTA)
_HISTOGRAM, _HISTOGRAM_DELTA = int(Kind.HISTOGRAM), int(Kind.HISTOGRAM_DELTA)
_DATA = (1 << 5) | (1 << 7) | (1 << 9)
"""fields of a metric that hold gauges, sums and histograms"""


@part
def _outcome(entry: int) -> int:
    return NO_ROOM if entry == FULL else LEFT


@part
def number_point(raw: Any, at: int, end: int, head: int, keys: Any, out: Any, filled: Any) -> int:
    """One NumberDataPoint."""
    entries, times, values = out[0], out[1], out[2]
    seen = 0
    nanos = np.uint64(0)
    value = 0.0
    flags = 0
    first = at
    last = at
    while at < end:
        tag = byte_at(raw, at)
        at += 1
        if tag == 0x3A:  # 7: attributes
            if seen & 2 and last != at - 1:
                return LEFT  # not side by side
            if not seen & 2:
                first = at - 1
                seen |= 2
            _, at = sized(raw, at, end)
            if at < 0:
                return LEFT
            last = at
        elif tag == 0x19 or tag == 0x21 or tag == 0x31 or tag == 0x11:  # 3, 4, 6, 2: fixed64
            bit = 1 << (tag >> 3) + 8
            if end - at < 8 or seen & bit:
                return LEFT
            seen |= bit
            word = word_at(raw, at)
            at += 8
            if tag == 0x19:
                nanos = word
            elif tag == 0x21:
                value = double_of(word)
            elif tag == 0x31:
                value = float(np.int64(word))
        elif tag == 0x40:  # 8: flags
            if seen & 4:
                return LEFT
            seen |= 4
            flags, at = varint(raw, at, end)
            if at < 0:
                return LEFT
        elif tag == 0x2A or tag == 0x0A:  # 5: exemplars, 1: labels of old
            _, at = sized(raw, at, end)
            if at < 0:
                return LEFT
        else:
            return LEFT
    kinds = seen & ((1 << 4 + 8) | (1 << 6 + 8))
    if kinds == 0:
        return TAKEN if flags & NO_RECORDED_VALUE else LEFT
    if kinds == ((1 << 4 + 8) | (1 << 6 + 8)) or nanos == np.uint64(0):
        return LEFT
    entry = entry_of(keys, head * 16 + SERIES, raw, first, last - first)
    if entry < 0:
        return _outcome(entry)
    row = int_at(filled, ROWS)
    put_int(entries, row, entry)
    put_int(times, row, np.int64(nanos // np.uint64(NS_PER_MS)))
    put_double(values, row, value)
    put_int(filled, ROWS, row + 1)
    return TAKEN


@part
def histogram_point(raw: Any, at: int, end: int, head: int, keys: Any, out: Any, filled: Any) -> int:
    """One HistogramDataPoint."""
    entries, times, sums, widths, buckets = out[3], out[4], out[5], out[6], out[7]
    seen = 0
    nanos = np.uint64(0)
    count = np.uint64(0)
    total = np.nan
    flags = 0
    first = at
    last = at
    counts_at = at
    counts_end = at
    bounds_at = at
    bounds_end = at
    while at < end:
        tag = byte_at(raw, at)
        at += 1
        if tag == 0x4A:  # 9: attributes
            if seen & 2 and last != at - 1:
                return LEFT
            if not seen & 2:
                first = at - 1
                seen |= 2
            _, at = sized(raw, at, end)
            if at < 0:
                return LEFT
            last = at
        elif tag == 0x11 or tag == 0x19 or tag == 0x21 or tag == 0x29 or tag == 0x59 or tag == 0x61:
            bit = 1 << (tag >> 3) + 8  # 2: start, 3: time, 4: count, 5: sum, 11 and 12: min, max
            if end - at < 8 or seen & bit:
                return LEFT
            seen |= bit
            word = word_at(raw, at)
            at += 8
            if tag == 0x19:
                nanos = word
            elif tag == 0x21:
                count = word
            elif tag == 0x29:
                total = double_of(word)
        elif tag == 0x32 or tag == 0x3A:  # 6: bucket counts, 7: bounds, packed
            bit = 1 << (tag >> 3) + 8
            if seen & bit:
                return LEFT
            seen |= bit
            start, at = sized(raw, at, end)
            if at < 0 or (at - start) & 7:
                return LEFT
            if tag == 0x32:
                counts_at, counts_end = start, at
            else:
                bounds_at, bounds_end = start, at
        elif tag == 0x50:  # 10: flags
            if seen & 4:
                return LEFT
            seen |= 4
            flags, at = varint(raw, at, end)
            if at < 0:
                return LEFT
        elif tag == 0x42:  # 8: exemplars
            _, at = sized(raw, at, end)
            if at < 0:
                return LEFT
        else:
            return LEFT
    if flags & NO_RECORDED_VALUE:
        return TAKEN
    width = (counts_end - counts_at) >> 3
    if nanos == np.uint64(0) or width > MAX_BUCKETS:
        return LEFT
    if (width == 0 and bounds_end != bounds_at) or (
        width > 0 and width != ((bounds_end - bounds_at) >> 3) + 1
    ):
        return LEFT
    edges = entry_of(keys, head * 16 + BOUNDS, raw, bounds_at, bounds_end - bounds_at)
    if edges < 0:
        return _outcome(edges)
    entry = entry_of(keys, edges * 16 + SERIES, raw, first, last - first)
    if entry < 0:
        return _outcome(entry)
    row = int_at(filled, H_ROWS)
    bucket = int_at(filled, BUCKETS)
    if width == 0:
        width = 1
        put_unsigned(buckets, bucket, count)
    else:
        for i in range(width):
            put_unsigned(buckets, bucket + i, word_at(raw, counts_at + 8 * i))
    put_int(entries, row, entry)
    put_int(times, row, np.int64(nanos // np.uint64(NS_PER_MS)))
    put_double(sums, row, total)
    put_int(widths, row, width)
    put_int(filled, H_ROWS, row + 1)
    put_int(filled, BUCKETS, bucket + width)
    return TAKEN


@part
def kind_of(raw: Any, at: int, end: int, field: int) -> int:
    """The kind of the series of a gauge, sum or histogram, -1 if it is not plain to see."""
    temporality = 0
    monotonic = 0
    seen = 0
    while at < end:
        tag = byte_at(raw, at)
        at += 1
        if tag == 0x0A:  # 1: points
            _, at = sized(raw, at, end)
            if at < 0:
                return -1
        elif (tag == 0x10 and field != 5) or (tag == 0x18 and field == 7):
            bit = 1 if tag == 0x10 else 2
            if at == end or seen & bit or byte_at(raw, at) > 2:
                return -1
            seen |= bit
            if tag == 0x10:
                temporality = byte_at(raw, at)
            else:
                monotonic = byte_at(raw, at)
            at += 1
        else:
            return -1
    if field == 5:
        return _GAUGE
    if temporality == DELTA:
        return _DELTA if field == 7 else _HISTOGRAM_DELTA
    if temporality != CUMULATIVE or monotonic > 1:
        return -1
    if field == 9:
        return _HISTOGRAM
    return _COUNTER if monotonic == 1 else _GAUGE


@part
def metric(raw: Any, at: int, end: int, resource: int, keys: Any, out: Any, filled: Any) -> int:
    """One Metric."""
    seen = 0
    name_at = at
    name_end = at
    unit_at = at
    unit_end = at
    data_at = at
    data_end = at
    field = 0
    while at < end:
        tag = byte_at(raw, at)
        at += 1
        number = tag >> 3
        # 1: name, 2: description, 3: unit, 5: gauge, 7: sum, 9: histogram, 12: metadata
        if tag & 7 != 2 or tag > 0x62:
            return LEFT
        bit = 1 << number
        if seen & bit and number != 12:
            return LEFT
        seen |= bit
        start, at = sized(raw, at, end)
        if at < 0:
            return LEFT
        if number == 1:
            name_at, name_end = start, at
        elif number == 3:
            unit_at, unit_end = start, at
        elif number == 5 or number == 7 or number == 9:
            if field:
                return LEFT
            field = number
            data_at, data_end = start, at
        elif number != 2 and number != 12:
            return LEFT
    if name_end == name_at or field == 0:
        return LEFT
    kind = kind_of(raw, data_at, data_end, field)
    if kind < 0:
        return LEFT
    name = entry_of(keys, resource * 16 + NAME, raw, name_at, name_end - name_at)
    if name < 0:
        return _outcome(name)
    head = entry_of(keys, name * 16 + HEAD + kind, raw, unit_at, unit_end - unit_at)
    if head < 0:
        return _outcome(head)
    at = data_at
    while at < data_end:
        tag = byte_at(raw, at)
        if tag != 0x0A:
            at += 2  # temporality or monotonic, looked at already
            continue
        start, at = sized(raw, at + 1, data_end)
        if field == 9:
            found = histogram_point(raw, start, at, head, keys, out, filled)
        else:
            found = number_point(raw, start, at, head, keys, out, filled)
        if found != TAKEN:
            return found
    return TAKEN


@part
def record(raw: Any, at: int, end: int, keys: Any, out: Any, filled: Any) -> int:
    """One ExportMetricsServiceRequest."""
    metrics = 0
    while at < end:
        if byte_at(raw, at) != 0x0A:  # 1: resource metrics
            return LEFT
        inner, at = sized(raw, at + 1, end)
        if at < 0:
            return LEFT
        resource = -1
        while inner < at:
            tag = byte_at(raw, inner)
            start, inner = sized(raw, inner + 1, at)
            if inner < 0:
                return LEFT
            if tag == 0x0A:  # 1: resource
                if resource >= 0:
                    return LEFT  # twice, or behind its metrics
                resource = entry_of(keys, RESOURCE, raw, start, inner - start)
                if resource < 0:
                    return _outcome(resource)
            elif tag == 0x12:  # 2: scope metrics
                if resource < 0:
                    resource = entry_of(keys, RESOURCE, raw, start, 0)
                    if resource < 0:
                        return _outcome(resource)
                while start < inner:
                    tag = byte_at(raw, start)
                    leaf, start = sized(raw, start + 1, inner)
                    if start < 0:
                        return LEFT
                    if tag == 0x12:  # 2: metrics
                        found = metric(raw, leaf, start, resource, keys, out, filled)
                        if found != TAKEN:
                            return found
                        metrics += 1
                    elif tag != 0x0A and tag != 0x1A:  # 1: scope, 3: schema
                        return LEFT
            elif tag != 0x1A:  # 3: schema
                return LEFT
    return TAKEN if metrics else LEFT


def _build(sources: int) -> Callable[..., int]:
    @kernel
    def run(
        raw: Any, ends: Any, first: int, n: int, keys: Any, out: Any, filled: Any, states: Any, counts: Any
    ) -> int:
        """Walk records `first` to `n`, which lie side by side and end at `ends`; all arrays by handle.

        Their states and (first two of four) numbers of rows are filled in. Returns the first record that
        was not looked at for want of room for its keys, else `n`.
        """
        if sources < 0:
            return -1  # never; but closing over it has a change in any part compile this anew
        for i in range(first, n):
            row, h_row, bucket = int_at(filled, ROWS), int_at(filled, H_ROWS), int_at(filled, BUCKETS)
            start = int_at(ends, i - 1) if i else 0
            state = record(raw, start, int_at(ends, i), keys, out, filled)
            put_int(states, i, state)
            if state != TAKEN:
                put_int(filled, ROWS, row)
                put_int(filled, H_ROWS, h_row)
                put_int(filled, BUCKETS, bucket)
                if state == NO_ROOM:
                    return i
            put_int(counts, 4 * i, int_at(filled, ROWS) - row)
            put_int(counts, 4 * i + 1, int_at(filled, H_ROWS) - h_row)
        return n

    return run


run = _build(source_digest(Path(__file__).parent))
