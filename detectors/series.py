"""The series of one shard: fingerprint to slot, and what is known of each slot, in arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.records.pages import I64, U64, Series

U8 = npt.NDArray[np.uint8]


class SeriesTable:
    """Dense slots in order of registration. Bounded by `limit`; what is refused is counted.

    `forget` drops idle series and renumbers the rest, so slots must not be kept across it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.series: list[Series] = []
        self.slots: dict[int, int] = {}
        self.services: dict[str, int] = {}
        """service to a small number; at most one a series"""
        self.kind: U8 = np.zeros(16, np.uint8)
        self.service: I64 = np.zeros(16, np.int64)
        self.last_seen: I64 = np.zeros(16, np.int64)
        """event time of the newest row, ms"""
        self.refused = 0
        self._sorted: tuple[U64, I64] | None = None

    def __len__(self) -> int:
        return len(self.series)

    def get(self, fp: int) -> Series | None:
        slot = self.slots.get(fp)
        return None if slot is None else self.series[slot]

    def add(self, series: Series, at_ms: int) -> int:
        """Register a series not known yet; its slot, or -1 when the table is full."""
        slot = len(self.series)
        if slot >= self.limit:
            self.refused += 1
            return -1
        if slot >= len(self.kind):
            self.kind, self.service, self.last_seen = (
                np.concatenate([a, np.zeros_like(a)]) for a in (self.kind, self.service, self.last_seen)
            )
        self.series.append(series)
        self.slots[series.fp] = slot
        self.kind[slot] = series.kind
        self.service[slot] = self.services.setdefault(series.service, len(self.services))
        self.last_seen[slot] = at_ms
        self._sorted = None
        return slot

    def replace(self, series: Series) -> None:
        """Take over a newer description (resource, unit) of a known series."""
        slot = self.slots[series.fp]
        self.series[slot] = series
        self.kind[slot] = series.kind

    def lookup(self, fps: U64) -> I64:
        """Slots of fingerprints, -1 where unknown."""
        if not self.series:
            return np.full(len(fps), -1, np.int64)
        if self._sorted is None:
            known = np.array([s.fp for s in self.series], np.uint64)
            order = np.argsort(known)
            self._sorted = known[order], order.astype(np.int64)
        known, order = self._sorted
        at = np.minimum(np.searchsorted(known, fps), len(known) - 1)
        return np.where(known[at] == fps, order[at], -1)

    def idle(self, before_ms: int) -> npt.NDArray[np.bool_]:
        """Which slots have had no row since `before_ms`."""
        return self.last_seen[: len(self.series)] < before_ms

    def forget(self, gone: npt.NDArray[np.bool_]) -> None:
        """Drop the slots marked; the others keep their order."""
        keep = np.flatnonzero(~gone)
        kept = [(self.series[i], int(self.last_seen[i])) for i in keep.tolist()]
        self.series, self.slots, self.services = [], {}, {}
        for series, seen in kept:
            self.add(series, seen)
        self._sorted = None

    def export(self) -> tuple[list[Series], bytes]:
        """State for a snapshot."""
        return self.series, self.last_seen[: len(self.series)].tobytes()

    def load(self, series: list[Series], seen: bytes) -> None:
        """Take over what `export` gave, into an empty table."""
        for one, at in zip(series, np.frombuffer(seen, np.int64).tolist(), strict=True):
            self.add(one, at)
