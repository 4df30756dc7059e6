"""How many items a record has, told from its bytes before anything is made of them.

An item is what costs memory out of proportion to its bytes: an object or array of JSON and MessagePack
(there also what is in an array), a point, log record or span of OTLP, a series or sample of Prometheus, what
separators set apart in lines. Four million empty log records are eight megabytes on the wire and hundreds in
memory; so a record of more than `ingest.max_record_items` is refused before it is parsed, whichever reader it
is for.

Counting costs little and is only done where a record is long enough to have too many.
What is no valid record gets any number: it is the decoder's to say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cramjam
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from streams.decode import thin, wire
from streams.decode.errors import OVERSIZED, BadRecord

Count = Callable[[bytes, int], int]
"""(value, most) -> items; may stop counting at more than `most`"""


class Items(NamedTuple):
    """How a format's items are counted."""

    counted: Count
    least: int
    """bytes an item has at least"""

    def beyond(self, most: int, *values: bytes) -> int:
        """Items of a record's values together if they are more than `most`, else 0."""
        if sum(map(len, values)) <= self.least * most:
            return 0
        found = sum(self.counted(value, most) for value in values)
        return found if found > most else 0

    def check(self, most: int, *values: bytes) -> None:
        """Raises `BadRecord` if there are more than `most`."""
        found = self.beyond(most, *values)
        if found:
            raise BadRecord(OVERSIZED, f"{found} items or more, at most {most} (ingest.max_record_items)")


def _json(value: bytes, most: int) -> int:
    return value.count(b"{") + value.count(b"[")


def _separated(*separators: bytes) -> Count:
    def count(value: bytes, most: int) -> int:
        return sum(map(value.count, separators))

    return count


def _halves(value: bytes, most: int) -> int:
    return len(value) // 2


# -- protobuf: level by level, each with its items left as bytes ------------------------------

_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES

_First: Any
_Second: Any
_Kinds: Any
_Write: Any
_Series: Any
_First, _Second, _Kinds, _Write, _Series = thin.build(
    "tocsin.items",
    {
        "First": (("items", 1, _BYTES, "repeated"),),
        "Second": (("items", 2, _BYTES, "repeated"),),
        "Kinds": tuple((f"kind_{n}", n, _BYTES, "repeated") for n in (5, 7, 9, 10, 11)),
        "Write": tuple((f"items_{n}", n, _BYTES, "repeated") for n in (1, 3, 4, 5)),
        "Series": tuple((f"items_{n}", n, _BYTES, "repeated") for n in (1, 2, 3, 4)),
    },
    ("First", "Second", "Kinds", "Write", "Series"),
)


class _Enough(Exception):
    """More than wanted; the argument says how many have been seen."""


class _Counter:
    def __init__(self, most: int) -> None:
        self.most = most
        self.found = 0

    def into(self, kind: Any, raw: bytes) -> list[bytes]:
        """The items of a message, counted before they are made."""
        message = kind.FromString(raw)
        lists = [getattr(message, field.name) for field in kind.DESCRIPTOR.fields]
        self.found += sum(map(len, lists))
        if self.found > self.most:
            raise _Enough(self.found)
        return [item for each in lists for item in each]


def _otlp(value: bytes, most: int) -> int:
    counter = _Counter(most)
    try:
        metrics = wire.METRICS in wire.signals(value)
        for resource in counter.into(_First, value):
            for scope in counter.into(_Second, resource):
                leaves = counter.into(_Second, scope)
                for leaf in leaves if metrics else ():
                    for kind in counter.into(_Kinds, leaf):
                        counter.into(_First, kind)
    except (_Enough, DecodeError, wire.Malformed):
        pass
    return counter.found


def _remote_write(value: bytes, most: int) -> int:
    counter = _Counter(most)
    try:
        if cramjam.snappy.decompress_raw_len(value) <= 2 * most:
            return 0
        for series in counter.into(_Write, bytes(cramjam.snappy.decompress_raw(value))):
            counter.into(_Series, series)
    except (_Enough, DecodeError, cramjam.DecompressionError):
        pass
    return counter.found


# -- MessagePack: a flat walk, since what is in an array or map follows its head ---------------

_FIXED = {
    **dict.fromkeys((*range(0xA0), 0xC0, 0xC1, 0xC2, 0xC3, *range(0xE0, 0x100)), 1),
    **{0xA0 + n: 1 + n for n in range(32)},
    **{0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9},
    **{0xD4 + n: 2 + (1 << n) for n in range(5)},
    **{0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5},
}
"""first byte -> bytes of the whole, without what follows the head of an array or map"""
_SIZED = {0xC4: (1, 2), 0xC5: (2, 3), 0xC6: (4, 5), 0xC7: (1, 3), 0xC8: (2, 4), 0xC9: (4, 6)}
_SIZED |= {0xD9: (1, 2), 0xDA: (2, 3), 0xDB: (4, 5)}
"""first byte -> bytes of the length behind it, and of the head"""
_CONTAINERS = frozenset((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))
_LENGTHS = {0xDC: 2, 0xDD: 4}
"""first byte of a long array -> bytes of its length"""


def _msgpack(value: bytes, most: int) -> int:
    at = found = 0
    fixed, containers, end = _FIXED, _CONTAINERS, len(value)
    while at < end and found <= most:
        first = value[at]
        size = fixed.get(first)
        if size is None:
            width, head = _SIZED[first]
            size = head + int.from_bytes(value[at + 1 : at + 1 + width])
        elif first in containers:
            found += 1
            # Whatever is in an array becomes an object, and is one of a few in a record as it should be.
            if first & 0xF0 == 0x90:
                found += first & 0x0F
            elif first in _LENGTHS:
                found += int.from_bytes(value[at + 1 : at + 1 + _LENGTHS[first]])
        at += size
    return found


JSON = Items(_json, 1)
OTLP = Items(_otlp, 2)
MSGPACK = Items(_msgpack, 1)
LINES = Items(_separated(b"\n"), 1)
PAIRS = Items(_separated(b"\n", b","), 1)
TAGGED = Items(_separated(b"\n", b",", b";", b":"), 1)
REMOTE_WRITE = Items(_remote_write, 0)
"""compressed: its bytes say nothing"""
SCHEMA = Items(_halves, 2)
"""Avro and protobuf of any schema: an item may take as little as two bytes, so its bytes are its measure"""


def _unknown(value: bytes, most: int) -> int:
    first = value.lstrip()[:1]
    if first in (b"{", b"["):
        return _json(value, most)
    return _msgpack(value, most) if value and value[0] in _CONTAINERS else 0


UNKNOWN = Items(_unknown, 1)
"""of `auto`, before a format has been found"""
