"""Compressed values: gzip, zstd, lz4 and snappy by their first bytes; those and deflate by a header.

The output is bounded before it is written: what would become larger than the limit is refused without
ever being held. The buffer of the limit's size costs address space; memory is what was written into it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import cramjam

from streams.decode.errors import OVERSIZED, UNDECODABLE, BadRecord

GZIP, ZSTD, LZ4, SNAPPY = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xff\x06\x00\x00sNaPpY"
"""how their streams begin; a snappy block without frames has no such mark"""
FIRST_BYTES = frozenset(magic[0] for magic in (GZIP, ZSTD, LZ4, SNAPPY))

_STEP = 1 << 14
_MOST_MEMBERS = 10_000
"""of a gzip stream"""

_FULL = ("failed to write whole buffer", "is smaller than required")
"""what cramjam says when the output does not fit"""


def by_magic(value: bytes, limit: int) -> bytes:
    """Decompressed if it begins like a compressed stream, else as it is. Raises `BadRecord`."""
    if value.startswith(GZIP):
        return _gzip(value, limit)
    if value.startswith(ZSTD):
        return _zstd(value, limit)
    if value.startswith(LZ4):
        return _lz4(value, limit)
    if value.startswith(SNAPPY):
        return _snappy(value, limit)
    return value


def by_name(value: bytes, encodings: str, limit: int) -> bytes:
    """Undo the encodings of a `content-encoding` header, the last one first. Raises `BadRecord`."""
    named = [name.strip().lower() for name in encodings.split(",") if name.strip()]
    if len(named) > 2:
        raise BadRecord(UNDECODABLE, f"content-encoding names {len(named)} encodings, at most 2")
    for name in reversed(named):
        unpack = ENCODINGS.get(name)
        if unpack is None:
            known = ", ".join(sorted(ENCODINGS))
            raise BadRecord(UNDECODABLE, f"content-encoding {name[:40]!r}: expected one of {known}")
        value = unpack(value, limit)
    return value


def _gzip(value: bytes, limit: int) -> bytes:
    """All members of a gzip stream."""
    return _inflate(value, limit, 31, "gzip")


def _deflate(value: bytes, limit: int) -> bytes:
    """The zlib stream that HTTP calls deflate, or the bare one that some mean by it."""
    wrapped = len(value) >= 2 and value[0] & 15 == 8 and (value[0] << 8 | value[1]) % 31 == 0
    return _inflate(value, limit, 15 if wrapped else -15, "deflate")


def _inflate(value: bytes, limit: int, wbits: int, name: str) -> bytes:
    found: list[bytes] = []
    at, room, members = 0, limit, 0
    while at < len(value):
        stream = zlib.decompressobj(wbits)
        while not stream.eof:
            # In steps: what follows a member is handed back as a copy, which must not be all the rest.
            piece = value[at : at + _STEP]
            if not piece:
                raise BadRecord(UNDECODABLE, f"{name} that ends too early")
            try:
                part = stream.decompress(piece, room + 1)
            except zlib.error as error:
                raise BadRecord(UNDECODABLE, f"not {name}: {error}") from None
            room -= len(part)
            if room < 0:
                raise _too_large(name, limit)
            found.append(part)
            at += len(piece) - len(stream.unused_data)
        members += 1
        # Whatever follows the last member without being one is padding, as gzip itself takes it.
        if wbits != 31 or not value.startswith(GZIP, at):
            break
        if members == _MOST_MEMBERS:
            raise BadRecord(UNDECODABLE, f"{name} of more than {_MOST_MEMBERS} members")
    return found[0] if len(found) == 1 else b"".join(found)


def _zstd(value: bytes, limit: int) -> bytes:
    return _into(cramjam.zstd.decompress_into, value, limit, "zstd")


def _lz4(value: bytes, limit: int) -> bytes:
    return _into(cramjam.lz4.decompress_into, value, limit, "lz4")


def _snappy(value: bytes, limit: int) -> bytes:
    """Framed, or a single block whose length stands at its beginning."""
    if value.startswith(SNAPPY):
        return _into(cramjam.snappy.decompress_into, value, limit, "snappy")
    try:
        if cramjam.snappy.decompress_raw_len(value) > limit:
            raise _too_large("snappy", limit)
    except cramjam.DecompressionError as error:
        raise BadRecord(UNDECODABLE, f"not snappy: {error}") from None
    return _into(cramjam.snappy.decompress_raw_into, value, limit, "snappy")


def _into(decompress: Callable[[bytes, bytearray], int], value: bytes, limit: int, name: str) -> bytes:
    room = bytearray(limit + 1)  # zero pages: only what is written becomes memory
    try:
        size = decompress(value, room)
    except cramjam.DecompressionError as error:
        if any(text in str(error) for text in _FULL):
            raise _too_large(name, limit) from None
        raise BadRecord(UNDECODABLE, f"not {name}: {error}"[:300]) from None
    if size > limit:
        raise _too_large(name, limit)
    with memoryview(room) as written:
        return bytes(written[:size])


def _too_large(name: str, limit: int) -> BadRecord:
    return BadRecord(OVERSIZED, f"{name} of more than {limit} bytes when decompressed")


ENCODINGS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "zstd": _zstd,
    "lz4": _lz4,
    "snappy": _snappy,
    "x-snappy-framed": _snappy,
    "deflate": _deflate,
    "identity": lambda value, limit: value,
}
"""names in a `content-encoding` header, in lower case"""
