"""JSON records of one object, an array of them, or one on each line: a bad one is refused alone."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, BadRecord, json_fault

T = TypeVar("T")

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)


class Objects(Generic[T]):
    """Reads objects of one type."""

    def __init__(self, of: type[T]) -> None:
        self._one = msgspec.json.Decoder(of)
        self._many = msgspec.json.Decoder(list[of])  # type: ignore[valid-type]

    def read(self, value: bytes, sink: Columns) -> list[T]:
        """The objects that can be read; the others are refused. Raises `BadRecord` if none can be."""
        try:
            if value.startswith(b"["):
                return self._many.decode(value)
            found: list[T] = self._one.decode_lines(value)
        except UNREADABLE_JSON:
            found, fault = self._one_by_one(_apart(value), sink)
            if not found:
                raise BadRecord(*fault) from None
        if not found:
            raise BadRecord(UNDECODABLE, "no JSON object in it")
        return found

    def read_apart(self, raws: list[msgspec.Raw], sink: Columns) -> list[T]:
        """The same of objects that were cut out of something else already; there may be none."""
        return self._one_by_one([bytes(raw) for raw in raws], sink)[0]

    def _one_by_one(self, parts: list[bytes], sink: Columns) -> tuple[list[T], tuple[str, str]]:
        """What can be read, and the first fault."""
        found: list[T] = []
        faults: list[tuple[str, str]] = []
        for part in parts:
            try:
                found.append(self._one.decode(part))
            except UNREADABLE_JSON as error:
                fault = json_fault(error)
                faults = faults or [fault]
                sink.refuse(*fault)
        return found, (faults or [(UNDECODABLE, "no JSON object in it")])[0]


def _apart(value: bytes) -> list[bytes]:
    """The items of an array, the one object over several lines, or else the lines."""
    text = value.strip()
    try:
        if text.startswith(b"["):
            return [bytes(raw) for raw in _raws.decode(text)]
        return [bytes(_raw.decode(text))]
    except UNREADABLE_JSON:
        return [line for line in text.split(b"\n") if line.strip()]
