"""Log records that are JSON objects: one reader, told by a `Shape` where a producer keeps what.

Fields are looked for under their full name and along its dots (`log.level` is the field "log.level" or
the field "level" of the object "log"). Which of the names there are is worked out once per set of field
names; who sent a record is found by the raw bytes of the fields that may say so, and read once per sender.

A message that is itself a JSON object (an application that logs JSON behind a shipper that does not
look into it) is opened once: what it says of message, severity, trace and exception counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Raw

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, BadRecord, json_fault
from streams.decode.logs import levels, stamps, texts
from streams.decode.logs.layout import Layout, Layouts, Load, Names, along
from streams.decode.logs.shape import MESSAGE, Shape
from streams.decode.look import Fields
from streams.decode.otlp import RowFault
from streams.decode.rules import Rules
from streams.decode.senders import Usual
from streams.decode.times import any_ms
from streams.records.messages import MAX_MS

_SECONDS = MAX_MS // 1_000
"""times below it are seconds (`times.epoch_ms`)"""

_object = msgspec.json.Decoder(Fields)
_anything = msgspec.json.Decoder()
_array = msgspec.json.Decoder(list[Raw])


class JsonLog:
    """Reads the log records of one shape. Holds nothing but what it worked out for each set of rules."""

    def __init__(
        self,
        shape: Shape,
        fields: Callable[[bytes | Raw], Fields] = _object.decode,
        load: Load = _anything.decode,
    ) -> None:
        """`fields` splits an object, `load` reads a value: both as JSON unless told otherwise."""
        self.shape = shape
        self._fields = fields
        self._load = load
        self._layouts: dict[Rules, Layouts] = {}
        self._last: tuple[Rules, Layouts] | None = None

    def decode(self, value: bytes, sink: Columns) -> None:
        """Append the rows of a record: one object, an array of them, or one a line. Raises `BadRecord`."""
        try:
            fields = self._fields(value)
        except UNREADABLE_JSON as error:
            self._several(value, sink, error)
            return
        try:
            self.take(fields, sink)
        except RowFault as fault:
            raise BadRecord(fault.reason, fault.detail) from None

    def _several(self, value: bytes, sink: Columns, error: Exception) -> None:
        text = value.strip()
        if text[:1] == b"[":
            try:
                self.each(_array.decode(text), sink)
                return
            except UNREADABLE_JSON as fault:
                error = fault
        if b"\n" not in text:
            raise BadRecord(*json_fault(error))
        self.each((line for line in text.split(b"\n") if line.strip()), sink)

    def each(self, items: Iterable[bytes | Raw], sink: Columns) -> None:
        """Append the log records there are; a bad one is refused alone. Raises `BadRecord` if all are bad."""
        good = 0
        first: tuple[str, str] | None = None
        for item in items:
            try:
                self.take(self._fields(item), sink)
                good += 1
                continue
            except UNREADABLE_JSON as error:
                fault = json_fault(error)
            except RowFault as error:
                fault = (error.reason, error.detail)
            first = first or fault
            sink.refuse(*fault)
        if not good:
            raise BadRecord(*(first or (UNDECODABLE, "no log record in it")))

    def take(self, fields: Fields, sink: Columns, ts: int = -1) -> None:
        """Append one log record; `ts` is its time if the fields do not say. Raises `RowFault`."""
        layouts = self._for(sink.catalog.rules)
        layout = layouts.of(fields)
        try:
            when = self._found(layout.time, fields)
            if type(when) is float and 0 < when < _SECONDS:
                ts = round(when * 1_000)
            elif type(when) is str:
                ts = stamps.iso_ms(when)
            elif when is not None:
                ts = any_ms(when)
            elif ts < 0:
                ts = reference(sink)
            message, level, trace, kind = self._said(layout, fields)
            if message is None:
                message = self._instead(layout, fields)
            if type(message) is str:
                body = texts.plain(message)
                if not body:
                    return  # an empty line says nothing
                if body[0] == "{":
                    inner = opened(message)
                    if inner is not None:
                        body = texts.plain(inner[0]) or body
                        level, trace, kind = level or inner[1], trace or inner[2], kind or inner[3]
            else:
                body = texts.rendered(message)
            key = b"\x00".join([layout.prefix, *[fields[name] for name in layout.senders]])
            if layout.deep:
                key = layouts.deep_key(key, layout, fields, self._load)
            catalog = sink.catalog
            slot = catalog.senders.get(key)
            if slot is None:
                slot = layouts.add(key, layout, fields, self._load, catalog)
        except UNREADABLE_JSON as error:  # a text within it that is no UTF-8
            raise RowFault(*reversed(json_fault(error))) from None
        sink.log(slot, ts, level or levels.leading(body), body, trace, kind)

    def _for(self, rules: Rules) -> Layouts:
        last = self._last
        if last is not None and last[0] is rules:
            return last[1]
        found = self._layouts.get(rules)
        if found is None:
            found = self._layouts[rules] = Layouts(self.shape, rules)
        self._last = (rules, found)
        return found

    def _said(self, layout: Layout, fields: Fields) -> tuple[Any, int, str, str]:
        """Message (None if there is none), severity, trace id, exception type."""
        level, trace, kind = 0, "", ""
        if layout.severity:
            found = self._found(layout.severity, fields)
            level = self.shape.level(found) if found is not None else 0
        if layout.trace:
            trace = texts.trace_id(self._found(layout.trace, fields))
        if layout.exception:
            kind = self._text(layout.exception, fields)[: texts.MAX_TYPE]
        if layout.stack and not kind:
            kind = texts.exception_type(self._text(layout.stack, fields))
        # A text before an object: Fluent Bit's `log` may be ECS's object beside a `message`.
        message = self._text(layout.message, fields) or self._found(layout.message, fields)
        return message, level, trace, kind

    def _found(self, names: Names, fields: Fields) -> Any:
        """The first of these fields that has a value; None if none has."""
        for name, path, needle in names:
            if path and needle not in bytes(fields[name]):
                continue
            found = self._load(fields[name])
            if path:
                found = along(found, path)
            if found is not None and found != "":
                return found
        return None

    def _text(self, names: Names, fields: Fields) -> str:
        """The first of these fields that has a text; empty if none has."""
        for name, path, needle in names:
            if path and needle not in bytes(fields[name]):
                continue
            found = self._load(fields[name])
            if path:
                found = along(found, path)
            if type(found) is str and found:
                return found
        return ""

    def _instead(self, layout: Layout, fields: Fields) -> Any:
        """What stands in for a missing message: the first line of the stack trace, else all other fields."""
        stack = self._text(layout.stack, fields).strip()
        if stack:
            return stack.partition("\n")[0]
        shape = self.shape
        if any(name in fields for name in shape.message):
            return ""  # it is there, and empty
        if shape.check is not None:
            shape.check({name: self._load(raw) for name, raw in fields.items()})
        known = {*shape.time, *shape.sent_by}
        rest = {name: self._load(raw) for name, raw in fields.items() if name not in known}
        if not rest:
            raise RowFault(f"no message: none of {', '.join(shape.message)}")
        return rest


def reference(sink: Columns) -> int:
    """The record's own time, for a log record that has none. Raises `RowFault`."""
    if sink.reference_ms < 0:
        raise RowFault("no time, and the record itself has none either")
    return sink.reference_ms


_INSIDE = JsonLog(Shape("inside", (), MESSAGE, (), Usual()))
_NO_RULES = Rules()


def opened(message: str) -> tuple[str, int, str, str] | None:
    """What a message that is a JSON object says: message (may be empty), severity, trace id, exception."""
    try:
        fields = _INSIDE._fields(message.encode())
        found, level, trace, kind = _INSIDE._said(_INSIDE._for(_NO_RULES).of(fields), fields)
    except UNREADABLE_JSON:
        return None
    return found if type(found) is str else "", level, trace, kind
