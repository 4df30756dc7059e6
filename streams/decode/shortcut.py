"""What the batch decoders share: raw keys with their meanings, and rows of many records into columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON
from streams.decode.keys import UNUSABLE, Keys
from streams.decode.otlp import RowFault
from streams.records.pages import I64

MOST_BYTES = 96 << 20
"""raw keys remembered beside the catalog take this much memory at most, about"""

Meaning = Callable[[bytes, int, int], tuple[int, Any]]
"""(bytes, level, entry above) -> slot (any number for what is no series) and whatever is to be kept"""

_UNREADABLE = (RowFault, DecodeError, *UNREADABLE_JSON)


class Shortcut:
    """Keys and what they mean. Belongs to one generation of a catalog. Mutable."""

    def __init__(self, most: int) -> None:
        self.keys = Keys()
        self.kept: list[Any] = []
        """[entry] what `Meaning` gave beside the slot; None if the entry is of no use"""
        self._most = most

    @staticmethod
    def of(sink: Columns, name: str) -> Shortcut:
        """The one of this name beside the sink's catalog; an empty one if it has grown too large."""
        catalog = sink.catalog
        found = catalog.shortcuts.get(name)
        if not isinstance(found, Shortcut) or found._full():
            found = catalog.shortcuts[name] = Shortcut(4 * catalog.max_entries)
        return found

    def _full(self) -> bool:
        return len(self.keys) > self._most or self.keys.nbytes > MOST_BYTES

    def resolve(self, meaning: Meaning) -> bool:
        """Give new entries their meaning. False if one of them turned out to be of no use."""
        keys, good = self.keys, True
        for entry in range(len(self.kept), len(keys)):
            above, level = divmod(int(keys.above[entry]), 16)
            slot, kept = UNUSABLE, None
            if level == 0 or keys.meaning[above] != UNUSABLE:
                try:
                    slot, kept = meaning(keys.bytes_of(entry), level, above)
                except _UNREADABLE:
                    slot = UNUSABLE
            good &= slot != UNUSABLE
            keys.meaning[entry] = slot
            self.kept.append(kept)
        return good

    def more_room(self, ends: I64, record: int) -> None:
        """Make room for the keys of a record that ends at `ends[record]`."""
        self.keys.grow(int(ends[record] - (ends[record - 1] if record else 0)))


def joined(values: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], I64]:
    """All values side by side, and where each ends."""
    ends = np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)))
    return np.frombuffer(b"".join(values), dtype=np.uint8), ends


def in_runs(
    left: npt.NDArray[np.bool_],
    put: Callable[[int, int], None],
    one: Callable[[int], None],
) -> None:
    """`put(start, end)` for every run of records that are not `left`, `one(i)` for each that is, in order."""
    start = 0
    for end in (*np.flatnonzero(left).tolist(), len(left)):
        if end > start:
            put(start, end)
        if end < len(left):
            one(end)
        start = end + 1
