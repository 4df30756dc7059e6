"""The bank's state as bytes and back: used slots only, profiles and codes only as far as filled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cramjam
import msgspec
import numpy as np
import numpy.typing as npt

from detectors import seasonal
from detectors.absence import Open
from detectors.evidence import EVIDENCE
from detectors.state import SLOT
from streams.records import interned
from streams.records.pages import I64, Series

if TYPE_CHECKING:
    from detectors.bank import Bank

FORMAT = 2
LAYOUT = SLOT.itemsize + EVIDENCE.itemsize
AT_ONCE = 1 << 20
"""bytes of a field compressed in one call"""


class BankState(msgspec.Struct, array_like=True):
    """Snapshot of a bank."""

    format: int
    layout: int
    """bytes of the two records of a series: a snapshot of another layout is refused"""
    series: list[Series]
    slots: bytes
    evidence: bytes
    due: bytes
    codes: bytes
    seasoned: bytes
    """places (among the used slots) of the series with a profile"""
    profile: bytes
    visits: bytes
    open: list[Open]
    counters: dict[str, int]
    now_ms: int
    idle_check: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(BankState)


def pack(bank: Bank) -> bytes:
    """The whole state. Equal states of equal history give equal bytes.

    It is that of a `BankState`, but each field is made, compressed and let go before the next: of a large
    bank they would take as much memory again, several times.
    """
    out = cramjam.zstd.Compressor(level=1)
    out.compress(bytes([0x90 | len(BankState.__struct_fields__)]))  # MessagePack's head of a short array
    for field in _fields(bank):
        if isinstance(field, np.ndarray):
            raw = np.ascontiguousarray(field).reshape(-1).view(np.uint8)
            out.compress(b"\xc6" + len(raw).to_bytes(4))
            for at in range(0, len(raw), AT_ONCE):
                out.compress(raw[at : at + AT_ONCE].tobytes())
        else:
            out.compress(_encoder.encode(field))
    return bytes(out.finish())


def _fields(bank: Bank) -> Iterator[Any]:
    """Those of `BankState`, in its order; arrays stand for their bytes."""
    arrays = bank._arrays
    used = np.flatnonzero(arrays.slots["used"][: len(bank._series)])
    yield FORMAT
    yield LAYOUT
    yield [bank.series_at(slot) for slot in used.tolist()]
    yield arrays.slots[used]
    yield arrays.evidence[used]
    yield arrays.due[used]
    filled = np.arange(arrays.codes.shape[1]) < arrays.slots["codes"][used][:, None]
    yield arrays.codes[used][filled]
    visited = np.flatnonzero(arrays.visits[:, : len(bank._series)].any(axis=1))
    seasoned = np.flatnonzero(arrays.visits[visited][:, used].any(axis=0))
    yield seasoned.astype("<i8")
    yield _by_series(arrays.profile, visited, used[seasoned])
    yield _by_series(arrays.visits, visited, used[seasoned])
    yield [bank.absences.open[key] for key in sorted(bank.absences.open)]
    yield bank.counters
    yield bank.now_ms
    yield bank._idle_check


def _by_series(bins: npt.NDArray[Any], visited: I64, slots: I64) -> npt.NDArray[Any]:
    """The bins of each slot, slot by slot; those never visited are zero."""
    rows = np.zeros((len(slots), len(bins)), bins.dtype)
    for which in visited.tolist():
        rows[:, which] = bins[which, slots]
    return rows


def unpack(bank: Bank, blob: bytes) -> None:
    """Fill a fresh bank. Raises `ValueError` for a snapshot of another layout."""
    state = _decoder.decode(bytes(cramjam.zstd.decompress(blob)))
    if state.format != FORMAT or state.layout != LAYOUT:
        raise ValueError(
            f"detector snapshot of format {state.format}/{state.layout}, expected {FORMAT}/{LAYOUT}"
        )
    slots = np.frombuffer(state.slots, SLOT)
    n = len(slots)
    bank.seat([interned.series(series) for series in state.series])
    arrays = bank._arrays
    arrays.slots[:n] = slots
    arrays.evidence[:n] = np.frombuffer(state.evidence, EVIDENCE)
    arrays.due[:n] = np.frombuffer(state.due, np.int64)
    filled = np.arange(arrays.codes.shape[1]) < slots["codes"][:, None]
    arrays.codes[:n][filled] = np.frombuffer(state.codes, np.float32).reshape(-1, 3)
    seasoned = np.frombuffer(state.seasoned, "<i8")
    visits = np.frombuffer(state.visits, np.uint8).reshape(-1, seasonal.BINS)
    profile = np.frombuffer(state.profile, np.int16).reshape(-1, seasonal.BINS)
    for which in np.flatnonzero(visits.any(axis=0)).tolist():
        arrays.profile[which, seasoned] = profile[:, which]
        arrays.visits[which, seasoned] = visits[:, which]
    bank.absences.open = {entry.alert.id: entry for entry in state.open}
    bank.counters.update(state.counters)
    bank.now_ms = state.now_ms
    bank._idle_check = state.idle_check
    for slot in range(n):
        bank.take_over(slot)
