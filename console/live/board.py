"""The newest version of every incident that is not long over, bounded. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import NamedTuple

from console.live.filters import Filter, holds, order
from console.live.row import OVER, Due, Row, due_of
from correlator.response import Clock

_KEPT_SELECTIONS = 64
KEEP_OVER_MS = 24 * 3_600_000
"""incidents that are over stay on the board for so long; later ClickHouse has them"""


class Entry(NamedTuple):
    row: Row
    due: Due | None

    @property
    def stamp(self) -> str:
        """Changes whenever the line would look different."""
        due = f"{self.due.state}{self.due.due_at}{self.due.name}" if self.due else ""
        return f"{self.row.version}.{due}"


class Selection(NamedTuple):
    """What a filter lets through."""

    entries: list[Entry]
    """the first ones, in order"""
    total: int
    counts: Counter[str]
    """of all of them, by severity"""


class Board:
    """Holds at most `most` incidents; of more, those that have been over the longest are dropped first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[str, Row] = {}
        self._clocks: dict[str, dict[str, Clock]] = {}
        self._due: dict[str, Due | None] = {}
        self._selected: dict[tuple[Filter, tuple[str, ...], int], tuple[int, Selection]] = {}
        """what was asked for lately, and `changes` then: many look at the same list"""
        self.changes = 0
        """grows with everything that changes a line"""
        self.dropped = 0
        """incidents that had no room"""

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: Row) -> bool:
        """Take a version; False when a newer one is known."""
        known = self._rows.get(row.id)
        if known is not None and known.version >= row.version:
            return False
        self._rows[row.id] = row
        self.changes += 1
        if len(self._rows) > self._most:
            self._drop()
        return True

    def clock(self, clock: Clock) -> bool:
        """Take a version of a deadline; False when a newer one is known."""
        mine = self._clocks.setdefault(clock.incident, {})
        known = mine.get(clock.id)
        if known is not None and known.version >= clock.version:
            return False
        mine[clock.id] = clock
        before = self._due.get(clock.incident)
        self._due[clock.incident] = due_of(tuple(mine.values()))
        if self._due[clock.incident] != before:
            self.changes += 1
        if len(self._clocks) > 2 * self._most:
            # Clocks may come before their incident does, but not for long.
            for id in [id for id in self._clocks if id not in self._rows]:
                self._forget_clocks(id)
        return True

    def get(self, id: str) -> Entry | None:
        row = self._rows.get(id)
        return None if row is None else Entry(row, self._due.get(id))

    def like(self, prefix: str, domains: Sequence[str]) -> list[str]:
        """Ids that begin with `prefix`."""
        return sorted(id for id, row in self._rows.items() if id.startswith(prefix) and _within(row, domains))

    def select(self, wanted: Filter, domains: Sequence[str], most: int) -> Selection:
        """The first `most` by the filter's order. `domains`: those one may see; none: all.

        Everybody who asks the same between two changes gets the same: it is not to be changed.
        """
        key = (wanted, tuple(domains), most)
        kept = self._selected.pop(key, None)
        known = kept[1] if kept and kept[0] == self.changes else self._select(wanted, domains, most)
        self._selected[key] = (self.changes, known)
        if len(self._selected) > _KEPT_SELECTIONS:
            del self._selected[next(iter(self._selected))]
        return known

    def _select(self, wanted: Filter, domains: Sequence[str], most: int) -> Selection:
        words = wanted.q.lower().split()
        found = [
            Entry(row, self._due.get(id))
            for id, row in self._rows.items()
            if _within(row, domains) and holds(wanted, row, self._due.get(id), words)
        ]
        first = nsmallest(most, found, key=lambda entry: order(wanted.sort, entry.row, entry.due))
        return Selection(first, len(found), Counter(entry.row.severity for entry in found))

    def names(self, domains: Sequence[str]) -> dict[str, list[str]]:
        """Services, teams and domains that occur, for filters to choose from."""
        rows = [row for row in self._rows.values() if _within(row, domains)]
        return {
            "service": sorted({service for row in rows for service in row.services}),
            "team": sorted({row.owner for row in rows if row.owner}),
            "domain": sorted({row.domain for row in rows if row.domain}),
        }

    def tidy(self, now_ms: int) -> None:
        """Let go of incidents that have been over for long."""
        old = [
            row.id
            for row in self._rows.values()
            if row.state in OVER and row.updated_at < now_ms - KEEP_OVER_MS
        ]
        self._remove(old)

    def _drop(self) -> None:
        """A tenth at a time, so that it is rare."""
        over = sorted(self._rows.values(), key=lambda row: (row.state not in OVER, row.updated_at, row.id))
        gone = [row.id for row in over[: max(1, self._most // 10)]]
        self.dropped += len(gone)
        self._remove(gone)

    def _remove(self, ids: Iterable[str]) -> None:
        for id in ids:
            del self._rows[id]
            self._forget_clocks(id)
            self.changes += 1

    def _forget_clocks(self, id: str) -> None:
        self._clocks.pop(id, None)
        self._due.pop(id, None)


def _within(row: Row, domains: Sequence[str]) -> bool:
    return not domains or row.domain in domains
