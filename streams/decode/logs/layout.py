"""Layouts: which of a shape's names a record has, worked out once per set of field names; and its sender."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

from msgspec import Raw

from streams.decode.catalog import Catalog
from streams.decode.logs import texts
from streams.decode.logs.shape import Shape
from streams.decode.look import Fields
from streams.decode.rules import Rules
from streams.decode.senders import sender
from streams.records.pages import Origin

Path = tuple[str, ...]
Names = tuple[tuple[str, Path, bytes], ...]
"""(field, path into it, the path's last step: a value without it need not be read)"""
Load = Callable[[bytes | Raw], Any]

_MAX_LAYOUTS = 1_024
_MAX_NAMES = 4_096
"""characters of the field names of a layout that is remembered"""
_MAX_KEY = 4_096
"""bytes of a sender's raw key; a longer one is digested"""
_MAX_FIELDS, _MAX_DEPTH = 256, 6
"""what is read of the fields that say who sent it"""


class Layout(NamedTuple):
    """Where a record with certain field names has what."""

    time: Names
    message: Names
    severity: Names
    trace: Names
    exception: Names
    stack: Names
    senders: tuple[str, ...]
    deep: tuple[tuple[str, Path], ...]
    """what the rules name within fields that are not the same from record to record"""
    prefix: bytes
    """tells the layouts' senders apart"""


class Layouts:
    """The layouts of one shape under one set of rules. Mutable, bounded: past the bound it starts anew."""

    def __init__(self, shape: Shape, rules: Rules) -> None:
        self._shape = shape
        self._rules = rules
        asked = dict.fromkeys((*rules.service, *rules.instance, *rules.env, *rules.keep))
        self._asked = tuple(name for name in asked if not name.startswith("="))
        self._known: dict[tuple[str, ...], Layout] = {}

    def of(self, fields: Fields) -> Layout:
        """The layout of a record."""
        names = tuple(fields)
        found = self._known.get(names)
        if found is None:
            found = self._work_out(fields)
            if sum(map(len, names)) <= _MAX_NAMES:
                if len(self._known) >= _MAX_LAYOUTS:
                    self._known.clear()
                self._known[names] = found
        return found

    def _work_out(self, fields: Fields) -> Layout:
        shape = self._shape
        whole = set(shape.sent_by)
        senders = [name for name in dict.fromkeys((*shape.sent_by, *self._asked)) if name in fields]
        deep = [
            (head, path)
            for head, path in map(_split, self._asked)
            if path and head in fields and head not in whole and head not in senders
        ]

        def there(names: tuple[str, ...]) -> Names:
            flat: list[tuple[str, Path, bytes]] = [(name, (), b"") for name in names if name in fields]
            for head, path in map(_split, names):
                if path and head in fields and head not in whole:
                    flat.append((head, path, path[-1].encode()))
            return tuple(flat)

        return Layout(
            there(shape.time),
            there(shape.message),
            there(shape.severity),
            there(shape.trace),
            there(shape.exception),
            there(shape.stack),
            tuple(senders),
            tuple(deep),
            "\x01".join([shape.name, *senders]).encode("utf-8", "replace"),
        )

    def deep_key(self, key: bytes, layout: Layout, fields: Fields, load: Load) -> bytes:
        """A sender's key with the values of `layout.deep`."""
        found = [texts.rendered(along(load(fields[head]), path)) for head, path in layout.deep]
        return b"\x00".join([key, *[text.encode() for text in found]])

    def add(self, key: bytes, layout: Layout, fields: Fields, load: Load, catalog: Catalog) -> int:
        """Slot of the sender of a record whose key is not known yet. Raises msgspec's errors."""
        if len(key) > _MAX_KEY:
            key = b"\x02" + blake2b(key, digest_size=16).digest()
        return catalog.origin(key, lambda: self._sender(layout, fields, load))

    def _sender(self, layout: Layout, fields: Fields, load: Load) -> Origin:
        flat: dict[str, str] = {}
        for name in layout.senders:
            _flatten(load(fields[name]), name, flat, 0)
        for head, path in layout.deep:
            found = texts.rendered(along(load(fields[head]), path))
            if found:
                flat[".".join((head, *path))] = found
        for name, known in self._shape.context:
            if name in flat:
                flat.setdefault(known, flat[name])
        return sender(flat, self._rules, self._shape.usual).origin


def along(found: Any, path: Path) -> Any:
    """What is at the end of a path into objects; None if there is no such path."""
    for step in path:
        if type(found) is not dict:
            return None
        found = found.get(step)
    return found


def _split(name: str) -> tuple[str, Path]:
    head, *path = name.split(".")
    return head, tuple(path)


def _flatten(value: Any, name: str, into: dict[str, str], depth: int) -> None:
    """Texts, numbers and booleans under their dotted names; lists say nothing of a sender."""
    if type(value) is dict:
        if depth < _MAX_DEPTH:
            for key, below in value.items():
                _flatten(below, f"{name}.{key}", into, depth + 1)
    elif isinstance(value, str | int | float) and value != "" and len(into) < _MAX_FIELDS:
        into[name] = texts.rendered(value)
