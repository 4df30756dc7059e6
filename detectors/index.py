"""Fingerprint to slot, as arrays that a kernel can read: open addressing with linear probing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.compiled import kernel, part

Keys = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]


@part
def find(keys: Keys, places: Places, fp: np.uint64) -> int:
    """Slot of a fingerprint, -1 if unknown. Fingerprints are digests: their low bits are the hash."""
    mask = len(places) - 1
    at = np.int64(fp & np.uint64(mask))
    while places[at] >= 0:
        if keys[at] == fp:
            return int(places[at])
        at = (at + 1) & mask
    return -1


@kernel
def find_all(keys: Keys, places: Places, fps: Keys, out: npt.NDArray[np.int64]) -> None:
    """`find` for each of `fps`."""
    mask = len(places) - 1
    for i in range(len(fps)):
        at = np.int64(fps[i] & np.uint64(mask))
        out[i] = -1
        while places[at] >= 0:
            if keys[at] == fps[i]:
                out[i] = places[at]
                break
            at = (at + 1) & mask


@kernel
def _insert(keys: Keys, places: Places, fps: Keys, slots: npt.NDArray[np.int64]) -> None:
    mask = len(places) - 1
    for i in range(len(fps)):
        at = np.int64(fps[i] & np.uint64(mask))
        while places[at] >= 0:
            at = (at + 1) & mask
        keys[at] = fps[i]
        places[at] = slots[i]


class Index:
    """At most half full. Removal rebuilds, so remove many at once."""

    def __init__(self) -> None:
        self.clear(64)

    def clear(self, room: int) -> None:
        """Empty, with room for at least `room` entries."""
        size = 128
        while size < 2 * room:
            size *= 2
        self.keys: Keys = np.zeros(size, np.uint64)
        self.places: Places = np.full(size, -1, np.int32)
        self.count = 0

    def add(self, fps: Keys, slots: npt.NDArray[np.int64]) -> None:
        """Enter fingerprints that are not in yet."""
        if 2 * (self.count + len(fps)) > len(self.places):
            held = self.places >= 0
            old_keys, old_slots = self.keys[held], self.places[held].astype(np.int64)
            self.clear(2 * (self.count + len(fps)))
            _insert(self.keys, self.places, old_keys, old_slots)
            self.count = len(old_keys)
        _insert(self.keys, self.places, fps, slots)
        self.count += len(fps)

    def lookup(self, fps: Keys) -> npt.NDArray[np.int64]:
        """Slots, -1 where unknown."""
        out = np.empty(len(fps), np.int64)
        find_all(self.keys, self.places, np.ascontiguousarray(fps, np.uint64), out)
        return out
