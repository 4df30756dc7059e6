"""Raw keys of series to small numbers, as arrays that a kernel can read and add to.

An *entry* is a piece of a raw key (the bytes of a resource, a metric's name, the attributes of a point)
below the entry it belongs to. The kernels in `otlp_kernel` and `json_kernel` walk down from entry to
entry; what they have not seen before they add, and Python gives it its meaning afterwards, once.
Bytes are kept and compared: equal hashes of unequal keys cost time, never a wrong series.

Only a cache on top of the catalog. Forgotten with it, or when it has grown past its own bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.decode.rawbytes import (
    Raw,
    byte_at,
    copied,
    equal,
    handle,
    int_at,
    put_int,
    put_small,
    put_unsigned,
    small_at,
    stirred,
    unsigned_at,
    word_at,
)
from streams.records.compiled import part

UNRESOLVED, UNUSABLE = -1, -2
"""meanings of an entry besides a slot: new, and known to be of no use"""

ENTRIES, ARENA, MOST_ENTRIES, MOST_ARENA, PLACES = 0, 1, 2, 3, 4
"""places in `Keys.used`: how much is used of what there is room for"""

REFUSED, FULL = -1, -2
"""instead of an entry: the record is not for the kernel; there is no room"""

MOST_PROBES = 64
"""a table at most half full needs a few; more is someone's doing, and takes the ordinary way"""

I64 = npt.NDArray[np.int64]


class Keys:
    """Entries by their raw bytes. Mutable; grows."""

    def __init__(self, entries: int = 1024, arena: int = 1 << 16) -> None:
        self.above: I64 = np.zeros(entries, np.int64)
        """[entry] entry it belongs to * 16 + level"""
        self.start: I64 = np.zeros(entries, np.int64)
        """[entry] where its bytes begin in the arena"""
        self.size: I64 = np.zeros(entries, np.int64)
        self.hashes: npt.NDArray[np.uint64] = np.zeros(entries, np.uint64)
        self.meaning: I64 = np.full(entries, UNRESOLVED, np.int64)
        """[entry] what Python made of it: a slot, `UNRESOLVED` or `UNUSABLE`"""
        self.arena: Raw = np.zeros(arena, np.uint8)
        self.places: npt.NDArray[np.int32] = np.full(4 * entries, -1, np.int32)
        """open addressing with linear probing; at most a quarter full"""
        self.used: I64 = np.array((0, 0, entries, arena, 4 * entries), np.int64)

    def __len__(self) -> int:
        return int(self.used[ENTRIES])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.above, self.start, self.size, self.hashes, self.meaning, self.arena, self.places)
        return sum(array.nbytes for array in arrays)

    def bytes_of(self, entry: int) -> bytes:
        start = int(self.start[entry])
        return self.arena[start : start + int(self.size[entry])].tobytes()

    def handles(self) -> tuple[Any, ...]:
        """For a kernel; of no use once it has grown."""
        arrays = (self.above, self.start, self.size, self.hashes, self.meaning, self.arena, self.places)
        return tuple(map(handle, (*arrays, self.used)))

    def grow(self, arena: int) -> None:
        """Twice the room for entries, and for `arena` more bytes at least."""
        count, entries = len(self), 2 * len(self.above)
        for name in ("above", "start", "size", "hashes", "meaning"):
            old = getattr(self, name)
            new = (
                np.full(entries, UNRESOLVED, np.int64) if name == "meaning" else np.zeros(entries, old.dtype)
            )
            new[:count] = old[:count]
            setattr(self, name, new)
        held = int(self.used[ARENA])
        new_arena = np.zeros(max(2 * len(self.arena), held + arena), np.uint8)
        new_arena[:held] = self.arena[:held]
        self.arena = new_arena
        places = np.full(4 * entries, -1, np.int32)
        _refill(places, self.hashes, count)
        self.places = places
        self.used[MOST_ENTRIES:] = entries, len(new_arena), len(places)


def _refill(places: npt.NDArray[np.int32], hashes: npt.NDArray[np.uint64], count: int) -> None:
    """Enter all entries anew, vectorised: whoever finds its place taken goes on to the next."""
    mask = len(places) - 1
    at = (hashes[:count] & np.uint64(mask)).astype(np.int64)
    left = np.arange(count, dtype=np.int64)
    while len(left):
        free = places[at[left]] < 0
        tried = left[free]
        places[at[tried]] = tried
        placed = places[at[left]] == left
        left = left[~placed]
        at[left] = (at[left] + 1) & mask


@part
def digest(raw: Any, at: int, size: int, above: int) -> Any:
    """Hash of a piece below an entry. Reads whole words inside the piece only."""
    h = stirred(np.uint64(size), np.uint64(above))
    end = at + size
    while at + 8 <= end:
        h = stirred(h, word_at(raw, at))
        at += 8
    rest = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        rest |= np.uint64(byte_at(raw, at)) << shift
        shift += np.uint64(8)
        at += 1
    h = stirred(h, rest)
    return h ^ (h >> np.uint64(32))


@part
def entry_of(keys: Any, above: int, raw: Any, at: int, size: int) -> int:
    """The entry of these bytes below `above` (entry * 16 + level), added if new; `REFUSED` or `FULL`."""
    aboves, starts, sizes, hashes, meanings, arena, places, used = keys
    h = digest(raw, at, size, above)
    mask = int_at(used, PLACES) - 1
    place = np.int64(h & np.uint64(mask))
    probes = 0
    while True:
        entry = small_at(places, place)
        if entry < 0:
            break
        if (
            unsigned_at(hashes, entry) == h
            and int_at(aboves, entry) == above
            and int_at(sizes, entry) == size
            and equal(raw, at, arena, int_at(starts, entry), size)
        ):
            return REFUSED if int_at(meanings, entry) == UNUSABLE else entry
        place = (place + 1) & mask
        probes += 1
        if probes == MOST_PROBES:
            return REFUSED
    added: int = int_at(used, ENTRIES)
    start = int_at(used, ARENA)
    if added == int_at(used, MOST_ENTRIES) or start + size > int_at(used, MOST_ARENA):
        return FULL
    copied(raw, at, at + size, arena, start)
    put_int(aboves, added, above)
    put_int(starts, added, start)
    put_int(sizes, added, size)
    put_unsigned(hashes, added, h)
    put_int(meanings, added, UNRESOLVED)
    put_small(places, place, added)
    put_int(used, ENTRIES, added + 1)
    put_int(used, ARENA, start + size)
    return added
