"""CloudEvents 1.0: one event in JSON, several in a JSON array, or attributes in headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from streams.decode.errors import EMPTY, UNDECODABLE, UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.otlp import RowFault
from streams.decode.times import rfc3339_ms

STRUCTURED = "application/cloudevents"
BATCH = "application/cloudevents-batch"
ATTRIBUTE = "ce_"
"""how the headers of an event in binary mode begin"""


class Event(msgspec.Struct, frozen=True):
    """What we use of an event."""

    data: bytes
    time_ms: int
    """-1 if it has none"""
    source: str


class _Json(msgspec.Struct):
    """All four required attributes, so that no other JSON is taken for an event."""

    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | None = None


_one = msgspec.json.Decoder(_Json)
_many = msgspec.json.Decoder(list[_Json])
_text = msgspec.json.Decoder(str)


def structured(value: bytes) -> Event:
    """The event of a record that says it is one. Raises `BadRecord`."""
    try:
        found = _one.decode(value)
    except UNREADABLE_JSON as error:
        reason, detail = json_fault(error)
        raise BadRecord(reason, f"a CloudEvent: {detail}") from None
    return _event(found)


def batch(value: bytes) -> list[Event]:
    """The events of a batch. Raises `BadRecord`."""
    try:
        found = _many.decode(value)
    except UNREADABLE_JSON as error:
        reason, detail = json_fault(error)
        raise BadRecord(reason, f"a batch of CloudEvents: {detail}") from None
    if not found:
        raise BadRecord(EMPTY, "a batch of CloudEvents without events")
    return [_event(each) for each in found]


def recognised(value: bytes) -> list[Event]:
    """The events of a record that does not say what it is; empty if it is none. Raises `BadRecord`."""
    try:
        found = _many.decode(value) if value[:1] == b"[" else [_one.decode(value)]
    except UNREADABLE_JSON:
        return []
    return [_event(each) for each in found]


def binary(value: bytes | None, attributes: Mapping[str, str]) -> Event:
    """An event whose attributes are headers, by name without prefix. Raises `BadRecord`."""
    _check(attributes.get("specversion", ""))
    if not value:
        raise BadRecord(EMPTY, "a CloudEvent in binary mode without data: a tombstone")
    return Event(value, _time(attributes.get("time")), attributes.get("source", ""))


def _event(found: _Json) -> Event:
    _check(found.specversion)
    return Event(_data(found), _time(found.time), found.source)


def _check(specversion: str) -> None:
    if not specversion.startswith("1."):
        raise BadRecord(WRONG_TYPE, f"CloudEvents 1.0 expected, specversion is {specversion[:20]!r}")


def _data(found: _Json) -> bytes:
    if found.data_base64 is not None:
        try:
            data = base64.b64decode(found.data_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRecord(UNDECODABLE, f"data_base64 of a CloudEvent: {error}") from None
    elif found.data is msgspec.UNSET or bytes(found.data) == b"null":
        data = b""
    else:
        data = bytes(found.data)
        # A text is data of its own: XML, a log line, or JSON that somebody has encoded twice.
        if data.startswith(b'"'):
            try:
                data = _text.decode(data).encode()
            except (*UNREADABLE_JSON, UnicodeEncodeError) as error:
                raise BadRecord(UNDECODABLE, f"data of a CloudEvent: {error}") from None
    if not data:
        raise BadRecord(EMPTY, "a CloudEvent without data")
    return data


def _time(text: str | None) -> int:
    """-1 without one; a time that is none says as little."""
    if not text:
        return -1
    try:
        return max(-1, rfc3339_ms(text))
    except RowFault:
        return -1
