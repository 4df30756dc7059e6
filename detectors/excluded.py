"""Series that rules exclude: kept in mind by fingerprint, so that their rows are counted as such.

Bounded: when full it begins anew, and whoever has rows of such a series describes it again.
"""

from __future__ import annotations

import numpy as np

from detectors.index import Index
from streams.records.pages import U64


class Excluded:
    """At most `limit` fingerprints."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._fps: set[int] = set()
        self._index = Index()

    def __len__(self) -> int:
        return len(self._fps)

    def add(self, fp: int) -> None:
        if fp in self._fps:
            return
        if len(self._fps) >= self.limit:
            self._fps.clear()
            self._index.clear(0)
        self._fps.add(fp)
        self._enter([fp])

    def discard(self, fp: int) -> None:
        """A newer description may take it back in."""
        if fp in self._fps:
            self._fps.remove(fp)
            self._index.clear(len(self._fps))
            self._enter(sorted(self._fps))

    def among(self, fps: U64) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of `fps` are excluded."""
        if not self._fps:
            return np.zeros(len(fps), np.bool_)
        return self._index.lookup(fps) >= 0

    def _enter(self, fps: list[int]) -> None:
        self._index.add(np.array(fps, np.uint64), np.zeros(len(fps), np.int64))
