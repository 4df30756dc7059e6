"""OTLP metrics as protobuf, a chunk of records at once: what the kernel takes, with its keys resolved.

Everything else (logs, traces, summaries, exponential histograms, and whatever is wrong) goes record by
record to `otlp_protobuf`. Both look series up in the same catalog under the same keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.decode import otlp_kernel, otlp_protobuf
from streams.decode.columns import Columns
from streams.decode.otlp_kernel import BOUNDS, H_ROWS, HEAD, NAME, RESOURCE, ROWS, TAKEN
from streams.decode.otlp_protobuf import Group, sender
from streams.decode.rawbytes import handle
from streams.decode.shortcut import Shortcut, in_runs, joined
from streams.records.pages import I64, Kind


class _Walked(NamedTuple):
    """What the kernel found."""

    states: I64
    counts: I64
    filled: I64
    out: tuple[Any, ...]


def decode_batch(values: Sequence[bytes], sink: Columns, one: Callable[[int], None]) -> None:
    """See `BatchDecoder`."""
    shortcut = Shortcut.of(sink, "otlp")
    raw, ends = joined(values)

    def meaning(key: bytes, level: int, above: int) -> tuple[int, Any]:
        if level == RESOURCE:
            slot = sender(key, sink)
            return slot, (key, sink.catalog.origins.entries[slot])
        if level == NAME:
            return 0, (above, key.decode())
        held = shortcut.kept[above]
        if level >= HEAD:
            resource, name = held
            raw_resource, origin = shortcut.kept[resource]
            return 0, Group(raw_resource, origin, name, key.decode(), Kind(level - HEAD), sink.catalog)
        if level == BOUNDS:
            return 0, (held, key)
        if isinstance(held, Group):
            return otlp_protobuf.number_slot(held, list(_contents(key))), None
        group, edges = held
        return otlp_protobuf.histogram_slot(group, edges, list(_contents(key))), None

    walked = _walk(shortcut, raw, ends)
    if not shortcut.resolve(meaning):
        # Once more, now that the kernel knows which keys are of no use.
        walked = _walk(shortcut, raw, ends)
    _put(walked, shortcut.keys.meaning, sink, one)


def _contents(raw: bytes) -> Iterator[bytes]:
    """Contents of length-delimited fields that lie side by side, known to be well-formed."""
    at = 0
    while at < len(raw):
        at += 1
        size = shift = 0
        while raw[at] >= 0x80:
            size |= (raw[at] & 0x7F) << shift
            shift += 7
            at += 1
        size |= raw[at] << shift
        at += 1
        yield raw[at : at + size]
        at += size


def _walk(shortcut: Shortcut, raw: Any, ends: I64) -> _Walked:
    keys, n, size = shortcut.keys, len(ends), len(raw)
    rows, h_rows = size // otlp_kernel.LEAST_POINT + 1, size // otlp_kernel.LEAST_HISTOGRAM + 1
    out = (
        np.empty(rows, np.int64),
        np.empty(rows, np.int64),
        np.empty(rows, np.float64),
        np.empty(h_rows, np.int64),
        np.empty(h_rows, np.int64),
        np.empty(h_rows, np.float64),
        np.empty(h_rows, np.int64),
        np.empty(size // 8 + h_rows, np.uint64),
    )
    states, counts, filled = np.zeros(n, np.int64), np.zeros(4 * n, np.int64), np.zeros(3, np.int64)
    done = 0
    while True:
        done = otlp_kernel.run(
            handle(raw),
            handle(ends),
            done,
            n,
            keys.handles(),
            tuple(map(handle, out)),
            handle(filled),
            handle(states),
            handle(counts),
        )
        if done == n:
            return _Walked(states, counts.reshape(n, 4), filled, out)
        shortcut.more_room(ends, done)


def _put(walked: _Walked, slots: I64, sink: Columns, one: Callable[[int], None]) -> None:
    states, counts, filled, (entry, ts, value, h_entry, h_ts, h_sum, h_width, buckets) = walked
    slot = slots[entry[: filled[ROWS]]]
    h_slot = slots[h_entry[: filled[H_ROWS]]]
    at = h_at = b_at = 0

    def put(start: int, end: int) -> None:
        nonlocal at, h_at, b_at
        rows, h_rows = counts[start:end, :2].sum(axis=0).tolist()
        these, at = slice(at, at + rows), at + rows
        sink.samples(slot[these], ts[these], value[these])
        if h_rows:
            these, h_at = slice(h_at, h_at + h_rows), h_at + h_rows
            b_end = b_at + int(h_width[these].sum())
            packed, b_at = buckets[b_at:b_end].astype("<u8", copy=False).tobytes(), b_end
            sink.histograms(h_slot[these], h_ts[these], h_sum[these], h_width[these], packed)
        sink.finish_many(counts[start:end])

    in_runs(states != TAKEN, put, one)
