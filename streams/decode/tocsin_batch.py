"""Tocsin JSON lines, a chunk of records at once: samples by the kernel, the rest line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from streams.decode import json_kernel, tocsin_json
from streams.decode.columns import Columns
from streams.decode.json_kernel import ROWS, TAKEN, UNSURE
from streams.decode.rawbytes import handle
from streams.decode.shortcut import Shortcut, in_runs, joined
from streams.records.pages import F64, I64

_TIME, _VALUE = (np.frombuffer(name, dtype=np.uint8) for name in (b"ts", b"value"))
_MARKS = bytes.maketrans(bytes((json_kernel.TIME_MARK, json_kernel.VALUE_MARK)), b"00")


def decode_batch(values: Sequence[bytes], sink: Columns, one: Callable[[int], None]) -> None:
    """See `BatchDecoder`."""
    shortcut = Shortcut.of(sink, "tocsin")
    raw, ends = joined(values)

    def meaning(key: bytes, level: int, above: int) -> tuple[int, Any]:
        return tocsin_json.slot_of(key.translate(_MARKS), sink), None

    walked = _walk(shortcut, raw, ends)
    if not shortcut.resolve(meaning):
        # Once more, now that the kernel knows which keys are of no use.
        walked = _walk(shortcut, raw, ends)
    entry, ts, value, states, counts = walked
    slot = shortcut.keys.meaning[entry]
    at = 0

    def put(start: int, end: int) -> None:
        nonlocal at
        rows = int(counts[start:end, 0].sum())
        these, at = slice(at, at + rows), at + rows
        sink.samples(slot[these], ts[these], value[these])
        sink.finish_many(counts[start:end])

    in_runs(states != TAKEN, put, one)


def _walk(shortcut: Shortcut, raw: Any, ends: I64) -> tuple[I64, I64, F64, I64, I64]:
    keys, n, size = shortcut.keys, len(ends), len(raw)
    rows = size // json_kernel.LEAST_LINE + 1
    entry, ts, value = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.float64)
    unsure = np.empty(3 * rows, np.int64)
    longest = int(np.diff(ends, prepend=0).max())
    scratch = np.empty(longest + 8, np.uint8)
    states, counts, filled = np.zeros(n, np.int64), np.zeros(4 * n, np.int64), np.zeros(2, np.int64)
    done = 0
    while True:
        done = json_kernel.run(
            handle(raw),
            handle(ends),
            done,
            n,
            (handle(_TIME), len(_TIME), handle(_VALUE), len(_VALUE)),
            handle(scratch),
            keys.handles(),
            tuple(map(handle, (entry, ts, value, unsure))),
            handle(filled),
            handle(states),
            handle(counts),
        )
        if done == n:
            break
        shortcut.more_room(ends, done)
    text = raw.tobytes() if filled[UNSURE] else b""
    for row, start, end in unsure.reshape(-1, 3)[: filled[UNSURE]].tolist():
        value[row] = float(text[start:end])
    taken = filled[ROWS]
    return entry[:taken], ts[:taken], value[:taken], states, counts.reshape(n, 4)
