"""Samples of remote write 1.0 without a parse of each: many series of one shape, in a few numpy steps.

A series as Prometheus writes it is its labels, then a sample of 16 bytes: value (tag 9 and a double),
time (tag 16 and a number of six bytes, as all of 1972 to 2109 have in ms). So its last 18 bytes are
the sample (9, if the value is zero: it is left out), and what is before them is the raw key of the
series. Whatever has another shape is for the parser.
"""

from __future__ import annotations

import math
import struct
from typing import Protocol

import numpy as np

from streams.decode.columns import Columns

_BEGINS = b"\x12\x10\x09"
_BEGINS_ZERO = b"\x12\x07\x10"
_ZERO = bytes(8)
_TIME_TAG = 0x10
_VALUE, _TIME = slice(0, 8), slice(9, 15)
_SHIFTS = np.array([0, 7, 14, 21, 28, 35], dtype=np.int64)
_STALE_BITS = 0x7FF0000000000002
STALE = struct.pack("<Q", _STALE_BITS)
"""the NaN that marks the end of a series"""


def is_stale(value: float) -> bool:
    """Does this NaN say that the series has ended?"""
    return value != value and struct.pack("<d", value) == STALE


def fits(raw: bytes) -> int:
    """How many bytes its one sample of a usual shape takes at the end; 0 if it does not end in one."""
    if raw[-18:-15] == _BEGINS and raw[-7] == _TIME_TAG:
        size = 18
    elif raw[-9:-6] == _BEGINS_ZERO:
        size = 9
    else:
        return 0
    # All but the last byte of a number say that it goes on.
    return size if raw[-1] < 0x80 and min(raw[-6:-1]) >= 0x80 else 0


class _Series(Protocol):
    sink: Columns

    def means_nothing(self, value: float, slot: int) -> bool: ...


class Heads:
    """Collects samples that fit, and appends them in their order. Mutable."""

    def __init__(self, series: _Series) -> None:
        self._series = series
        self._slots: list[int] = []
        self._samples = bytearray()

    def add(self, slot: int, raw: bytes, size: int) -> None:
        """The sample in the last `size` bytes of `raw`, as `fits` said."""
        self._slots.append(slot)
        self._samples += raw[-15:] if size == 18 else _ZERO + raw[-7:]

    def flush(self) -> None:
        """Append what was collected: before any row that comes in another way, so that order stays."""
        if not self._slots:
            return
        sink, slots = self._series.sink, np.array(self._slots, dtype=np.int64)
        rows = np.frombuffer(bytes(self._samples), dtype=np.uint8).reshape(-1, 15)
        values = np.ascontiguousarray(rows[:, _VALUE]).view("<f8").ravel()
        ts = ((rows[:, _TIME].astype(np.int64) & 0x7F) << _SHIFTS).sum(axis=1)
        numbers = ~np.isnan(values)
        if not numbers.all():
            stale = values.view("<u8") == _STALE_BITS
            for at in np.flatnonzero(~numbers & ~stale).tolist():
                numbers[at] = not self._series.means_nothing(math.nan, self._slots[at])
            slots, ts, values = slots[numbers], ts[numbers], values[numbers]
        sink.slot.frombytes(slots.tobytes())
        sink.ts.frombytes(ts.astype(np.int64).tobytes())
        sink.value.frombytes(values.astype(np.float64).tobytes())
        self._slots.clear()
        self._samples.clear()
