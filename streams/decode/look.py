"""A first look at a record: what the formats ask before they claim it, worked out at most once."""

from __future__ import annotations

from functools import cached_property

import msgspec

from streams.decode import wire
from streams.decode.errors import UNREADABLE_JSON

Fields = dict[str, msgspec.Raw]

_object = msgspec.json.Decoder(Fields)
_objects = msgspec.json.Decoder(list[Fields])


class Look:
    """One record's value. Nothing here raises, whatever the bytes."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    @cached_property
    def array(self) -> list[Fields] | None:
        """The objects of a JSON array of objects (may be empty); None if it is none."""
        if not self.value.lstrip().startswith(b"["):
            return None
        try:
            return _objects.decode(self.value)
        except UNREADABLE_JSON:
            return None

    @cached_property
    def object(self) -> Fields | None:
        """The JSON object, or the one on the first line; None if there is none."""
        text = self.value.lstrip()
        if not text.startswith(b"{"):
            return None
        try:
            return _object.decode(text)
        except UNREADABLE_JSON:
            first, _, rest = text.partition(b"\n")
        if not rest:
            return None
        try:
            return _object.decode(first)
        except UNREADABLE_JSON:
            return None

    @property
    def keys(self) -> frozenset[str]:
        """Names of the fields of `object`; empty if there is none."""
        return frozenset(self.object or ())

    @cached_property
    def signals(self) -> frozenset[str]:
        """What it may carry as an OTLP export request (`wire.signals`); empty if it is none, or JSON."""
        # A protobuf record may begin like JSON ("\n{" is a field of 123 bytes): what parses, is JSON.
        if self.object is not None or self.array is not None:
            return frozenset()
        try:
            return frozenset(wire.signals(self.value))
        except wire.Malformed:
            return frozenset()

    @cached_property
    def line(self) -> str | None:
        """The first line that is not blank, if the record is text and not JSON; else None."""
        if self.object is not None or self.array is not None:
            return None
        try:
            text = self.value.decode()
        except UnicodeDecodeError:
            return None
        if any(ord(c) < 32 and c not in "\t\r\n\x1b" for c in text):
            return None
        return next((line for line in text.splitlines() if line.strip()), None)
