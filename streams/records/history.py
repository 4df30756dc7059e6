"""Samples as they were judged, on their way to ClickHouse: columns of numbers, and what they are of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from streams.records.pages import F64, I64, U64

ROW = np.dtype(
    [
        ("fp", "<u8"),
        ("ts", "<i8"),
        ("value", "<f8"),
        ("expected", "<f4"),
        ("lower", "<f4"),
        ("upper", "<f4"),
        ("score", "<f4"),
        ("reason", "u1"),
    ]
)
"""one sample; packed, which is ClickHouse's RowBinary of the same columns"""


class Described(msgspec.Struct, frozen=True, array_like=True):
    """A series whose samples follow."""

    fp: int
    service: str
    metric: str
    unit: str
    labels: tuple[tuple[str, str], ...]
    resource: tuple[tuple[str, str], ...]
    domain: str
    seen_at: int
    """of the sample it was described with, ms UTC"""


class HistoryPage(msgspec.Struct, frozen=True, array_like=True):
    """A record on the topic of history."""

    rows: bytes
    """of `ROW`"""
    series: tuple[Described, ...] = ()


_decoder = msgspec.msgpack.Decoder(HistoryPage)
_encoder = msgspec.msgpack.Encoder()


def encode_history(rows: npt.NDArray[np.void], series: Sequence[Described]) -> bytes:
    return _encoder.encode(HistoryPage(rows.tobytes(), tuple(series)))


def decode_history(raw: bytes) -> HistoryPage:
    """Inverse of `encode_history`. Raises `msgspec.DecodeError`, and `ValueError` for rows that are cut."""
    page = _decoder.decode(raw)
    if len(page.rows) % ROW.itemsize:
        raise ValueError(f"{len(page.rows)} bytes of rows: expected a multiple of {ROW.itemsize}")
    return page


def packed(
    fps: U64, ts: I64, values: F64, judged: Sequence[F64], reason: npt.NDArray[np.uint8]
) -> npt.NDArray[np.void]:
    """Columns as rows of `ROW`. `judged`: expected, lower, upper, score."""
    rows = np.empty(len(fps), ROW)
    rows["fp"], rows["ts"], rows["value"], rows["reason"] = fps, ts, values, reason
    for name, column in zip(("expected", "lower", "upper", "score"), judged, strict=True):
        rows[name] = column
    return rows
