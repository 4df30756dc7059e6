"""OpenTelemetry's AnyValue as text: label values and log bodies."""

from __future__ import annotations

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

MAX_DEPTH = 8
"""nesting kept of a structured body"""


def plain(value: AnyValue, depth: int = 0) -> object:
    """The value as builtins; bytes as hex, anything nested deeper than `MAX_DEPTH` as null."""
    which = value.WhichOneof("value")
    if which is None or depth > MAX_DEPTH:
        return None
    if which == "array_value":
        return [plain(item, depth + 1) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
    if which == "bytes_value":
        return value.bytes_value.hex()
    found: object = getattr(value, which)
    return found


def text(value: AnyValue) -> str:
    """Strings as they are, structures as JSON with sorted keys, numbers as JSON, nothing as empty."""
    if value.HasField("string_value"):
        return value.string_value
    return render(plain(value))


def render(found: object) -> str:
    """Builtins as text, so that every wire format writes the same value in the same way."""
    if found is None:
        return ""
    if isinstance(found, str):
        return found
    if isinstance(found, float):
        return repr(found)  # JSON has no NaN
    return msgspec.json.encode(found, order="sorted").decode()


def pairs(raw: list[bytes]) -> list[tuple[str, str]]:
    """Attributes kept as bytes by the thin schema. Raises protobuf's DecodeError."""
    parsed = map(KeyValue.FromString, raw)
    return [(pair.key, text(pair.value)) for pair in parsed]
