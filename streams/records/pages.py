"""Pages: what travels from ingest to detect, one page a shard and chunk of input records.

A page is columnar. Numbers are little-endian arrays in bytes, so that decoding a page is a few
`numpy.frombuffer` calls however many samples it holds. Every page also carries the watermark of
the source partition it was read from; a page without rows is a bare watermark.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

NO_WATERMARK = -1
"""Watermark of a source that has not been heard of yet."""


class Kind(IntEnum):
    """How a series' values are to be read."""

    GAUGE = 0
    COUNTER = 1
    """Cumulative and monotonic: becomes a rate per second, a decrease is a reset."""
    DELTA = 2
    """Increase since the sample before: becomes a rate per second."""
    HISTOGRAM = 3
    """Cumulative buckets: becomes count rate, mean and quantile estimates."""
    HISTOGRAM_DELTA = 4


class SourceState(IntEnum):
    """What a page says of its source partition (see `streams.records.watermark`)."""

    ACTIVE = 0
    IDLE = 1
    """Read to the end and quiet: it does not hold the watermark back."""
    BEGIN = 2
    """A bounded replay begins on every partition of the topic, at `watermark`."""
    ENDED = 3
    """The bounded replay has ended here; `watermark` is its newest event time."""


class Origin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who sent something. `resource` is context, not identity (host, zone, env, version, ...)."""

    service: str
    instance: str = ""
    resource: tuple[tuple[str, str], ...] = ()


class Series(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Description of a series; `labels` are sorted and are its identity with service and metric."""

    fp: int
    service: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    kind: int = Kind.GAUGE
    bounds: tuple[float, ...] = ()
    """Upper bucket bounds of a histogram; the last bucket is unbounded."""
    resource: tuple[tuple[str, str], ...] = ()

    def __lt__(self, other: Series) -> bool:
        return msgspec.structs.astuple(self) < msgspec.structs.astuple(other)


class Histograms(msgspec.Struct, array_like=True):
    """Histogram points: n rows; row i has `widths[i]` buckets in `counts`, one after another."""

    fps: bytes
    """u64[n]"""
    ts: bytes
    """i64[n], ms UTC"""
    sums: bytes
    """f64[n]; NaN when the producer sent none"""
    widths: bytes
    """i64[n]"""
    counts: bytes
    """f64[sum(widths)]"""


class Logs(msgspec.Struct, array_like=True):
    """Log records: n rows."""

    origins: list[Origin]
    origin: bytes
    """i64[n], index into `origins`"""
    ts: bytes
    """i64[n], ms UTC"""
    severity: bytes
    """u8[n], OpenTelemetry severity number (9 info, 13 warn, 17 error, 21 fatal; 0 unknown)"""
    bodies: list[str]
    trace_ids: list[str]
    """hex or empty"""
    exceptions: list[str]
    """exception type or empty"""


class Spans(msgspec.Struct, array_like=True):
    """Spans, for topology: n rows, sharded by trace id."""

    services: list[str]
    service: bytes
    """i64[n], index into `services`"""
    ts: bytes
    """i64[n], end in ms UTC (the start if there is no end): a span is sent when it ends"""
    trace_ids: bytes
    """16 bytes a row"""
    span_ids: bytes
    """8 bytes a row"""
    parent_ids: bytes
    """8 bytes a row, zero for a root"""
    failed: bytes
    """u8[n], 1 when the span's status is an error"""


class Page(msgspec.Struct, array_like=True):
    """One chunk of one source partition for one shard."""

    source: str
    """\"topic/partition\" of the input"""
    sources: int
    """how many input partitions there are in all: the shard waits until it has heard of each"""
    watermark: int
    """ms UTC; every row that follows from this source is newer (or late, and dropped)"""
    state: int = SourceState.ACTIVE
    epoch: str = ""
    """id of the bounded replay, empty for live data"""
    series: list[Series] = []
    """descriptions of series this worker has not described to this shard lately"""
    fps: bytes = b""
    """u64[n]"""
    ts: bytes = b""
    """i64[n], ms UTC"""
    values: bytes = b""
    """f64[n], finite"""
    histograms: Histograms | None = None
    logs: Logs | None = None
    spans: Spans | None = None
    peers: list[str] = []
    """with `BEGIN`: all source partitions of the replayed topic"""


class NumbersPage(msgspec.Struct, array_like=True):
    """A page as far as its numbers go: the fields of `Page` up to `histograms`; log records and spans are
    passed over without being read."""

    source: str
    sources: int
    watermark: int
    state: int = SourceState.ACTIVE
    epoch: str = ""
    series: list[Series] = []
    fps: bytes = b""
    ts: bytes = b""
    values: bytes = b""
    histograms: Histograms | None = None
    logs: ClassVar[None] = None
    spans: ClassVar[None] = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Page)
_numbers_decoder = msgspec.msgpack.Decoder(NumbersPage)


def encode_page(page: Page) -> bytes:
    """The page as msgpack."""
    return _encoder.encode(page)


def decode_page(raw: bytes) -> Page:
    """Inverse of `encode_page`. Raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
    return _decoder.decode(raw)


def decode_numbers(raw: bytes) -> NumbersPage:
    """The numbers of an encoded page; raises as `decode_page`."""
    return _numbers_decoder.decode(raw)


def u64(raw: bytes) -> U64:
    return np.frombuffer(raw, dtype="<u8")


def i64(raw: bytes) -> I64:
    return np.frombuffer(raw, dtype="<i8")


def f64(raw: bytes) -> F64:
    return np.frombuffer(raw, dtype="<f8")


def u8(raw: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(raw, dtype="u1")
