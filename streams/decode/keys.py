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

from streams.decode.rawbytes import Raw, stirred, word_at
from streams.records.compiled import part

UNRESOLVED, UNUSABLE = -1, -2
"""meanings of an entry besides a slot: new, and known to be of no use"""

ENTRIES, ARENA = 0, 1
"""places in `Keys.used`"""

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
        self.arena: Raw = np.zeros(arena + 8, np.uint8)
        self.places: npt.NDArray[np.int32] = np.full(4 * entries, -1, np.int32)
        """open addressing with linear probing; at most a quarter full"""
        self.used: I64 = np.zeros(2, np.int64)

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

    def arrays(self) -> tuple[Any, ...]:
        """For a kernel."""
        return (
            self.above,
            self.start,
            self.size,
            self.hashes,
            self.meaning,
            self.arena,
            self.places,
            self.used,
        )

    def grow(self, arena: int) -> None:
        """Twice the room for entries, and for `arena` more bytes at least."""
        count, entries = len(self), 2 * len(self.above)
        for name in ("above", "start", "size", "hashes", "meaning"):
            old = getattr(self, name)
            new = np.full(entries, UNRESOLVED, np.int64) if name == "meaning" else np.zeros(entries, old.dtype)
            new[:count] = old[:count]
            setattr(self, name, new)
        held = int(self.used[ARENA])
        new_arena = np.zeros(max(2 * len(self.arena), held + arena + 8), np.uint8)
        new_arena[:held] = self.arena[:held]
        self.arena = new_arena
        places = np.full(4 * entries, -1, np.int32)
        _refill(places, self.hashes, count)
        self.places = places


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
def digest(raw: Raw, at: int, size: int, above: int) -> Any:
    """Hash of a piece below an entry. Reads whole words inside the piece only."""
    h = stirred(np.uint64(size), np.uint64(above))
    end = at + size
    while at + 8 <= end:
        h = stirred(h, word_at(raw, at))
        at += 8
    rest = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        rest |= np.uint64(raw[at]) << shift
        shift += np.uint64(8)
        at += 1
    h = stirred(h, rest)
    return h ^ (h >> np.uint64(32))


@part
def same(a: Raw, at: int, b: Raw, bt: int, size: int) -> bool:
    """Whether `size` bytes are equal."""
    end = at + size
    while at + 8 <= end:
        if word_at(a, at) != word_at(b, bt):
            return False
        at += 8
        bt += 8
    while at < end:
        if a[at] != b[bt]:
            return False
        at += 1
        bt += 1
    return True


@part
def entry_of(keys: Any, above: int, raw: Raw, at: int, size: int) -> int:
    """The entry of these bytes below `above` (entry * 16 + level), added if new; `REFUSED` or `FULL`."""
    aboves, starts, sizes, hashes, meaning, arena, places, used = keys
    h = digest(raw, at, size, above)
    mask = len(places) - 1
    place = np.int64(h & np.uint64(mask))
    for _ in range(MOST_PROBES):
        entry = np.int64(places[place])
        if entry < 0:
            break
        if hashes[entry] == h and aboves[entry] == above and sizes[entry] == size:
            if same(raw, at, arena, starts[entry], size):
                return REFUSED if meaning[entry] == UNUSABLE else entry
        place = (place + 1) & mask
    else:
        return REFUSED
    entry = used[ENTRIES]
    start = used[ARENA]
    if entry == len(aboves) or start + size > len(arena) - 8:
        return FULL
    for i in range(size):
        arena[start + i] = raw[at + i]
    aboves[entry] = above
    starts[entry] = start
    sizes[entry] = size
    hashes[entry] = h
    meaning[entry] = UNRESOLVED
    places[place] = entry
    used[ENTRIES] = entry + 1
    used[ARENA] = start + size
    return entry
