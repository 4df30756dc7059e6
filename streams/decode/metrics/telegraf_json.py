"""Telegraf's JSON: one metric an object, or a batch under `metrics`."""

from __future__ import annotations

import msgspec

from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE
from streams.decode.look import Fields, Look
from streams.decode.metrics.flat import checked_ms, texts
from streams.decode.metrics.objects import Objects
from streams.decode.metrics.telegraf import field_series
from streams.decode.otlp import RowFault
from streams.decode.times import any_ms

_KEYS = {"fields", "name", "tags", "timestamp"}
_EMPTY = msgspec.Raw(b"{}")


class _Metric(msgspec.Struct):
    """A metric, or a batch of them."""

    name: str = ""
    fields: dict[str, float | bool | str | None] = {}
    tags: msgspec.Raw = _EMPTY
    timestamp: int | float | str | None = None
    metrics: list[msgspec.Raw] | None = None


_metrics = Objects(_Metric)
_first = msgspec.json.Decoder(list[Fields])


def claims(look: Look) -> bool:
    """All four fields of a metric, in the object or in the first of its batch."""
    first = look.object if look.object is not None else next(iter(look.array or ()), {})
    if first.keys() == {"metrics"}:
        try:
            first = next(iter(_first.decode(first["metrics"])), {})
        except UNREADABLE_JSON:
            return False
    return first.keys() >= _KEYS


def decode(value: bytes, sink: Columns) -> None:
    """Append the fields of all metrics. Raises `BadRecord` if there is none."""
    for metric in _metrics.read(value, sink):
        if metric.metrics is None:
            _take(metric, sink)
        else:
            for each in _metrics.read_apart(metric.metrics, sink):
                _take(each, sink)


def _take(metric: _Metric, sink: Columns) -> None:
    try:
        used = _fields(metric, sink)
    except RowFault as fault:
        sink.refuse(fault.reason, fault.detail)
        return
    if not used:
        detail = f"metric {metric.name[:60]!r} has no field that is a number or a boolean"
        sink.refuse(WRONG_TYPE, detail)


def _fields(metric: _Metric, sink: Columns) -> bool:
    """Append the fields with a number; was there any? Raises `RowFault`."""
    said = metric.timestamp
    ts = sink.reference_ms if said is None else checked_ms(any_ms(said))
    group = sink.catalog.group(("telegraf", metric.name, bytes(metric.tags)))
    used = False
    for field, value in metric.fields.items():
        if not isinstance(value, float | bool):
            continue
        slot = group.get(field)
        if slot is None:
            series = field_series(sink, metric.name, field, texts(metric.tags, "tags"))
            slot = sink.catalog.add_series(group, field, series)
        sink.sample(slot, ts, value)
        used = True
    return used
