"""Telemetry about ourselves: how much of a source partition was refused, and how many rows came late.

Counted per window of reference time and put into the stream as ordinary samples of the service
`tocsin`, so that a flood of dead letters becomes an alert and an incident like any other. A partition
without trouble says nothing; after trouble it goes on saying zero for a while, so that the alert ends. A
window without records is no sign of recovery: for a while the share before it stands.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

SERVICE = "tocsin"
DEADLETTER_RATIO = "tocsin.deadletter_ratio"
LATE_ROWS = "tocsin.late_rows"

WINDOW_MS = 10_000
HOLD_WINDOWS = 12
"""windows without any record for which the share of the last one with records stands"""
CALM_WINDOWS = 6
"""windows without trouble that are still reported after one with trouble"""


class Report(NamedTuple):
    """A finished window. `ratio` is the share of refused records in [0, 1]."""

    end_ms: int
    ratio: float
    late: int


class Window(msgspec.Struct, array_like=True):
    """Counts of the open window. Mutable; part of the ingest core's snapshot."""

    index: int = -1
    records: int = 0
    refused: float = 0.0
    """a record of which some rows were refused counts by their share"""
    late: int = 0
    calm: int = 0
    """windows that will still be reported although nothing happens in them"""
    standing: float = 0.0
    """share of refused records in the last window that had any"""
    empty: int = 0
    """windows without records since"""

    def advance(self, reference_ms: int) -> list[Report]:
        """Close the windows that end at or before this reference time (ms UTC)."""
        index = reference_ms // WINDOW_MS
        if index <= self.index:
            return []
        reports = []
        while self.index >= 0 and self.index < index:
            if self.records:
                self.standing, self.empty = self.refused / self.records, 0
            elif self.empty < HOLD_WINDOWS:
                self.empty += 1
            else:
                self.standing = 0.0
            trouble = self.standing > 0 or self.late > 0
            if not trouble and self.calm == 0:
                break  # nothing to say, however many windows have passed
            self.calm = CALM_WINDOWS if trouble else self.calm - 1
            reports.append(Report((self.index + 1) * WINDOW_MS, self.standing, self.late))
            self._open(self.index + 1)
        self._open(index)
        return reports

    def _open(self, index: int) -> None:
        self.index, self.records, self.refused, self.late = index, 0, 0.0, 0

    def count(self, refused: float, late: int, records: int = 1) -> None:
        """One record (or several): the share of it that was refused, and its late rows."""
        self.records += records
        self.refused += refused
        self.late += late
