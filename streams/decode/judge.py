"""Which rows of a chunk may pass: finite, not from the future, not ancient, not late.

Everything is decided per row from the rows before it in the partition, and computed for a whole
chunk at once. Cutting the same records into other chunks changes nothing.

The *clock* of a partition is its newest accepted event time, but no row moves it past its record's
reference time: one producer whose clock is ahead must not make everyone else late. A row is late if
it is at or before (clock before its record − allowed lateness); rows of one record are never late by
each other.
"""

from __future__ import annotations

import dataclasses
from array import array

import numpy as np
import numpy.typing as npt

from config.settings import Ingest
from streams.decode.columns import Columns, Refusal
from streams.decode.errors import ANCIENT, FUTURE, NON_FINITE
from streams.records.messages import MAX_MS
from streams.records.pages import F64, I64

Mask = npt.NDArray[np.bool_]

SAMPLES, HISTOGRAMS = 0, 1
"""kinds of rows with values to check; logs and spans are 2 and 3"""

NEVER = -1
"""event time of a partition that has had no row yet"""


def ints(column: array[int]) -> I64:
    """A copy of the column: it can be appended to again."""
    return np.array(column, dtype=np.int64)


def floats(column: array[float]) -> F64:
    return np.array(column, dtype=np.float64)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a chunk of n records. The masks say of each row whether it passes."""

    samples: Mask
    histograms: Mask
    logs: Mask
    spans: Mask
    accepted: I64
    """[n] rows neither refused nor late"""
    late: I64
    """[n] rows dropped as late"""
    refusals: dict[int, list[Refusal]]
    """record number -> what was refused of it, by the decoder or here"""
    clock: int
    newest: int


class _Rows:
    """One kind of rows: their record numbers and times."""

    def __init__(self, counts: I64, ts: array[int]) -> None:
        self.record = np.repeat(np.arange(len(counts)), counts)
        self.ts = ints(ts)


_NONE: Mask = np.empty(0, dtype=np.bool_)


def judge(
    columns: Columns, references: I64, clock: int, newest: int, floor: int, settings: Ingest
) -> Verdict:
    """Judge a chunk whose records have these reference times (ms UTC, `NEVER` if unknown).

    `clock` and `newest` are the partition's so far; nothing at or before `floor` is on time.
    """
    n = columns.records
    counts = ints(columns.counts).reshape(n, 4)
    known = references >= 0
    lowest = np.where(known, np.maximum(references - settings.max_age_ms, 0), 0)
    highest = np.where(known, references + settings.max_future_ms, MAX_MS)
    furthest = np.where(known, references, MAX_MS)

    refusals = {record: list(found) for record, found in columns.refusals.items()}
    clocks = np.full(n, NEVER, dtype=np.int64)
    kinds: dict[int, _Rows] = {}
    masks = [_NONE] * 4
    for kind, ts in enumerate((columns.ts, columns.h_ts, columns.l_ts, columns.s_ts)):
        if not len(ts):
            continue
        rows = kinds[kind] = _Rows(counts[:, kind], ts)
        ahead = rows.ts > highest[rows.record]
        good = ~ahead & (rows.ts >= lowest[rows.record])
        right = None
        if kind == SAMPLES:
            right = np.isfinite(floats(columns.value))
            good &= right
        elif kind == HISTOGRAMS:
            right = ~np.isinf(floats(columns.h_sum))  # NaN says: none was sent
            good &= right
        if not good.all():
            _refuse(refusals, rows, ~good, right, ahead, references)
        masks[kind] = good
        at, taken = rows.record[good], rows.ts[good]
        newest = max(newest, int(taken.max(initial=NEVER)))
        np.maximum.at(clocks, at, np.minimum(taken, furthest[at]))

    after = np.maximum.accumulate(np.concatenate([[clock], clocks]))
    before = np.where(after[:-1] == NEVER, NEVER, after[:-1] - settings.allowed_lateness_ms)
    before = np.maximum(before, floor)
    accepted = np.zeros(n, dtype=np.int64)
    late = np.zeros(n, dtype=np.int64)
    for kind, rows in kinds.items():
        in_time = rows.ts > before[rows.record]
        late += np.bincount(rows.record[masks[kind] & ~in_time], minlength=n)
        masks[kind] &= in_time
        accepted += np.bincount(rows.record[masks[kind]], minlength=n)
    return Verdict(masks[0], masks[1], masks[2], masks[3], accepted, late, refusals, int(after[-1]), newest)


def _refuse(
    refusals: dict[int, list[Refusal]],
    rows: _Rows,
    bad: Mask,
    right: Mask | None,
    ahead: Mask,
    references: I64,
) -> None:
    """Note the bad rows under their records, with one reason and an example each."""
    at = np.flatnonzero(bad)
    wrong = np.zeros(len(at), dtype=np.bool_) if right is None else ~right[at]
    which = np.where(wrong, 0, np.where(ahead[at], 1, 2))
    _, first, count = np.unique(rows.record[at] * 3 + which, return_index=True, return_counts=True)
    order = np.argsort(first)
    for row, many in zip(at[first[order]].tolist(), count[order].tolist(), strict=True):
        record = int(rows.record[row])
        ts, reference = int(rows.ts[row]), int(references[record])
        if right is not None and not right[row]:
            reason, detail = NON_FINITE, "a value that is NaN or infinite"
        else:
            reason, side = (FUTURE, "after") if ahead[row] else (ANCIENT, "before")
            detail = f"event time {ts} is {abs(ts - reference)} ms {side} its record ({reference})"
            if reference < 0:
                detail = f"event time {ts} is {side} anything honest"
        found = refusals.setdefault(record, [])
        for i, refusal in enumerate(found):
            if refusal.reason == reason:
                found[i] = refusal._replace(rows=refusal.rows + many)
                break
        else:
            found.append(Refusal(reason, detail, many))
