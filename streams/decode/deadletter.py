"""Dead letters: written so that they fit any broker's default message size, and read back."""

from __future__ import annotations

import zlib

import msgspec

from streams.decode.columns import Refusal
from streams.records.messages import DeadLetter
from streams.records.stage import Output, Record

MAX_VALUE_BYTES = 640_000
"""A third more as base64, and still below the 1 MiB a broker accepts by default."""

MAX_BESIDE_BYTES = 20_000
"""of key and headers; a name of control characters takes six times its bytes in JSON"""
MAX_DETAIL = 500

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeadLetter)


class Unreadable(ValueError):
    """Not a dead letter."""


def letter(record: Record, refusal: Refusal) -> DeadLetter:
    """The record with the reason; `refusal.rows` 0 means all of it.

    A value too large for a message is compressed, and cut if that does not help. Key and headers too
    large to be kept beside it are left out, and count as cut.
    """
    key, headers, dropped = record.key, record.headers, 0
    beside = len(key or b"") + sum(len(name.encode()) + len(content) for name, content in headers)
    if beside > MAX_BESIDE_BYTES:
        key, headers, dropped = None, (), beside
    value, encoding, cut = record.value, "", 0
    if value is not None and len(value) > MAX_VALUE_BYTES:
        packed = zlib.compress(value, 1)
        if len(packed) <= MAX_VALUE_BYTES:
            value, encoding = packed, "zlib"
        else:
            value, cut = value[:MAX_VALUE_BYTES], len(value) - MAX_VALUE_BYTES
    return DeadLetter(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        refusal.reason,
        refusal.detail[:MAX_DETAIL],
        value,
        key,
        headers,
        refusal.rows,
        encoding,
        cut + dropped,
    )


def output(topic: str, dead: DeadLetter) -> Output:
    """The dead letter as a record for `topic`."""
    key = f"{dead.topic}/{dead.partition}/{dead.offset}".encode()
    return Output(topic, _encoder.encode(dead), key=key)


def read(raw: bytes) -> DeadLetter:
    """Inverse of `output`. Raises `Unreadable`."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"not a dead letter: {error}"[:300]) from None


def original(dead: DeadLetter) -> bytes | None:
    """The record's value as it was. Raises `Unreadable` if it was cut or is damaged."""
    if dead.cut:
        raise Unreadable(f"{dead.cut} bytes of the record were too many to keep")
    if dead.encoding == "" or dead.value is None:
        return dead.value
    if dead.encoding != "zlib":
        raise Unreadable(f"unknown encoding {dead.encoding!r}")
    try:
        return zlib.decompress(dead.value)
    except zlib.error as error:
        raise Unreadable(f"damaged: {error}") from None
