"""Takes the wrapping off a record: first its compression, then its CloudEvent. Free where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.decode.envelope import cloudevents, packing
from streams.decode.errors import EMPTY, OVERSIZED, UNDECODABLE, BadRecord
from streams.records.stage import Record

_LOOK_FOR = b'"specversion"'
_LOOK_AT = 1_024
"""a record that does not say that it is a CloudEvent is one only if it does so at its beginning"""
_JSON = frozenset(b"{[")
_WANTED = ("content-type", "content-encoding")


class Opened(NamedTuple):
    """What is to be decoded."""

    value: bytes
    reference_ms: int = -1
    """stands in for a time that is missing in the value; -1: the record's own does"""
    source: str = ""
    """who the envelope says it is from"""
    more: tuple[Opened, ...] = ()
    """the others of a batch"""


def open(record: Record, limit: int) -> Opened:
    """The record's content, of at most `limit` bytes. Raises `BadRecord`."""
    value = record.value
    said = _headers(record) if record.headers else None
    if not value:
        if said and "specversion" in said:
            cloudevents.binary(value, said)
        raise BadRecord(EMPTY, "a record without a value")
    if len(value) > limit:
        raise BadRecord(OVERSIZED, f"{len(value)} bytes, at most {limit}")
    if not said:
        first = value[0]
        if (_LOOK_FOR not in value[:_LOOK_AT]) if first in _JSON else (first not in packing.FIRST_BYTES):
            return Opened(value)
    return _open(value, said or {}, limit)


def wraps(headers: Sequence[tuple[str, bytes]]) -> bool:
    """Whether some header speaks of a wrapping."""
    return any(_speaks(name.lower()) for name, _ in headers)


def _speaks(name: str) -> bool:
    return name in _WANTED or name.startswith(cloudevents.ATTRIBUTE)


def _headers(record: Record) -> dict[str, str]:
    """Headers about the wrapping, by name in lower case and without prefix."""
    found: dict[str, str] = {}
    for name, raw in record.headers:
        lower = name.lower()
        if _speaks(lower):
            found[lower.removeprefix(cloudevents.ATTRIBUTE)] = raw.decode("utf-8", "replace")
    return found


def _open(value: bytes, said: dict[str, str], limit: int) -> Opened:
    encodings = said.get("content-encoding")
    value = packing.by_name(value, encodings, limit) if encodings else packing.by_magic(value, limit)
    kind = said.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(cloudevents.STRUCTURED):
        if not kind.endswith("+json") and kind not in (cloudevents.STRUCTURED, cloudevents.BATCH):
            raise BadRecord(UNDECODABLE, f"CloudEvents as {kind[:60]}: only JSON is read")
        batch = kind.startswith(cloudevents.BATCH)
        events = cloudevents.batch(value) if batch else [cloudevents.structured(value)]
    elif "specversion" in said:
        events = [cloudevents.binary(value, said)]
    elif value[:1] in (b"{", b"[") and _LOOK_FOR in value[:_LOOK_AT]:
        events = cloudevents.recognised(value)
    else:
        events = []
    if not events:
        return Opened(value)
    first, *more = (
        Opened(packing.by_magic(event.data, limit), event.time_ms, event.source) for event in events
    )
    return first._replace(more=tuple(more))
