"""What the metric formats share: flat labels to a series, and what a metric's name says of its kind."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streams.decode import anyvalue, units
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON
from streams.decode.otlp import RowFault
from streams.decode.resource import series
from streams.decode.senders import Usual, sender
from streams.records.pages import Kind, Series

MAX_TIME = 2**62
"""ms; beyond it differences of times would not fit their 64 bits"""

_USUAL = Usual()
_texts = msgspec.json.Decoder(
    dict[str, str | int | float | bool | list[str | int | float | bool | None] | None]
)

_COUNTED = ("_total", "_count", "_sum", "_bucket")


def kind_of_name(metric: str) -> Kind:
    """Counter or gauge by the Prometheus convention, for producers that do not say."""
    return Kind.COUNTER if metric.endswith(_COUNTED) else Kind.GAUGE


def describe(
    sink: Columns,
    metric: str,
    labels: Mapping[str, str],
    unit: str,
    kind: Kind,
    *,
    usual: Usual = _USUAL,
    bounds: tuple[float, ...] = (),
    beside: Mapping[str, str] | None = None,
) -> Series:
    """The series of a metric with these labels, which also say who sent it.

    `beside`: fields that may name the sender, too, but do not tell series apart. Without a `unit`, it
    is the one in the metric's name. Raises `RowFault` for a metric without a name.
    """
    if not metric:
        raise RowFault("a metric must have a name")
    found = sender({**beside, **labels} if beside else labels, sink.catalog.rules, usual)
    kept = ((key, value) for key, value in found.labels.items() if key in labels)
    unit = unit or units.in_name(metric)
    return series(found.origin, metric, kept, unit, kind, sink.catalog.max_labels, bounds)


def texts(raw: msgspec.Raw, what: str) -> dict[str, str]:
    """A JSON object of plain values as texts; those without a value are left out. Raises `RowFault`.

    Several values of one label are one text, joined with commas.
    """
    try:
        found = _texts.decode(raw)
    except UNREADABLE_JSON as error:
        raise RowFault(f"{what} must be an object of plain values: {error}"[:300]) from None
    return {
        key: ",".join(anyvalue.render(each) for each in value if each is not None)
        if isinstance(value, list)
        else anyvalue.render(value)
        for key, value in found.items()
        if value is not None
    }


def checked_ms(ts_ms: int) -> int:
    """A time in ms as it is. Raises `RowFault` for one that is none."""
    if not 0 < ts_ms < MAX_TIME:
        raise RowFault(f"a time must be milliseconds since 1970, not {ts_ms}")
    return ts_ms


def text_of(raw: bytes, what: str) -> str:
    """UTF-8 to text. Raises `RowFault`."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RowFault(f"{what} is not UTF-8: {raw[:60]!r}") from None
