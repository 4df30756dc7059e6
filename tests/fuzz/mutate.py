"""Damages records, fast and by a seeded dice alone: the same seed gives the same bytes anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable

from streams.decode import wire
from tests.fuzz.seeds import Seed
from tests.fuzz.shapes import Span, replaced, varint

JSON_VALUES = (
    b"null", b"true", b"false", b'""', b"0", b"-0", b"-1", b"1.5", b"[]", b"{}", b"[null]", b"[[]]",
    b'{"":null}', b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"+Inf"', b'"-Infinity"', b'"nan"',
    b"1e400", b"-1e400", b"1e-400", b"1e308", b"5e-324", b"1" + b"0" * 400, b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616",
    b"4102444800000", b"253402300800", b"1e18", b"1700000000", b"1700000000000", b"1700000000000000000",
    b'"1700000000000000000"', b'"2023-11-14T22:13:20Z"', b'"0001-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59.999999999+14:00"', b'"2023-02-30T25:61:61Z"', b'"12"', b'"1e999"', b'"0x10"',
    b'"1_000"', b'" 1 "', b'"\\ud800"', b'"\\u0000"', b'"\\uD83D\\uDE00"', b'"\xff"', b'"\xed\xa0\x80"',
    b'"\xe2\x80\xa8"', b'"\\', b'"a\nb"', b'"' + b"x" * 300 + b'"', b"1,2", b"}", b"]", b"tru", b"--1",
    b"01", b"1.", "\"\u0661\u0662\"".encode(), "\"\u00b2\"".encode(), '"\u0130\u0307 \u202e"'.encode(),
    b'"__proto__"', b'{"a":1,"a":2}',
)  # fmt: skip
"""what a field of another type, a careless encoder or an enemy puts there"""

NUMBERS = (
    b"", b"0", b"-", b"-1", b"+1", b"1e5", b"1e999", b"NaN", b"inf", b"0x1f", b"1i", b"1u", b"1_0",
    b"1.2.3", b".", b"1,5", b"99999999999999999999", b"9223372036854775808", b"-9223372036854775809",
    b"9" * 400, b"0" * 400, b"253402300800", b"1700000000", b"1700000000000", b"1700000000000000000",
    b"191", b"192", b"999", "\u0661".encode(), "\u00b2".encode(),
)  # fmt: skip

PIECES = (
    b"\x00", b"\n", b"\r\n", b"\n\n", b"\t", b" ", b"  ", b"\\", b"\\\\", b'"', b'\\"', b"'", b",", b",,",
    b"=", b"==", b":", b"::", b"|", b"||", b"#", b"@", b"[", b"]", b"[x@1 a=\"b\"]", b"-", b"<", b">",
    b"<191>", b"<192>", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1b[31m", "\u2028".encode(),
    "\u0000".encode(), "\U0001f514".encode(), b"=,", b"\\,", b"\\=", b"\\ ",
)  # fmt: skip

VARINTS = (
    0,
    1,
    2,
    127,
    128,
    255,
    1_000,
    65_535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
FIXED = (
    bytes(8), b"\xff" * 8, b"\x00" * 6 + b"\xf0\x7f", b"\x00" * 6 + b"\xf8\x7f", b"\xff" * 7 + b"\x7f",
    b"\x01" + bytes(7),
)  # fmt: skip

Mutator = Callable[[random.Random, Seed, Seed], bytes]


def mutated(dice: random.Random, pool: tuple[Seed, ...], others: tuple[Seed, ...]) -> tuple[bytes, int]:
    """A damaged record of one of the pool, and the reference time (ms UTC) it is to have."""
    seed = pool[int(dice.random() * len(pool))]
    other = seed if dice.random() < 0.5 else others[int(dice.random() * len(others))]
    raw = seed.raw
    roll = dice.random()
    if roll < 0.6:
        if seed.json is not None:
            raw = _json(dice, seed, other)
        elif seed.proto and (not seed.marks or dice.random() < 0.1):
            raw = _proto(dice, seed, other)
        elif seed.marks:
            raw = _text(dice, seed, other)
        else:
            raw = _bytes(dice, raw, other.raw)
    if roll > 0.45:
        for _ in range(1 if dice.random() < 0.6 else 1 + int(dice.random() * 5)):
            raw = _bytes(dice, raw, other.raw)
    if seed.wrap is not None and dice.random() < 0.95:
        raw = seed.wrap.close(raw)
        if dice.random() < 0.2:
            raw = _bytes(dice, raw, other.raw)
    return raw, seed.ts


def _pick(dice: random.Random, of: tuple[bytes, ...]) -> bytes:
    return of[int(dice.random() * len(of))]


def _bytes(dice: random.Random, raw: bytes, other: bytes) -> bytes:
    """Bits, bytes, cuts, repeats, splices, length bytes: without any idea of what it is."""
    size = len(raw)
    at = int(dice.random() * size) if size else 0
    kind = int(dice.random() * 11)
    if kind == 0 and size:
        return raw[:at] + bytes((raw[at] ^ 1 << int(dice.random() * 8),)) + raw[at + 1 :]
    if kind == 1:
        return raw[:at] + bytes((int(dice.random() * 256),)) + raw[at + 1 :]
    if kind == 2:
        return raw[:at]
    if kind == 3:
        return raw[:at] + raw[at + 1 + int(dice.random() ** 3 * 60) :]
    if kind == 4:
        piece = raw[at : at + 1 + int(dice.random() ** 2 * 80)]
        return raw[:at] + piece * (1 + int(dice.random() ** 6 * 300)) + raw[at:]
    if kind == 5:
        there = int(dice.random() * len(other)) if other else 0
        return raw[:at] + other[there:]
    if kind == 6:
        there = int(dice.random() * len(other)) if other else 0
        return raw[:at] + other[there : there + 1 + int(dice.random() ** 2 * 120)] + raw[at:]
    if kind == 7:
        return raw[:at] + _pick(dice, PIECES) + raw[at + int(dice.random() * 2) :]
    if kind == 8:
        return raw[:at] + _pick(dice, FIXED) + raw[at + 8 :]
    if kind == 9:
        return raw[:at] + varint(VARINTS[int(dice.random() * len(VARINTS))]) + raw[at + 1 :]
    return (raw + b"\n" + other) if dice.random() < 0.5 else raw + other


def _deep(dice: random.Random) -> bytes:
    depth = (3, 30, 300, 3_000)[int(dice.random() ** 3 * 4)]
    opening, closing = ((b"[", b"]"), (b'{"a":', b"}"))[dice.random() < 0.5]
    return opening * depth + b"1" + (closing * depth if dice.random() < 0.7 else b"")


def _many_keys(dice: random.Random) -> bytes:
    count = (20, 70, 300, 10_000)[int(dice.random() ** 4 * 4)]
    return b"{" + b",".join(b'"k%d":"v%d"' % (n, n) for n in range(count)) + b"}"


def _any_value(dice: random.Random, raw: bytes, spans: tuple[Span, ...], other: Seed) -> bytes:
    roll = dice.random()
    if roll < 0.7:
        return _pick(dice, JSON_VALUES)
    if roll < 0.8 and spans:
        start, end = spans[int(dice.random() * len(spans))]
        return raw[start:end]
    if roll < 0.9 and other.json is not None and other.json.values:
        start, end = other.json.values[int(dice.random() * len(other.json.values))]
        return other.raw[start:end]
    if roll < 0.97:
        return _deep(dice)
    return _many_keys(dice)


def _json(dice: random.Random, seed: Seed, other: Seed) -> bytes:
    """Values of the wrong type, members lost, doubled, renamed or moved, elements repeated."""
    raw, shape = seed.raw, seed.json
    assert shape is not None
    roll = dice.random()
    if roll < 0.5 and shape.values:
        start, end = shape.values[int(dice.random() * len(shape.values))]
        return raw[:start] + _any_value(dice, raw, shape.values, other) + raw[end:]
    if roll < 0.75 and shape.members:
        start, end = shape.members[int(dice.random() * len(shape.members))]
        what = dice.random()
        if what < 0.4:  # left out, with its comma
            after = raw[end:].lstrip()
            if after.startswith(b","):
                return raw[:start] + after[1:]
            before = raw[:start].rstrip()
            return (before[:-1] if before.endswith(b",") else before) + raw[end:]
        if what < 0.7:  # there twice, the second time with anything
            key = raw[start:end].partition(b":")[0]
            return raw[:end] + b"," + key + b":" + _any_value(dice, raw, shape.values, other) + raw[end:]
        there = shape.members[int(dice.random() * len(shape.members))]
        return raw[:end] + b"," + raw[there.start : there.end] + raw[end:]
    if roll < 0.87 and shape.keys:
        start, end = shape.keys[int(dice.random() * len(shape.keys))]
        there = shape.keys[int(dice.random() * len(shape.keys))]
        key = raw[there.start : there.end] if dice.random() < 0.5 else b'"' + _pick(dice, PIECES) + b'"'
        return raw[:start] + key + raw[end:]
    if roll < 0.95 and shape.elements:
        start, end = shape.elements[int(dice.random() * len(shape.elements))]
        times = 1 + int(dice.random() ** 4 * 60)
        return raw[:end] + (b"," + raw[start:end]) * times + raw[end:]
    if dice.random() < 0.5:
        return b"[" + raw + b"]"
    return raw + b"\n" + _any_value(dice, raw, shape.values, other)


def _proto(dice: random.Random, seed: Seed, other: Seed) -> bytes:
    """Fields renumbered, retyped, repeated, left out, given other contents; lengths around them put right."""
    raw, shape = seed.raw, seed.proto
    which = int(dice.random() * len(shape))
    start, content, end, kind, _ = shape[which]
    whole = raw[start:end]
    what = int(dice.random() * 8)
    if what == 0:
        instead = b""
    elif what == 1:
        instead = whole * (2 + int(dice.random() ** 4 * 60))
    elif what == 2:  # another number, same type
        instead = varint((1 + int(dice.random() * 16)) << 3 | kind) + raw[_after_tag(raw, start) : end]
    elif what == 3:  # another type, same number
        number = raw[start] & 0x78
        instead = bytes((number | (0, 1, 2, 5)[int(dice.random() * 4)],)) + raw[_after_tag(raw, start) : end]
    elif what == 4:
        there = shape[int(dice.random() * len(shape))]
        instead = whole + raw[there.start : there.end]
    elif what == 5 and other.proto:
        there = other.proto[int(dice.random() * len(other.proto))]
        instead = other.raw[there.start : there.end]
    else:
        tag = raw[start : _after_tag(raw, start)]
        if kind == wire.BYTES:
            inside = _bytes(dice, raw[content:end], other.raw)
            length = len(inside) if dice.random() < 0.9 else VARINTS[int(dice.random() * len(VARINTS))]
            instead = tag + varint(length) + inside
        elif kind == wire.VARINT:
            instead = tag + varint(VARINTS[int(dice.random() * len(VARINTS))])
        else:
            instead = tag + _pick(dice, FIXED)[: end - content]
    return replaced(raw, shape, which, instead)


def _after_tag(raw: bytes, at: int) -> int:
    while raw[at] & 128:
        at += 1
    return at + 1


def _text(dice: random.Random, seed: Seed, other: Seed) -> bytes:
    """Separators lost, doubled or swapped, numbers out of range, lines mixed."""
    raw, spots = seed.raw, seed.marks
    start, end = spots[int(dice.random() * len(spots))]
    what = dice.random()
    if raw[start : start + 1].isdigit() and what < 0.8:
        return raw[:start] + _pick(dice, NUMBERS) + raw[end:]
    if what < 0.25:
        return raw[:start] + raw[end:]
    if what < 0.45:
        return raw[:end] + raw[start:end] * (1 + int(dice.random() ** 5 * 200)) + raw[end:]
    if what < 0.85:
        return raw[:start] + _pick(dice, PIECES) + raw[end:]
    there = spots[int(dice.random() * len(spots))]
    first, last = min(start, there.start), max(end, there.end)
    return raw[:first] + raw[last:] if dice.random() < 0.5 else raw[:last] + raw[first:last] + raw[last:]
