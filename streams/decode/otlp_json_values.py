"""Values, senders and times in OTLP's JSON form."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from streams.decode import anyvalue
from streams.decode import otlp_json_schema as schema
from streams.decode.columns import Columns
from streams.decode.otlp import NS_PER_MS, RowFault
from streams.decode.resource import resolve
from streams.records.pages import Origin

_resource = msgspec.json.Decoder(schema.Resource, strict=False)


def plain(value: schema.AnyValue, depth: int = 0) -> object:
    if depth > anyvalue.MAX_DEPTH:
        return None
    if value.array_value is not None:
        return [plain(item, depth + 1) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
    for found in (value.string_value, value.bool_value, value.int_value, value.double_value):
        if found is not None:
            return found
    return value.bytes_value


def pairs(attributes: list[schema.KeyValue]) -> list[tuple[str, str]]:
    return [(pair.key, anyvalue.render(plain(pair.value))) for pair in attributes]


def sender_of(raw: Raw, sink: Columns) -> tuple[bytes, int]:
    """Raw key and origin slot of a resource. Raises msgspec's errors."""
    key = b"json:" + bytes(raw)

    def build() -> Origin:
        return resolve(dict(pairs(_resource.decode(raw).attributes)), sink.catalog.rules)

    return key, sink.catalog.origin(key, build)


def millis(nanos: int) -> int:
    """Raises `RowFault` for a time that is missing or no 64-bit number."""
    if not 0 < nanos < 2**64:
        raise RowFault(f"a point needs a time, not {nanos}" if nanos else "a point without a time")
    return nanos // NS_PER_MS


def integer(number: int) -> float:
    """A 64-bit integer as a double. Raises `RowFault` for a larger one."""
    if not -(2**63) <= number < 2**64:
        raise RowFault("an integer of more than 64 bits")
    return float(number)
