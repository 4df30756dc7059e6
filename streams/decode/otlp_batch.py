"""OTLP metrics as protobuf, a chunk of records at once: what the kernel takes, with its keys resolved.

Everything else (logs, traces, summaries, exponential histograms, and whatever is wrong) goes record by
record to `otlp_protobuf`. Both look series up in the same catalog under the same keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from streams.decode import otlp, otlp_kernel, otlp_protobuf
from streams.decode.columns import Columns
from streams.decode.keys import UNUSABLE, Keys
from streams.decode.otlp import RowFault
from streams.decode.otlp_kernel import BOUNDS, H_ROWS, HEAD, NAME, RESOURCE, ROWS, TAKEN
from streams.decode.otlp_protobuf import Group, sender
from streams.records.pages import I64, Kind

MOST_BYTES = 128 << 20
"""raw keys remembered beside the catalog take this much memory at most, about"""


class _Shortcut:
    """The kernel's keys and what they mean. Belongs to one generation of a catalog."""

    def __init__(self, most: int) -> None:
        self.keys = Keys()
        self.most = most
        """entries beyond which it starts afresh"""
        self.meanings: list[Any] = []
        """by entry: resource -> (raw, origin), name -> text, unit -> its `Group`, bounds -> raw"""

    def full(self) -> bool:
        """Time to start afresh."""
        return len(self.keys) > self.most or self.keys.nbytes > MOST_BYTES

    def resolve(self, sink: Columns) -> bool:
        """Give new entries their meaning. False if one of them turned out to be of no use."""
        keys, found = self.keys, True
        for entry in range(len(self.meanings), len(keys)):
            above, level = divmod(int(keys.above[entry]), 16)
            try:
                if level != RESOURCE and keys.meaning[above] == UNUSABLE:
                    raise RowFault("it belongs to something that cannot be read")
                slot, meaning = self._meaning(keys.bytes_of(entry), level, above, sink)
            except (RowFault, DecodeError, UnicodeDecodeError):
                slot, meaning, found = UNUSABLE, None, False
            keys.meaning[entry] = slot
            self.meanings.append(meaning)
        return found

    def _meaning(self, raw: bytes, level: int, above: int, sink: Columns) -> tuple[int, Any]:
        if level == RESOURCE:
            slot = sender(raw, sink)
            return slot, (raw, sink.catalog.origins.entries[slot])
        if level == NAME:
            return 0, (above, raw.decode())
        if level >= HEAD:
            resource, name = self.meanings[above]
            raw_resource, origin = self.meanings[resource]
            return 0, Group(raw_resource, origin, name, raw.decode(), Kind(level - HEAD), sink.catalog)
        if level == BOUNDS:
            return 0, (self.meanings[above], raw)
        attributes = list(_fields(raw))
        held = self.meanings[above]
        if not isinstance(held, tuple):
            return otlp_protobuf.number_slot(held, attributes), None
        group, edges = held
        return otlp_protobuf.histogram_slot(group, edges, attributes), None


def _fields(raw: bytes) -> Any:
    """Contents of length-delimited fields that lie side by side, their one-byte tags left out."""
    at = 0
    while at < len(raw):
        at += 1
        size = shift = 0
        while True:
            byte = raw[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield raw[at : at + size]
        at += size


def decode_batch(values: Sequence[bytes], sink: Columns, one: Callable[[int], None]) -> None:
    """See `BatchDecoder`."""
    catalog = sink.catalog
    shortcut = catalog.shortcuts.get("otlp")
    if not isinstance(shortcut, _Shortcut) or shortcut.full():
        shortcut = catalog.shortcuts["otlp"] = _Shortcut(4 * catalog.max_entries)
    joined = np.frombuffer(b"".join(values), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)))
    states, counts, filled, out = _walk(shortcut, joined, ends)
    if not shortcut.resolve(sink):
        # Once more, now that the kernel knows which keys are of no use.
        states, counts, filled, out = _walk(shortcut, joined, ends)
    _put(values, sink, one, shortcut.keys.meaning, states, counts, filled, out)


def _walk(shortcut: _Shortcut, joined: Any, ends: I64) -> tuple[I64, I64, I64, tuple[Any, ...]]:
    keys, n, size = shortcut.keys, len(ends), len(joined)
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
    states, counts = np.zeros(n, np.int64), np.zeros((n, 4), np.int64)
    filled = np.zeros(3, np.int64)
    done = 0
    while True:
        done = otlp_kernel.run(joined, ends, done, keys.arrays(), out, filled, states, counts)
        if done == n:
            return states, counts, filled, out
        keys.grow(int(ends[done]))


def _put(
    values: Sequence[bytes],
    sink: Columns,
    one: Callable[[int], None],
    slots: I64,
    states: I64,
    counts: I64,
    filled: I64,
    out: tuple[Any, ...],
) -> None:
    """Rows of the records taken into the columns, in runs, and those left through `one` in between."""
    entry, ts, value, h_entry, h_ts, h_sum, h_width, buckets = out
    slot = slots[entry[: filled[ROWS]]]
    h_slot = slots[h_entry[: filled[H_ROWS]]]
    row = h_row = bucket = start = 0
    left = np.flatnonzero(states != TAKEN).tolist()
    for end in (*left, len(values)):
        if end > start:
            rows, h_rows = counts[start:end, :2].sum(axis=0).tolist()
            sink.samples(slot[row : row + rows], ts[row : row + rows], value[row : row + rows])
            if h_rows:
                width = h_width[h_row : h_row + h_rows]
                many = int(width.sum())
                sink.histograms(
                    h_slot[h_row : h_row + h_rows],
                    h_ts[h_row : h_row + h_rows],
                    h_sum[h_row : h_row + h_rows],
                    width,
                    buckets[bucket : bucket + many].tobytes(),
                )
                bucket += many
            row, h_row = row + rows, h_row + h_rows
            sink.finish_many(counts[start:end])
        if end < len(values):
            one(end)
        start = end + 1
