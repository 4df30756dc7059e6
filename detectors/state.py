"""What the bank keeps of a series: one record of named fields per slot, and two arrays beside it.

Each detector module names its own fields (`FIELDS`) and states their size; here they are put side by
side, so that one series is a few neighbouring cache lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import cadence, control, evidence, gate, level, seasonal, shapes

SLOT = np.dtype(
    [
        ("used", "u1"),
        ("signed", "u1"),  # it has been below zero, so a band may be
        ("fp", "<u8"),
        ("touched", "<i8"),  # event time of the last row or description, for eviction
        *cadence.FIELDS,
        *control.FIELDS,
        *gate.FIELDS,
        *level.FIELDS,
        *seasonal.FIELDS,
        *shapes.FIELDS,
        ("tails", "<f8", (gate.TAILS, 3)),  # [q, scale, over] each
    ]
)

EVENT = np.dtype(
    [
        ("slot", "<i8"),
        ("kind", "u1"),
        ("reason", "u1"),
        ("severity", "u1"),
        ("version", "u1"),
        ("started_at", "<i8"),
        ("fired_at", "<i8"),
        ("ts", "<i8"),
        ("over_at", "<i8"),
        ("value", "<f8"),
        ("expected", "<f8"),
        ("lower", "<f8"),
        ("upper", "<f8"),
        ("score", "<f8"),
        ("strength", "<f8"),
    ]
)

Records = npt.NDArray[Any]


class Arrays:
    """The arrays of a bank, grown by doubling."""

    def __init__(self, capacity: int) -> None:
        self.slots: Records = np.zeros(capacity, SLOT)
        self.due = np.full(capacity, cadence.FAR, np.int64)
        """event time from which a series is overdue; FAR: never, or announced already"""
        self.codes = np.zeros((capacity, shapes.SIZE, 3), np.float32)
        self.evidence: Records = np.zeros(capacity, evidence.EVIDENCE)
        # Bin by bin: all series are in the same bins at a time, so these lie together; and a bin takes
        # memory only when its hour has come.
        self.profile = np.zeros((seasonal.BINS, capacity), np.int16)
        self.visits = np.zeros((seasonal.BINS, capacity), np.uint8)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` slots."""
        bigger = Arrays(capacity)
        n = len(self.slots)
        bigger.slots[:n] = self.slots
        bigger.due[:n] = self.due
        bigger.codes[:n] = self.codes
        bigger.evidence[:n] = self.evidence
        for which in range(seasonal.BINS):
            if self.visits[which].any():
                bigger.profile[which, :n] = self.profile[which]
                bigger.visits[which, :n] = self.visits[which]
        self.slots, self.due, self.codes = bigger.slots, bigger.due, bigger.codes
        self.profile, self.visits, self.evidence = bigger.profile, bigger.visits, bigger.evidence

    def clear(self, slot: int, fp: int, now_ms: int) -> None:
        """An empty state for a new series."""
        self.due[slot] = cadence.FAR
        if self.slots["state"][slot]:  # somebody else's before
            self.codes[slot] = 0
            visited = self.visits[:, slot] > 0
            self.profile[visited, slot] = 0
            self.visits[visited, slot] = 0
        self.slots[slot] = EMPTY
        self.evidence[slot] = evidence.EMPTY
        self.slots["fp"][slot] = fp
        self.slots["touched"][slot] = now_ms


TAIL_PRIOR = np.array([[3.0, 0.9, 0.0], [3.0, 0.9, 0.0], [0.0, 0.0, 0.0], [3.0, 0.9, 0.0], [3.0, 0.9, 0.0]])
"""heavier than a normal distribution's .98 quantile and mean excess, in spreads"""

BYTES_PER_SERIES = SLOT.itemsize + 8 + shapes.SIZE * 12 + seasonal.BINS * 3 + evidence.EVIDENCE.itemsize
"""state of one series in the arrays, without its description"""


def _empty() -> Records:
    empty = np.zeros((), SLOT)
    empty["used"] = 1
    empty["last_ts"] = cadence.NEVER
    empty["bin"] = -1
    empty["state"] = gate.OK
    empty["thresholds"] = np.nan
    empty["critical_since"] = control.NOT_CRITICAL
    empty["tails"] = TAIL_PRIOR
    return empty


EMPTY = _empty()
"""a series nothing is known of; copied whole, because setting a few dozen fields one by one is slow"""
