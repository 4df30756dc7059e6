"""JSON of prometheus-kafka-adapter: one sample an object, its value as text.

The adapter cuts times to whole seconds and turns the marker of a series that ended into "NaN": a
"NaN" says that there is no value, and is no row.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec

from streams.decode.columns import Columns
from streams.decode.look import Look
from streams.decode.metrics.flat import checked_ms, describe, kind_of_name, texts
from streams.decode.metrics.objects import Objects
from streams.decode.otlp import RowFault
from streams.decode.times import any_ms

_KEYS = {"name", "value", "timestamp", "labels"}


class _Sample(msgspec.Struct):
    name: str
    value: str | float
    timestamp: str | int | float
    labels: msgspec.Raw


_samples = Objects(_Sample)


@lru_cache(1_024)
def _ms(said: str | int | float) -> int:
    """Times are whole seconds, so the same few come again and again. Raises `RowFault`."""
    return checked_ms(any_ms(said))


def claims(look: Look) -> bool:
    """All four fields, the value a text, the name repeated among the labels."""
    first = look.object if look.object is not None else next(iter(look.array or ()), {})
    return (
        first.keys() >= _KEYS
        and bytes(first["value"]).startswith(b'"')
        and b'"__name__"' in bytes(first["labels"])
    )


def decode(value: bytes, sink: Columns) -> None:
    """Append the samples of a record. Raises `BadRecord` if it is none."""
    group = sink.catalog.group("prometheus-json")
    for sample in _samples.read(value, sink):
        try:
            ts = _ms(sample.timestamp)
            try:
                number = float(sample.value)
            except ValueError:
                raise RowFault(f"a value must be a number, not {str(sample.value)[:40]!r}") from None
            if math.isnan(number):
                continue
            key = (sample.name, bytes(sample.labels))
            slot = group.get(key)
            if slot is None:
                labels = texts(sample.labels, "labels")
                name = labels.pop("__name__", "") or sample.name
                series = describe(sink, name, labels, "", kind_of_name(name))
                slot = sink.catalog.add_series(group, key, series)
            sink.sample(slot, ts, number)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)
