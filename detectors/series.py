"""The series of one shard: fingerprint to slot, and what is known of each slot, in arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streams.records.pages import I64, U64, Series

U8 = npt.NDArray[np.uint8]


class SeriesTable:
    """Dense slots in order of registration, at most `limit`.

    `forget` drops series and renumbers the rest, so slots must not be kept across it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.series: list[Series] = []
        self.slots: dict[int, int] = {}
        self.services: dict[str, int] = {}
        """service to a small number; at most one a series"""
        self.members: list[int] = []
        """series of each service, by its number"""
        self.kind: U8 = np.zeros(16, np.uint8)
        self.service: I64 = np.zeros(16, np.int64)
        self.last_seen: I64 = np.zeros(16, np.int64)
        """event time of the newest row, ms"""
        self.first_seen: I64 = np.full(16, -1, np.int64)
        """event time of the oldest row, ms; -1: none yet"""
        self._sorted: tuple[U64, I64] | None = None

    def __len__(self) -> int:
        return len(self.series)

    def get(self, fp: int) -> Series | None:
        slot = self.slots.get(fp)
        return None if slot is None else self.series[slot]

    def full(self) -> bool:
        """Whether something must be forgotten before a series can be added."""
        return len(self.series) >= self.limit

    def add(self, series: Series, at_ms: int) -> int:
        """Register a series not known yet; its slot. The table must not be full."""
        slot = len(self.series)
        if slot >= len(self.kind):
            self.kind, self.service, self.last_seen = (
                np.concatenate([a, np.zeros_like(a)]) for a in (self.kind, self.service, self.last_seen)
            )
            self.first_seen = np.concatenate([self.first_seen, np.full_like(self.first_seen, -1)])
        self.series.append(series)
        self.slots[series.fp] = slot
        self.kind[slot] = series.kind
        number = self.services.setdefault(series.service, len(self.services))
        if number == len(self.members):
            self.members.append(0)
        self.members[number] += 1
        self.service[slot] = number
        self.last_seen[slot] = at_ms
        self.first_seen[slot] = -1
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

    def saw(self, slots: I64, ts: I64) -> None:
        """Rows of these slots, sorted by time."""
        self.last_seen[slots] = ts
        new = self.first_seen[slots] < 0
        if new.any():
            self.first_seen[slots[new][::-1]] = ts[new][::-1]

    def common_resource(self, fps: Iterable[int], at_ms: int) -> tuple[tuple[str, str], ...]:
        """What the resources of these series have in common, of those with a row by `at_ms`."""
        common: set[tuple[str, str]] | None = None
        for fp in fps:
            slot = self.slots.get(fp)
            if slot is not None and 0 <= self.first_seen[slot] <= at_ms:
                own = set(self.series[slot].resource)
                common = own if common is None else common & own
        return tuple(sorted(common or ()))

    def count(self, service: str) -> int:
        """Series of a service."""
        number = self.services.get(service)
        return 0 if number is None else self.members[number]

    def of(self, service: str) -> npt.NDArray[np.bool_]:
        """Which slots are a service's."""
        mine: npt.NDArray[np.bool_] = self.service[: len(self.series)] == self.services.get(service, -1)
        return mine

    def idle(self, before_ms: int) -> npt.NDArray[np.bool_]:
        """Which slots have had no row since `before_ms`."""
        return self.last_seen[: len(self.series)] < before_ms

    def oldest(self, share: int) -> npt.NDArray[np.bool_]:
        """Marks one in `share` slots, at least one: the least recently seen."""
        n = len(self.series)
        fps = np.array([s.fp for s in self.series], np.uint64)
        marks = np.zeros(n, np.bool_)
        marks[np.lexsort((fps, self.last_seen[:n]))[: max(1, n // share)]] = True
        return marks

    def forget(self, gone: npt.NDArray[np.bool_]) -> None:
        """Drop the slots marked; the others keep their order."""
        keep = np.flatnonzero(~gone)
        kept = [self.series[i] for i in keep.tolist()]
        last, first = self.last_seen[keep].tobytes(), self.first_seen[keep].tobytes()
        self.series, self.slots, self.services, self.members = [], {}, {}, []
        self._sorted = None
        self.load(kept, last, first)

    def export(self) -> tuple[list[Series], bytes, bytes]:
        """State for a snapshot."""
        n = len(self.series)
        return self.series, self.last_seen[:n].tobytes(), self.first_seen[:n].tobytes()

    def load(self, series: list[Series], last: bytes, first: bytes) -> None:
        """Take over what `export` gave, into an empty table."""
        for one in series:
            self.add(one, 0)
        self.last_seen[: len(series)] = np.frombuffer(last, np.int64)
        self.first_seen[: len(series)] = np.frombuffer(first, np.int64)
