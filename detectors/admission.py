"""Which series of a shard are watched: at most so many of one service, first come in event time.

A new series waits from its description until its first row is due; then, in the order of (time,
fingerprint), it is admitted while its service has room and refused afterwards. What is refused is dropped,
counted, and said as the sample `tocsin.series_dropped` of the service, which a rule turns into an alert.
Room comes back when series go idle: a service at its limit gives up those without a row for
`FREE_IDLE_MS`. A refused series gets its next chance when it is described again.

Everything is decided by event time, so that cutting and reading again change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.release import Slice
from detectors.rules import EVIDENCE, OWN_SERVICE, SERIES_DROPPED
from detectors.series import SeriesTable
from streams.records.digest import fingerprint
from streams.records.pages import I64, U64, Kind, Series

WINDOW_MS = 10_000
HOLD_MS = 300_000
"""a refused series counts as dropped for this long after its last row"""
CALM_WINDOWS = 6
"""windows in which zero is said after the last series was dropped"""
FREE_IDLE_MS = 900_000
FREE_EVERY_MS = 60_000
"""looking for idle series is laborious"""
MOST_REFUSED = 100_000
"""refused series a shard keeps in mind; the oldest are forgotten, their rows are then undescribed ones"""
SHOWN_LABELS = 3
NO_ROW = 2**62
LEAST_WAITING = 1_000
"""series that may wait, however low the limits"""


class Waiting(msgspec.Struct):
    """A described series whose first row is not due yet."""

    series: Series
    after_ms: int
    """rows at or before this were decided when it was described"""


class Told(msgspec.Struct, array_like=True):
    """What is being said of a service at its limit."""

    series: Series
    calm: int


class AdmissionState(msgspec.Struct, array_like=True):
    """Snapshot. What waits is read again with its rows."""

    refused: list[tuple[int, str, int]] = []
    """fingerprint, service, time of its newest row"""
    told: dict[str, Told] = {}
    window: int = 0
    next_free: int = 0
    counters: dict[str, int] = {}


class Admission:
    """Mutable. `limit`: series of one service, 0 none; `most_waiting`: series ahead of their rows."""

    def __init__(self, limit: int, most_waiting: int) -> None:
        self.limit = limit
        self.most_waiting = max(most_waiting, LEAST_WAITING)
        self.waiting: dict[int, Waiting] = {}
        self.counters: dict[str, int] = dict.fromkeys(
            ("refused_series", "limited_rows", "freed_series", "evicted_refused"), 0
        )
        self._waiting_of: Counter[str] = Counter()
        self._refused: dict[int, tuple[str, int]] = {}
        """fingerprint to service and time of the newest row, oldest refusal first"""
        self._told: dict[str, Told] = {}
        self._window = 0
        """end of the last window closed, ms"""
        self._next_free = 0
        self._known: dict[str, U64] = {}
        """sorted fingerprints, made when asked for"""

    @property
    def refused(self) -> int:
        """Series kept in mind as refused."""
        return len(self._refused)

    def refused_at(self, fp: int) -> int | None:
        """Time of the newest row of a series kept in mind as refused, or None."""
        found = self._refused.get(fp)
        return None if found is None else found[1]

    @staticmethod
    def window_after(ms: int) -> int:
        """End of the window that goes on after `ms`."""
        return (ms // WINDOW_MS + 1) * WINDOW_MS

    # what waits

    def crowds(self, series: Iterable[Series]) -> bool:
        """Whether these could be too many to wait: what is due should be decided first."""
        more = Counter(one.service for one in series if one.fp not in self.waiting)
        return len(self.waiting) + more.total() > self.most_waiting or any(
            self._waiting_of[service] + n > self._most_of_one() for service, n in more.items()
        )

    def _most_of_one(self) -> int:
        return max(2 * self.limit, LEAST_WAITING) if self.limit else self.most_waiting

    def wait(self, series: Series, after_ms: int, bounded: bool = True) -> bool:
        """Keep a new series until its first row is due; False when there is no room to wait either."""
        known = self.waiting.get(series.fp)
        if known is not None:
            known.after_ms = min(known.after_ms, after_ms)
            return True
        if bounded and self._full(series.service):
            return False
        self.waiting[series.fp] = Waiting(series, after_ms)
        self._waiting_of[series.service] += 1
        self._known.pop("waiting", None)
        return True

    def _full(self, service: str) -> bool:
        of_one = self._waiting_of[service]
        return len(self.waiting) >= self.most_waiting or of_one >= self._most_of_one()

    def crowded(self, table: SeriesTable) -> bool:
        """Whether deciding what waits may have to push something out: then it must go step by step."""
        if not self.waiting:
            return False
        if len(table) + len(self.waiting) > table.limit:
            return True
        return bool(self.limit) and any(
            table.count(service) + n > self.limit for service, n in self._waiting_of.items()
        )

    def due(self, slices: Sequence[Slice]) -> list[tuple[int, Series]]:
        """Waiting series that have a row among these, with its time, in the order of decision.

        They do not wait any longer.
        """
        if not self.waiting:
            return []
        first: dict[int, int] = {}
        for part in slices:
            fps: U64 = part.columns[0]
            mask = _among(fps, self._sorted("waiting", self.waiting))
            if not mask.any():
                continue
            fps, times = fps[mask], part.ts[mask]
            new, at = np.unique(fps, return_index=True)  # slices are sorted by time
            for fp, ts in zip(new.tolist(), times[at].tolist(), strict=True):
                after = self.waiting[fp].after_ms
                if ts <= after:
                    ts = int(times[(fps == fp) & (times > after)].min(initial=NO_ROW))
                if ts < first.get(fp, NO_ROW):
                    first[fp] = ts
        found = []
        for ts, fp in sorted((ts, fp) for fp, ts in first.items()):
            series = self.waiting.pop(fp).series
            self._waiting_of[series.service] -= 1
            found.append((ts, series))
        self._waiting_of += Counter()  # drops the zeros
        if not self.waiting:
            self.waiting = {}  # an emptied one keeps the room of all that was in it
        if found:
            self._known.pop("waiting", None)
        return found

    # the decision

    def has_room(self, series: Series, table: SeriesTable) -> bool:
        """Whether the service may have one more. Decisions about ourselves are never limited."""
        return not self.limit or series.service == OWN_SERVICE or table.count(series.service) < self.limit

    def idle_of(self, service: str, table: SeriesTable, at_ms: int) -> npt.NDArray[np.bool_] | None:
        """Slots of a service at its limit that may go; None when there are none, or it was asked lately."""
        if at_ms < self._next_free:
            return None
        self._next_free = at_ms + FREE_EVERY_MS
        idle = table.idle(at_ms - FREE_IDLE_MS) & table.of(service)
        if not idle.any():
            return None
        self.counters["freed_series"] += int(np.count_nonzero(idle))
        return idle

    def refuse(self, series: Series, ts: int) -> None:
        """Its rows are dropped from now on."""
        self.counters["refused_series"] += 1
        if series.fp in self._refused:
            return
        self._refused[series.fp] = (series.service, ts)
        self._known.pop("refused", None)
        if len(self._refused) > MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
            self.counters["evicted_refused"] += 1

    def admitted(self, fp: int) -> None:
        """It may have been refused before."""
        if self._refused.pop(fp, None) is not None:
            self._known.pop("refused", None)

    # what is dropped, and said

    def drop(self, slices: list[Slice]) -> tuple[list[Slice], list[tuple[int, int]]]:
        """The slices without rows of refused series; (ts, fp) of those."""
        if not self._refused:
            return slices, []
        kept: list[Slice] = []
        dropped: list[tuple[int, int]] = []
        known = self._sorted("refused", self._refused)
        for part in slices:
            mask = _among(part.columns[0], known)
            if not mask.any():
                kept.append(part)
                continue
            dropped += zip(part.ts[mask].tolist(), part.columns[0][mask].tolist(), strict=True)
            keep = ~mask
            if keep.any():
                kept.append(Slice(part.ts[keep], tuple(c[keep] for c in part.columns), part.extra))
        self.counters["limited_rows"] += len(dropped)
        return kept, dropped

    def finish(
        self, dropped: list[tuple[int, int]], table: SeriesTable, to_ms: int
    ) -> tuple[list[tuple[int, int, float]], list[tuple[int, Series]]]:
        """Close the windows that end by `to_ms`: (fp, ts, series dropped), and new descriptions.

        `dropped`: what `drop` took out of the run that ends at `to_ms`.
        """
        rows: list[tuple[int, int, float]] = []
        described: list[tuple[int, Series]] = []
        dropped.sort(reverse=True)
        end = to_ms // WINDOW_MS * WINDOW_MS
        if not self._refused and not self._told:
            self._window = max(self._window, end)
            return rows, described
        if not self._window:
            first = min(ts for _, ts in self._refused.values())
            self._window = max(first, to_ms - HOLD_MS) // WINDOW_MS * WINDOW_MS
        while self._window < end and (self._refused or self._told):
            self._window += WINDOW_MS
            self._hear(dropped, self._window)
            self._say(self._window, table, rows, described)
        self._window = max(self._window, end)
        self._hear(dropped, to_ms)
        return rows, described

    def gauge(self, fp: int) -> tuple[Series, bool] | None:
        """Description of a series about ourselves, and that it is sparse; None if it is not ours."""
        for told in self._told.values():
            if told.series.fp == fp:
                return told.series, True
        return None

    def _hear(self, dropped: list[tuple[int, int]], upto: int) -> None:
        while dropped and dropped[-1][0] <= upto:
            ts, fp = dropped.pop()
            known = self._refused.get(fp)
            if known is not None and ts > known[1]:
                self._refused[fp] = (known[0], ts)

    def _say(
        self,
        end: int,
        table: SeriesTable,
        rows: list[tuple[int, int, float]],
        described: list[tuple[int, Series]],
    ) -> None:
        counts: Counter[str] = Counter()
        gone = []
        for fp, (service, last) in self._refused.items():
            if last <= end - HOLD_MS:
                gone.append(fp)
            elif last <= end:
                counts[service] += 1
        for fp in gone:
            del self._refused[fp]
        if gone:
            self._known.pop("refused", None)
        for service in sorted(set(counts) | set(self._told)):
            told = self._told.get(service)
            if told is None:
                told = self._told[service] = Told(_own_series(service, table), 0)
                described.append((end, told.series))
            told.calm = CALM_WINDOWS if counts[service] else told.calm - 1
            rows.append((told.series.fp, end, float(counts[service])))
            if told.calm <= 0:
                del self._told[service]

    def _sorted(self, name: str, fps: Iterable[int]) -> U64:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = np.sort(np.fromiter(fps, np.uint64))
        return found

    # state

    def export(self) -> AdmissionState:
        """State for a snapshot."""
        refused = [(fp, service, last) for fp, (service, last) in self._refused.items()]
        return AdmissionState(refused, self._told, self._window, self._next_free, self.counters)

    def load(self, state: AdmissionState) -> None:
        """Take over what `export` gave, into a fresh object."""
        self._refused = {fp: (service, last) for fp, service, last in state.refused}
        self._told = dict(state.told)
        self._window, self._next_free = state.window, state.next_free
        self.counters.update(state.counters)


def label_values(series: Iterable[Series]) -> list[tuple[str, int]]:
    """Labels by how many values they have among these series, most first."""
    values: dict[str, set[str]] = {}
    for one in series:
        for name, value in one.labels:
            values.setdefault(name, set()).add(value)
    return sorted(
        ((name, len(found)) for name, found in values.items()), key=lambda pair: (-pair[1], pair[0])
    )


def _own_series(service: str, table: SeriesTable) -> Series:
    """`tocsin.series_dropped` of a service, with the labels that fill its room as evidence."""
    members: I64 = np.flatnonzero(table.of(service))
    worst = label_values(table.series[slot] for slot in members.tolist())[:SHOWN_LABELS]
    text = ", ".join(f"{name[:60]}: {count} values" for name, count in worst if count > 1)
    labels = (("service", service),)
    fp = fingerprint(OWN_SERVICE, SERIES_DROPPED, labels)
    resource = ((EVIDENCE, text),) if text else ()
    return Series(fp, OWN_SERVICE, SERIES_DROPPED, labels, "{series dropped}", Kind.GAUGE, (), resource)


def _among(fps: U64, known: U64) -> npt.NDArray[np.bool_]:
    """Which of `fps` are among the sorted `known`, of which there are some."""
    at = np.minimum(np.searchsorted(known, fps), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[at] == fps
    return found
