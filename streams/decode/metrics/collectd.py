"""collectd's write_kafka JSON: an array of value lists, one number a data source.

With StoreRates, the default, derives, counters and absolutes arrive as rates per second, and nothing
in the record says so: `collectd` reads them as gauges, `collectd-counters` as what their type says.
"""

from __future__ import annotations

import msgspec

from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON
from streams.decode.look import Look
from streams.decode.metrics.flat import describe, texts
from streams.decode.metrics.objects import Objects
from streams.decode.otlp import RowFault
from streams.decode.times import epoch_ms
from streams.records.pages import Kind, Series

_KEYS = {"values", "dstypes", "dsnames", "time", "host", "plugin", "type"}
_COUNTED = {"derive", "counter", "absolute"}
_NO_RATE = 1_000
"""A derive that is a whole number of this size is a counter: a rate is divided by seconds with a fraction."""

_UNITS = {
    "if_octets": "By",
    "disk_octets": "By",
    "total_bytes": "By",
    "memory": "By",
    "swap": "By",
    "df_complex": "By",
    "bytes": "By",
    "percent": "%",
    "uptime": "s",
    "latency": "ms",
    "ping": "ms",
    "temperature": "Cel",
    "frequency": "Hz",
    "voltage": "V",
    "power": "W",
}
"""type -> unit, from collectd's own types.db"""


class _Values(msgspec.Struct):
    values: list[float | None]
    dstypes: msgspec.Raw
    dsnames: msgspec.Raw
    time: float
    host: str = ""
    plugin: str = ""
    plugin_instance: str = ""
    type: str = ""
    type_instance: str = ""
    meta: msgspec.Raw = msgspec.Raw(b"{}")


_lists = Objects(_Values)
_names = msgspec.json.Decoder(list[str])
_numbers = msgspec.json.Decoder(list[float | int | None])


def claims(look: Look) -> bool:
    """A value list, unless `claims_counters`."""
    return _is_one(look) and not claims_counters(look)


def claims_counters(look: Look) -> bool:
    """A derive or counter that is a large whole number, as no rate is."""
    if not _is_one(look):
        return False
    for each in look.array or ():
        try:
            types, values = _names.decode(each["dstypes"]), _numbers.decode(each["values"])
        except (KeyError, *UNREADABLE_JSON):
            continue
        if any(
            kind in _COUNTED and isinstance(number, int) and number >= _NO_RATE
            for kind, number in zip(types, values, strict=False)
        ):
            return True
    return False


def _is_one(look: Look) -> bool:
    return bool(look.array) and look.array[0].keys() >= _KEYS  # type: ignore[index]


def decode(value: bytes, sink: Columns) -> None:
    """Append the numbers of all value lists, derived ones as rates. Raises `BadRecord` if there is none."""
    _decode(value, sink, True)


def decode_counters(value: bytes, sink: Columns) -> None:
    """The same of a collectd with StoreRates off: derives and counters only rise."""
    _decode(value, sink, False)


def _decode(value: bytes, sink: Columns, rates: bool) -> None:
    for each in _lists.read(value, sink):
        try:
            _take(each, sink, rates)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail, max(1, len(each.values)))


def _take(each: _Values, sink: Columns, rates: bool) -> None:
    ts = epoch_ms(each.time)
    key = (
        "collectd",
        rates,
        each.host,
        each.plugin,
        each.plugin_instance,
        each.type,
        each.type_instance,
        bytes(each.dstypes),
        bytes(each.dsnames),
        bytes(each.meta),
    )
    group = sink.catalog.group(key)
    if not group or len(group) != len(each.values):
        # All of a list at once, so that a list of another length than its names is noticed.
        for at, series in enumerate(_series(each, sink, rates)):
            sink.catalog.add_series(group, at, series)
    for at, number in enumerate(each.values):
        if number is not None:
            sink.sample(group[at], ts, number)


def _series(each: _Values, sink: Columns, rates: bool) -> list[Series]:
    try:
        types, names = _names.decode(each.dstypes), _names.decode(each.dsnames)
    except UNREADABLE_JSON as error:
        raise RowFault(f"dstypes and dsnames must be lists of texts: {error}") from None
    if not len(types) == len(names) == len(each.values):
        raise RowFault(f"{len(each.values)} values, {len(names)} names and {len(types)} types of them")
    if not types:
        raise RowFault("a value list without values")
    if not each.plugin or not each.type:
        raise RowFault("a value list must have a plugin and a type")
    labels = {"host": each.host, "plugin_instance": each.plugin_instance, "type_instance": each.type_instance}
    beside = {**texts(each.meta, "meta"), "plugin": each.plugin, "type": each.type}
    base = each.plugin if each.type == each.plugin else f"{each.plugin}_{each.type}"
    found = []
    for kind_name, name in zip(types, names, strict=True):
        unit = _UNITS.get(each.type, "")
        kind = _kind(kind_name, rates)
        if rates and kind_name != "gauge":
            unit = f"{unit or '1'}/s"
        metric = base if name == "value" else f"{base}_{name}"
        own = {key: value for key, value in labels.items() if value}
        found.append(describe(sink, metric, own, unit, kind, beside=beside))
    return found


def _kind(name: str, rates: bool) -> Kind:
    if name == "gauge" or (rates and name in _COUNTED):
        return Kind.GAUGE
    if name in ("derive", "counter"):
        return Kind.COUNTER
    if name == "absolute":
        return Kind.DELTA  # it is reset when it is read
    raise RowFault(f"dstypes must be gauge, derive, counter or absolute, not {name[:40]!r}")
