"""Incidents that have closed, kept for a while: they are still corrected, classified and reported.

Kept as bytes, so that a checkpoint costs no work for them. Bounded by number and size; an incident that was
classified as major, which authorities hear of for a month, goes last.
"""

from __future__ import annotations

import msgspec

from correlator.group import Group

MOST = 1_000
MOST_BYTES = 8_000_000

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Group)


class ClosedBook:
    """Newest version of each; the one that has not changed for longest goes first."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.evicted = 0
        self._kept: dict[str, tuple[bool, bytes]] = {}
        """id -> whether it is major, and the group"""
        self._bytes = 0

    def __contains__(self, id: str) -> bool:
        return id in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, id: str) -> Group | None:
        """A copy; `put` it back when it has changed."""
        found = self._kept.get(id)
        return None if found is None else _decoder.decode(found[1])

    def put(self, group: Group) -> None:
        """Keep it as it is now."""
        lean = msgspec.structs.replace(
            group, series={}, active={}, labels={}, signals={}, words={}, reach={}, merges=[], calls=()
        )
        self.load(group.id, group.told.major_at is not None, _encoder.encode(lean))

    def load(self, id: str, major: bool, raw: bytes) -> None:
        """An entry as `entries` gives it."""
        known = self._kept.pop(id, None)
        self._bytes += len(raw) - (len(known[1]) if known is not None else 0)
        self._kept[id] = major, raw
        while len(self._kept) > self.most or self._bytes > self.most_bytes:
            lesser = (key for key, (major, _) in self._kept.items() if not major)
            oldest = next(lesser, next(iter(self._kept)))
            self._bytes -= len(self._kept.pop(oldest)[1])
            self.evicted += 1

    def entries(self) -> list[tuple[str, bool, bytes]]:
        """All of them, least recently changed first."""
        return [(id, major, raw) for id, (major, raw) in self._kept.items()]
