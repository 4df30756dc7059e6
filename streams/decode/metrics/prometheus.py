"""Prometheus remote write: a snappy block with a WriteRequest (1.0) or a write.v2.Request (2.0).

What a series counts is said by metadata *in the same record*; 1.0 sends most of it in records of its
own, which are stepped over: what a record means must not depend on those before it. Then the name
says it (`kind_of_name`). Classic histograms stay what they are on the wire, one counter a bucket with
the label `le`: senders spread their buckets over records, so no record has a whole histogram.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import cramjam
from google.protobuf.message import DecodeError

from streams.decode import wire
from streams.decode.columns import Columns
from streams.decode.errors import OVERSIZED, UNDECODABLE, WRONG_TYPE, BadRecord
from streams.decode.look import Look
from streams.decode.metrics import heads, native
from streams.decode.metrics.flat import MAX_TIME, describe, kind_of_name
from streams.decode.metrics.prometheus_schema import Label, TimeSeries, Write
from streams.decode.otlp import RowFault
from streams.records.pages import Kind

MAX_UNPACKED = 8_000_000
"""bytes of a record after decompression: as many as a record may have without"""

_UNKNOWN, _COUNTER, _HISTOGRAM, _SUMMARY = 0, 1, 3, 5
"""metric types in metadata, the same in both versions; all others are gauges"""
_PARTS = ("_bucket", "_count", "_sum", "_total", "_created")

Said = tuple[int, str]
"""metric type, unit"""
_NOTHING: Said = (_UNKNOWN, "")

_LOOKED_AT = 16


def claims(look: Look) -> bool:
    """It unpacks, to something with the fields of either version and series or metadata in it."""
    try:
        raw = unpacked(look.value)
        return _fits(raw)
    except (BadRecord, wire.Malformed):
        return False


def unpacked(value: bytes) -> bytes:
    """The bytes in a snappy block. Raises `BadRecord`, before anything is allocated for a bomb."""
    try:
        size = cramjam.snappy.decompress_raw_len(value)
        if size > MAX_UNPACKED:
            raise BadRecord(OVERSIZED, f"{size} bytes when decompressed, at most {MAX_UNPACKED}")
        return bytes(cramjam.snappy.decompress_raw(value))
    except cramjam.DecompressionError as error:
        raise BadRecord(UNDECODABLE, f"no snappy block: {error}"[:300]) from None


def _fits(raw: bytes) -> bool:
    """Raises `wire.Malformed` if it is no protobuf."""
    found = [field for field, _ in zip(wire.fields(raw, 0, len(raw)), range(_LOOKED_AT), strict=False)]
    numbers = {number for number, *_ in found}
    if not found or any(kind != wire.BYTES for _, kind, *_ in found):
        return False
    if numbers <= {4, 5}:
        return found[0][0] == 4 and found[0][2] == found[0][3]  # the first symbol is empty
    if not numbers <= {1, 3}:
        return False
    for number, _, start, end in found:
        inner = {field[0]: field[1] for field in wire.fields(raw, start, end)}
        if number == 1 and (inner.get(1) != wire.BYTES or not _is_label(raw, start, end)):
            return False
        if number == 3 and inner.get(2) != wire.BYTES:
            return False
    return True


def _is_label(raw: bytes, start: int, end: int) -> bool:
    """Is the first field of a series a label with a name and a value?"""
    number, _, at, to = next(iter(wire.fields(raw, start, end)))
    inner = [(field[0], field[1]) for field in wire.fields(raw, at, to)]
    return number == 1 and inner[:1] == [(1, wire.BYTES)] and set(inner) <= {(1, wire.BYTES), (2, wire.BYTES)}


def decode(value: bytes, sink: Columns) -> None:
    """Append the samples of a write request. Raises `BadRecord`."""
    try:
        request = Write.FromString(unpacked(value))
    except DecodeError as error:
        raise BadRecord(UNDECODABLE, f"broken protobuf: {error}"[:300]) from None
    if request.timeseries:
        _first(request, sink)
    if request.timeseries_2:
        _second(request, sink)
    elif not request.timeseries and not request.metadata:
        raise BadRecord(WRONG_TYPE, "a write request without series or metadata")


def _first(request: Any, sink: Columns) -> None:
    """Version 1.0: labels, then one sample, in all but rare cases; those are read many at a time."""
    said = {meta.family: (meta.type, meta.unit) for meta in request.metadata}
    groups = _Groups(("prometheus-1", frozenset(said.items()) if said else None), sink)
    alike = heads.Heads(groups)
    find = groups.numbers.get
    for raw in request.timeseries:
        size = heads.fits(raw)
        if size:
            key = raw[:-size]
            slot = find(key)
            if slot is None:
                slot = _new(groups, key, said)
            if slot is not None:
                alike.add(slot, raw, size)
                continue
        alike.flush()
        try:
            series = TimeSeries.FromString(raw)
            names = tuple(series.labels)
            groups.take(series, names, partial(_labels, names), said)
        except DecodeError as error:
            sink.refuse(UNDECODABLE, f"unreadable series: {error}"[:300])
    alike.flush()


def _new(groups: _Groups, key: bytes, said: Mapping[str, Said]) -> int | None:
    """Slot of a series whose sample has been cut off; None if that leaves more or less than its labels."""
    try:
        series = TimeSeries.FromString(key)
        if series.samples or series.histograms:
            return None
        return groups.describe(key, _labels(series.labels), said)
    except (DecodeError, RowFault):
        return None  # the other way names the fault


def _labels(raw: Iterable[bytes]) -> dict[str, str]:
    try:
        return {label.name: label.value for label in map(Label.FromString, raw)}
    except DecodeError as error:
        raise RowFault(f"unreadable labels: {error}"[:300], UNDECODABLE) from None


def _second(request: Any, sink: Columns) -> None:
    """Version 2.0: labels are numbers of texts in the record's own table."""
    symbols = list(request.symbols)
    by_said: dict[Said, _Groups] = {}
    for series in request.timeseries_2:
        try:
            texts = [symbols[at] for at in series.labels]
            meta = series.metadata
            said = (meta.type, symbols[meta.unit] if meta.unit else "")
        except IndexError:
            sink.refuse(WRONG_TYPE, "a series refers to a symbol that is not in the record")
            continue
        if len(texts) % 2:
            sink.refuse(WRONG_TYPE, "a series has a label without a value")
            continue

        def labels(texts: Sequence[str] = texts) -> dict[str, str]:
            return dict(zip(texts[::2], texts[1::2], strict=True))

        groups = by_said.get(said)
        if groups is None:
            groups = by_said[said] = _Groups(("prometheus-2", said), sink)
        groups.take(series, tuple(texts), labels, {"": said})


class _Groups:
    """Slots of the series of a record. A view on the catalog, made anew for every record."""

    __slots__ = ("_histograms", "numbers", "sink")

    def __init__(self, key: Hashable, sink: Columns) -> None:
        self.numbers = sink.catalog.group(key)
        self._histograms = sink.catalog.group((key, "native"))
        self.sink = sink

    def take(
        self,
        series: Any,
        raw: tuple[Hashable, ...],
        labels: Callable[[], dict[str, str]],
        said: Mapping[str, Said],
    ) -> None:
        """Append the points of one series."""
        sink = self.sink
        slot = self.numbers.get(raw)
        try:
            for sample in series.samples:
                if slot is None:
                    slot = self.describe(raw, labels(), said)
                value, ts = sample.value, sample.timestamp
                if value != value and self.means_nothing(value, slot):
                    continue
                if not 0 < ts < MAX_TIME:
                    sink.refuse(WRONG_TYPE, f"a time must be milliseconds since 1970, not {ts}")
                    continue
                sink.sample(slot, ts, value)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail, len(series.samples))
        for point in series.histograms:
            try:
                self._histogram(point, raw, labels, said)
            except RowFault as fault:
                sink.refuse(fault.reason, fault.detail)

    def means_nothing(self, value: float, slot: int) -> bool:
        """A NaN that is the end of a series, or a quantile of which nothing was observed."""
        labels = self.sink.catalog.series.entries[slot].labels
        return heads.is_stale(value) or any(name == "quantile" for name, _ in labels)

    def describe(self, raw: Hashable, labels: dict[str, str], said: Mapping[str, Said]) -> int:
        """Slot of a new series. Raises `RowFault`."""
        name = labels.pop("__name__", "")
        metric_type, unit = _said_of(name, said)
        if metric_type in (_UNKNOWN, _HISTOGRAM, _SUMMARY):
            kind = kind_of_name(name)
        else:
            kind = Kind.COUNTER if metric_type == _COUNTER else Kind.GAUGE
        if name.endswith(("_count", "_bucket")):
            unit = ""  # numbers of observations, whatever is observed
        described = describe(self.sink, name, labels, unit, kind)
        return self.sink.catalog.add_series(self.numbers, raw, described)

    def _histogram(
        self,
        point: Any,
        raw: tuple[Hashable, ...],
        labels: Callable[[], dict[str, str]],
        said: Mapping[str, Said],
    ) -> None:
        if heads.is_stale(point.sum):
            return
        if not 0 < point.timestamp < MAX_TIME:
            raise RowFault(f"a time must be milliseconds since 1970, not {point.timestamp}")
        bounds = native.bounds_of(point)
        key = (raw, bounds if point.schema == native.CUSTOM else None)
        slot = self._histograms.get(key)
        counts = native.counts_of(point, bounds)
        if slot is None:
            found = labels()
            name = found.pop("__name__", "")
            _, unit = _said_of(name, said)
            series = describe(self.sink, name, found, unit, Kind.HISTOGRAM, bounds=bounds)
            slot = self.sink.catalog.add_series(self._histograms, key, series)
        self.sink.histogram(slot, point.timestamp, point.sum, counts)


def _said_of(name: str, said: Mapping[str, Said]) -> Said:
    """Metadata of a metric: its own, that of its family, or that of the series alone."""
    if not said:
        return _NOTHING
    found = said.get(name) or said.get("")
    if found is None:
        for part in _PARTS:
            if name.endswith(part):
                found = said.get(name.removesuffix(part))
    return found or _NOTHING
