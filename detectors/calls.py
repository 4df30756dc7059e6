"""Calls that metrics count, and the services telemetry comes from: what one shard adds to the topology.

Calls are added up per bucket of `BUCKET_MS`, like those of spans. Rows are arrays: only what a bucket holds
of each pair passes through Python. A service is named when it is first seen, and again once an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.callers import Role, role_of
from detectors.rules import OWN_SERVICE
from detectors.topology import BUCKET_MS
from streams.records.messages import TRACES, Edge
from streams.records.pages import F64, I64, Series

MAX_ROLES = 20_000
"""distinct meanings of series"""
MAX_SERVICES = 50_000
ANNOUNCE_MS = 3_600_000
_MOST = 2.0**40
"""calls in one row"""


class Seen(NamedTuple):
    """What was seen in a bucket, in one place."""

    at_ms: int
    """the bucket's end"""
    edges: tuple[Edge, ...] = ()
    source: str = TRACES
    services: tuple[str, ...] = ()


class CallsState(msgspec.Struct, array_like=True):
    """Snapshot."""

    open: list[tuple[int, str, str, str, int, int]] = []
    active: list[tuple[int, list[str]]] = []
    announced: list[tuple[str, int]] = []


class Calls:
    """Roles of series, and the buckets that are not closed yet."""

    def __init__(self, activity_ms: int = BUCKET_MS) -> None:
        """`activity_ms`: size of the buckets of `active`."""
        self.counters = {"refused_call_series": 0, "evicted_services": 0}
        self._activity_ms = activity_ms
        self._places: dict[Role, int] = {}
        self._roles: list[Role] = []
        self._open: dict[tuple[int, str, str, str], list[int]] = {}
        """bucket, source, caller, callee -> calls, failed"""
        self._active: dict[int, dict[str, None]] = {}
        """bucket -> services"""
        self._announced: dict[str, int] = {}
        """longest ago first"""

    def begin(self) -> None:
        """All series are added anew."""
        self._places.clear()
        self._roles.clear()

    def __bool__(self) -> bool:
        return bool(self._roles)

    def add(self, series: Series) -> int:
        """The place of what a series says of calls, -1: nothing."""
        role = role_of(series)
        if role is None:
            return -1
        place = self._places.get(role)
        if place is None:
            if len(self._roles) >= MAX_ROLES:
                self.counters["refused_call_series"] += 1
                return -1
            place = self._places[role] = len(self._roles)
            self._roles.append(role)
        return place

    def count(self, places: I64, ts: I64, amounts: F64) -> None:
        """Rows: the place of each series, its time, and by how much it rose."""
        mine = np.flatnonzero((places >= 0) & (amounts > 0))
        if not len(mine):
            return
        n = len(self._roles)
        keys, inverse = np.unique((ts[mine] - 1) // BUCKET_MS * n + places[mine], return_inverse=True)
        # Whole numbers, so that sums do not depend on how the rows are cut into runs.
        whole = np.rint(np.minimum(amounts[mine], _MOST)).astype(np.int64)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, inverse, whole)
        for key, total in zip(keys.tolist(), sums.tolist(), strict=True):
            bucket, place = divmod(key, n)
            role = self._roles[place]
            counts = self._open.setdefault((bucket, role.source, role.caller, role.callee), [0, 0])
            counts[0] += total if role.counts else 0
            counts[1] += total if role.fails else 0

    def active(self, services: Mapping[int, Iterable[str]]) -> None:
        """Services that sent something, by bucket of `activity_ms`."""
        for bucket, names in services.items():
            self._active.setdefault(bucket, {}).update(dict.fromkeys(names))

    def close(self, to_ms: int) -> list[Seen]:
        """What the buckets that end by `to_ms` hold."""
        ready = sorted(key for key in self._open if (key[0] + 1) * BUCKET_MS <= to_ms)
        found: dict[tuple[int, str], list[Edge]] = {}
        for key in ready:
            bucket, source, caller, callee = key
            found.setdefault((bucket, source), []).append(Edge(caller, callee, *self._open.pop(key)))
        said = [
            Seen((bucket + 1) * BUCKET_MS, tuple(edges), source) for (bucket, source), edges in found.items()
        ]
        size = self._activity_ms
        for bucket in sorted(b for b in self._active if (b + 1) * size <= to_ms):
            end = (bucket + 1) * size
            names = tuple(sorted(name for name in self._active.pop(bucket) if self._is_due(name, end)))
            if names:
                said.append(Seen(end, services=names))
        return said

    def _is_due(self, service: str, at_ms: int) -> bool:
        last = self._announced.get(service)
        if service == OWN_SERVICE or (last is not None and at_ms - last < ANNOUNCE_MS):
            return False
        self._announced.pop(service, None)
        self._announced[service] = at_ms
        if len(self._announced) > MAX_SERVICES:
            del self._announced[next(iter(self._announced))]
            self.counters["evicted_services"] += 1
        return True

    def export(self) -> CallsState:
        """State for a snapshot; the roles follow from the series."""
        return CallsState(
            [(*key, calls, failed) for key, (calls, failed) in sorted(self._open.items())],
            [(bucket, sorted(names)) for bucket, names in sorted(self._active.items())],
            list(self._announced.items()),
        )

    def load(self, state: CallsState) -> None:
        """Take over what `export` gave, into a fresh object."""
        for bucket, source, caller, callee, calls, failed in state.open:
            self._open[bucket, source, caller, callee] = [calls, failed]
        self._active.update((bucket, dict.fromkeys(names)) for bucket, names in state.active)
        self._announced.update(state.announced)
