"""Lines of a record that are refused alone, unless none of the record can be used."""

from __future__ import annotations

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, BadRecord


class Refused:
    """Keeps the first fault of a record. Mutable."""

    def __init__(self, sink: Columns) -> None:
        self._sink = sink
        self._first = (UNDECODABLE, "no line in it")
        self._any = False

    def add(self, reason: str, detail: str) -> None:
        """Refuse one line."""
        if not self._any:
            self._first, self._any = (reason, detail), True
        self._sink.refuse(reason, detail)

    def close(self, good: int) -> None:
        """All lines were seen, `good` of them were used. Raises `BadRecord` if that is none."""
        if not good:
            raise BadRecord(*self._first)
