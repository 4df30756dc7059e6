"""Golden records made large in every way that is cheap for whoever sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from streams.decode import wire
from tests.fuzz.seeds import Seed
from tests.fuzz.shapes import Field, Span, replaced, varint

_FIELDS = 14
"""protobuf fields tried of one seed, evenly spread over all"""


class Way(NamedTuple):
    """`make(size)`: the record with about `size` bytes more."""

    name: str
    make: Callable[[int], bytes]


def ways(seed: Seed) -> Iterator[Way]:
    """All ways that fit the seed's shape; what they make goes into the seed's wrapping."""
    for way in _ways(seed):
        wrap = seed.wrap
        if wrap is None:
            yield way
        else:
            make, close = way.make, wrap.close
            yield Way(f"{way.name} in {wrap.name}", lambda size, make=make, close=close: close(make(size)))


def _ways(seed: Seed) -> Iterator[Way]:
    raw = seed.raw
    yield Way("again", lambda size: raw * _times(size, raw))
    yield Way("lines", lambda size: (raw.rstrip(b"\n") + b"\n") * _times(size, raw))
    yield Way("noise after", lambda size: raw + bytes(range(256)) * _times(size, bytes(256)))
    yield Way("blanks after", lambda size: raw + b" " * size)
    if seed.json is not None:
        yield from _json(seed)
    elif seed.proto and not seed.marks:
        yield from _proto(seed)
    if seed.marks:
        yield from _text(seed)


def _many(raw: bytes, start: int, end: int, size: int, joint: bytes) -> bytes:
    """The record again and again, each time with another long text in one place."""
    pieces, length, number = [], 0, 0
    while length < size:
        text = b"%07d" % number + "\u044f".encode() * 90
        pieces.append(raw[:start] + text + raw[end:])
        length += len(pieces[-1]) + len(joint)
        number += 1
    return joint.join(pieces)


def _many_fields(raw: bytes, shape: tuple[Field, ...], which: int, size: int) -> bytes:
    field, pieces, length, number = shape[which], [], 0, 0
    tag = raw[field.start : field.start + 1]
    while length < size:
        text = b"%07d" % number + "\u044f".encode() * 90
        pieces.append(replaced(raw, shape, which, tag + varint(len(text)) + text))
        length += len(pieces[-1])
        number += 1
    return b"".join(pieces)


def _times(size: int, piece: bytes) -> int:
    return max(1, size // max(1, len(piece)))


def _in(raw: bytes, span: Span, instead: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda size: raw[: span.start] + instead(size) + raw[span.end :]


def _keys(size: int) -> bytes:
    return b",".join(b'"k%07d":"v"' % n for n in range(size // 15))


def _json(seed: Seed) -> Iterator[Way]:
    raw, shape = seed.raw, seed.json
    assert shape is not None
    yield Way("array", lambda size: b"[" + b",".join([raw] * _times(size, raw)) + b"]")
    yield Way("blanks before", lambda size: b" " * size + raw)
    if shape.elements:
        for name, span in (
            ("longest element", max(shape.elements, key=lambda s: s.end - s.start)),
            ("first element", shape.elements[0]),
            ("shortest element", min(shape.elements, key=lambda s: s.end - s.start)),
        ):
            piece = raw[span.start : span.end]
            yield Way(name, _in(raw, span, lambda size, p=piece: b",".join([p] * _times(size, p))))
    objects = [
        s for s in shape.values if raw[s.start : s.start + 2] not in (b"{}", b"[]") and raw[s.start] == 123
    ]
    spread = _spread(objects, 5)
    for at, span in spread:
        inside = raw[span.start : span.end - 1]
        yield Way(
            f"keys of object {at}", _in(raw, span, lambda size, i=inside: i + b"," + _keys(size) + b"}")
        )
    texts = [s for s in shape.values if raw[s.start] == 34]
    for at, span in _spread(texts, 6):
        yield Way(f"text {at}", _in(raw, span, lambda size: b'"' + b"x" * size + b'"'))
        yield Way(
            f"many of text {at}",
            lambda size, s=span: _many(raw.rstrip(b"\n"), s.start + 1, s.end - 1, size, b"\n"),
        )
        yield Way(
            f"array of text {at}",
            lambda size, s=span: b"[" + _many(raw.strip(), s.start + 1, s.end - 1, size, b",") + b"]",
        )
    if texts:
        longest = max(texts, key=lambda s: s.end - s.start)
        for name, piece in (("escapes", b"\\u00e9"), ("lines in text", b"\\n"), ("two bytes", "é".encode())):
            yield Way(name, _in(raw, longest, lambda size, p=piece: b'"' + p * _times(size, p) + b'"'))
        separators = b"=, |:;[\\\\ <"
        yield Way(
            "separators in text", _in(raw, longest, lambda size: b'"' + separators * (size // 12) + b'"')
        )
    numbers = [s for s in shape.values if 48 <= raw[s.start] < 58]
    for at, span in _spread(numbers, 3):
        yield Way(f"digits {at}", _in(raw, span, lambda size: b"1" * size))
        yield Way(f"fraction {at}", _in(raw, span, lambda size: b"1." + b"1" * size))
    for at, span in _spread(list(shape.values), 4):
        yield Way(f"nested arrays {at}", _in(raw, span, lambda size: b"[" * (size // 2) + b"]" * (size // 2)))
        yield Way(
            f"nested objects {at}",
            _in(raw, span, lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6)),
        )
        yield Way(f"numbers {at}", _in(raw, span, lambda size: b"[" + b"1," * (size // 2) + b"1]"))
        yield Way(f"empty objects {at}", _in(raw, span, lambda size: b"[" + b"{}," * (size // 3) + b"{}]"))


def _spread(of: list[Span], count: int) -> list[tuple[int, Span]]:
    if len(of) <= count:
        return list(enumerate(of))
    return [(at, of[at]) for at in sorted({round(n * (len(of) - 1) / (count - 1)) for n in range(count)})]


def _proto(seed: Seed) -> Iterator[Way]:
    raw, shape = seed.raw, seed.proto
    step = max(1, len(shape) // _FIELDS)
    for at in range(0, len(shape), step):
        field = shape[at]
        whole = raw[field.start : field.end]
        yield Way(
            f"field {at} again", lambda size, a=at, w=whole: replaced(raw, shape, a, w * _times(size, w))
        )
        if field.kind == wire.BYTES:
            tag = raw[field.start : field.start + 1]
            yield Way(
                f"bytes {at}",
                lambda size, a=at, t=tag: replaced(raw, shape, a, t + varint(size) + b"x" * size),
            )
            yield Way(
                f"empty fields {at}",
                lambda size, a=at, t=tag: replaced(
                    raw, shape, a, t + varint(2 * (size // 2)) + b"\x0a\x00" * (size // 2)
                ),
            )
            yield Way(f"many of bytes {at}", lambda size, a=at: _many_fields(raw, shape, a, size))
            yield Way(f"nested {at}", lambda size, a=at, t=tag: replaced(raw, shape, a, _nested(t, size)))


def _nested(tag: bytes, size: int) -> bytes:
    """Messages in messages, as deep as the size allows (each level costs its length)."""
    inner, depth = b"", min(size // 6, 20_000)
    pieces: list[bytes] = []
    length = 0
    for _ in range(depth):
        head = tag + varint(length)
        pieces.append(head)
        length += len(head)
    return b"".join(reversed(pieces)) + inner


def _text(seed: Seed) -> Iterator[Way]:
    raw = seed.raw
    seen: set[bytes] = set()
    for span in seed.marks:
        mark = raw[span.start : span.end]
        kind = b"0" if mark.isdigit() else mark
        if kind in seen or len(seen) > 12:
            continue
        seen.add(kind)
        piece = b"1" if mark.isdigit() else mark
        yield Way(
            f"many {piece.decode(errors='replace')!r}",
            _in(raw, span, lambda size, p=piece: p * _times(size, p)),
        )
    yield Way("letters", lambda size: raw[:1] + b"x" * size + raw[1:])
    for at, span in _spread([*seed.marks], 6):
        yield Way(f"many at {at}", lambda size, s=span: _many(raw.rstrip(b"\n"), s.start, s.end, size, b"\n"))
    yield Way("letters after", lambda size: raw.rstrip(b"\n") + b"x" * size)
    for name, piece in (
        ("pairs", b",k=v"),
        ("words", b" k=v"),
        ("escapes", b"\\,"),
        ("quotes", b'"'),
        ("tags", b"|#a:b"),
    ):
        for where, at in (
            ("early", len(raw) // 8),
            ("half-way", len(raw) // 2),
            ("late", len(raw.rstrip(b"\n"))),
        ):
            yield Way(f"{name} {where}", lambda size, p=piece, a=at: raw[:a] + p * _times(size, p) + raw[a:])
