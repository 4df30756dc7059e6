"""Which format a record has, for topics set to `auto`."""

from __future__ import annotations

import msgspec

from streams.decode import wire
from streams.decode.errors import UNREADABLE_JSON
from streams.decode.formats import ACTIONS, CHANGES, OTLP, OTLP_JSON, TOCSIN

_JSON_START = (b"{", b"[")
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def sniff(value: bytes) -> str | None:
    """The one format whose shape the record has; None if it has none, or that of several.

    Never a guess: a record that decides nothing is refused, and the next one is looked at.
    """
    # A protobuf record may begin like JSON ("\n{" is a field of 123 bytes), so JSON has to parse.
    if value.lstrip().startswith(_JSON_START):
        found = _json(value)
        if found is not None:
            return found
    try:
        found_signals = wire.signals(value)
    except wire.Malformed:
        return None
    return OTLP if len(found_signals) == 1 else None


def _json(value: bytes) -> str | None:
    try:
        keys = _keys.decode(value)
    except UNREADABLE_JSON:
        first, _, rest = value.lstrip().partition(b"\n")
        if not rest:
            return None
        try:
            keys = _keys.decode(first)
        except UNREADABLE_JSON:
            return None
    if keys.keys() & {"resourceMetrics", "resourceLogs", "resourceSpans"}:
        return OTLP_JSON
    if {"incident", "action"} <= keys.keys():
        return ACTIONS
    if "service" not in keys or "ts" not in keys:
        return None
    if {"metric", "value"} <= keys.keys() or "body" in keys or {"trace_id", "span_id"} <= keys.keys():
        return TOCSIN
    if keys.keys() & {"version", "summary", "author", "kind"}:
        return CHANGES
    return None
