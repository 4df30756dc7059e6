"""Fluent Bit's MessagePack: a map as its Kafka output writes it, or `[time, map]` as it travels elsewhere.

The time of such a pair is a number of seconds or an EventTime (extension 0: two 32-bit words, seconds
and nanoseconds), also beside metadata (`[[time, {}], map]`). Several pairs in an array are rows of their
own, with or without the tag the forward protocol puts before them.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, WRONG_TYPE, BadRecord
from streams.decode.logs import fluent_bit
from streams.decode.logs.json_log import JsonLog
from streams.decode.look import Fields, Look
from streams.decode.otlp import RowFault
from streams.decode.times import any_ms

NAME = "fluent-bit-msgpack"

_EVENT_TIME = 0
_MAX_DEPTH = 4
"""tag, entries, entry, head of an entry: nothing of it lies deeper"""


def _extension(code: int, data: memoryview) -> object:
    if code == _EVENT_TIME and len(data) == 8:
        seconds, nanos = struct.unpack(">II", data)
        return seconds * 1_000 + nanos // 1_000_000
    return bytes(data).hex()


_fields = msgspec.msgpack.Decoder(Fields)
_items = msgspec.msgpack.Decoder(list[Raw])
_anything = msgspec.msgpack.Decoder(ext_hook=_extension)


def _load(raw: bytes | Raw) -> Any:
    found = _anything.decode(raw)
    if type(found) is datetime:  # MessagePack's own timestamp
        return found.astimezone(UTC).isoformat()
    return found


_reader = JsonLog(fluent_bit.SHAPE._replace(name=NAME), _fields.decode, _load)


def claims(look: Look) -> bool:
    """A map with Fluent Bit's keys, or pairs of a time and a map."""
    value = look.value
    try:
        if _is_map(value):
            return fluent_bit.looks_like(_as_json(_fields.decode(value)))
        if not _is_array(value):
            return False
        entries = list(_entries(_items.decode(value), 0))
        return bool(entries) and all(_time(time) > 0 for time, _ in entries)
    except (*UNREADABLE_JSON, RowFault, BadRecord):
        return False


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of a record. Raises `BadRecord`."""
    try:
        if _is_map(value):
            _reader.take(_fields.decode(value), sink)
            return
        if not _is_array(value):
            raise BadRecord(UNDECODABLE, "neither a map nor an array of MessagePack")
        entries = list(_entries(_items.decode(value), 0))
    except UNREADABLE_JSON as error:
        raise BadRecord(UNDECODABLE, f"not MessagePack: {error}"[:300]) from None
    except RowFault as fault:
        raise BadRecord(fault.reason, fault.detail) from None
    good = 0
    first: tuple[str, str] | None = None
    for time, fields in entries:
        try:
            _reader.take(_fields.decode(fields), sink, _time(time))
            good += 1
            continue
        except UNREADABLE_JSON as error:
            why = (UNDECODABLE, f"not MessagePack: {error}"[:300])
        except RowFault as error:
            why = (error.reason, error.detail)
        first = first or why
        sink.refuse(*why)
    if not good:
        raise BadRecord(*(first or (WRONG_TYPE, "an array without a pair of time and map")))


def _entries(items: list[Raw], depth: int) -> Any:
    """(time, map) pairs of an array, however it is wrapped. Raises msgspec's errors."""
    if len(items) >= 2 and _is_map(bytes(items[1])) and not _is_map(bytes(items[0])):
        yield items[0], items[1]
    elif depth < _MAX_DEPTH:
        for item in items:
            if _is_array(bytes(item)):
                yield from _entries(_items.decode(item), depth + 1)


def _time(raw: Raw) -> int:
    """Of a number, an EventTime, or an array that begins with either. Raises `RowFault`."""
    found = _load(raw)
    return any_ms(found[0] if isinstance(found, list) and found else found)


def _as_json(fields: Fields) -> Fields:
    """Names as they are, and values of which only the beginning counts."""
    return {name: Raw(msgspec.json.encode(_load(raw))) for name, raw in fields.items()}


def _is_map(value: bytes) -> bool:
    return value[:1] in _MAPS and value != b""


def _is_array(value: bytes) -> bool:
    return value[:1] in _ARRAYS and value != b""


_MAPS = frozenset(bytes([b]) for b in (*range(0x80, 0x90), 0xDE, 0xDF))
_ARRAYS = frozenset(bytes([b]) for b in (*range(0x90, 0xA0), 0xDC, 0xDD))
