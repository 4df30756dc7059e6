"""Where the pieces of a record are: values and members of JSON, fields of protobuf, marks in text.

A mutator that knows them damages a record in places that matter, and leaves the rest readable. Worked
out once per seed.
"""

from __future__ import annotations

import re
from json.decoder import scanstring
from typing import NamedTuple

from streams.decode import wire


class Span(NamedTuple):
    """raw[start:end], a piece of JSON."""

    start: int
    end: int


class JsonShape(NamedTuple):
    values: tuple[Span, ...]
    keys: tuple[Span, ...]
    members: tuple[Span, ...]
    """key, colon and value"""
    elements: tuple[Span, ...]
    """of arrays"""


class Field(NamedTuple):
    """A protobuf field: raw[start:end], its content from `content`; `parent` is its number or -1."""

    start: int
    content: int
    end: int
    kind: int
    parent: int


_SPACE = re.compile(r"[ \t\r\n]*")
_ATOM = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")
_MARKS = re.compile(rb"[ \t\r\n,;:=|#@\"'\\\[\]{}()<>/&?%+.-]|[0-9]+")
_DEEPEST = 40


def json_shape(raw: bytes) -> JsonShape | None:
    """The pieces of one JSON value, or of several one after another; None if it is no JSON."""
    if raw.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        text = raw.decode("ascii")  # positions in text are positions in bytes
    except UnicodeDecodeError:
        # Other characters become "?" byte by byte: still JSON, and nothing moves.
        text = re.sub(rb"[\x80-\xff]", b"?", raw).decode("ascii")
    found = JsonScan(text)
    try:
        at = found.space(0)
        while at < len(text):
            at = found.space(found.value(at))
    except (ValueError, IndexError, RecursionError):
        return None
    return JsonShape(tuple(found.values), tuple(found.keys), tuple(found.members), tuple(found.elements))


class JsonScan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.values: list[Span] = []
        self.keys: list[Span] = []
        self.members: list[Span] = []
        self.elements: list[Span] = []

    def space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int) -> int:
        """End of the value that begins here. Raises ValueError or IndexError if there is none."""
        start, char = at, self.text[at]
        if char == '"':
            _, at = scanstring(self.text, at + 1, False)
        elif char in "{[":
            at = self._inside(at, char == "{")
        else:
            found = _ATOM.match(self.text, at)
            if found is None:
                raise ValueError
            at = found.end()
        self.values.append(Span(start, at))
        return at

    def _inside(self, at: int, is_object: bool) -> int:
        close = "}" if is_object else "]"
        at = self.space(at + 1)
        while self.text[at] != close:
            start = at
            if is_object:
                _, at = scanstring(self.text, at + 1, False)
                self.keys.append(Span(start, at))
                at = self.space(at)
                if self.text[at] != ":":
                    raise ValueError
                at = self.space(at + 1)
            at = self.value(at)
            (self.members if is_object else self.elements).append(Span(start, at))
            at = self.space(at)
            if self.text[at] == ",":
                at = self.space(at + 1)
            elif self.text[at] != close:
                raise ValueError
        return at + 1


def proto_shape(raw: bytes) -> tuple[Field, ...]:
    """All fields, also of what may be messages inside; empty if it is no protobuf."""
    found: list[Field] = []
    try:
        _fields(raw, 0, len(raw), -1, 0, found)
    except wire.Malformed:
        return ()
    return tuple(found)


def _fields(raw: bytes, at: int, end: int, parent: int, depth: int, found: list[Field]) -> None:
    for _, kind, content, stop in wire.fields(raw, at, end):
        found.append(Field(at, content, stop, kind, parent))
        own, at = len(found) - 1, stop
        if kind == wire.BYTES and stop > content and depth < _DEEPEST:
            try:
                _fields(raw, content, stop, own, depth + 1, found)
            except wire.Malformed:
                del found[own + 1 :]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def replaced(raw: bytes, shape: tuple[Field, ...], which: int, instead: bytes) -> bytes:
    """The field's whole bytes replaced, and the lengths of all messages around it put right."""
    field = shape[which]
    start, end = field.start, field.end
    while field.parent >= 0:
        above = shape[field.parent]
        instead = raw[above.content : start] + instead + raw[end : above.end]
        tag = 1
        while raw[above.start + tag - 1] & 128:
            tag += 1
        instead = raw[above.start : above.start + tag] + varint(len(instead)) + instead
        start, end, field = above.start, above.end, above
    return raw[:start] + instead + raw[end:]


def marks(raw: bytes) -> tuple[Span, ...]:
    """Separators, escapes and numbers of a text."""
    return tuple(Span(*found.span()) for found in _MARKS.finditer(raw[:20_000]))
