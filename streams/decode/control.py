"""What headers say: the reference time of a record, and the begin and end of a bounded replay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streams.records.batch import Records
from streams.records.messages import MAX_MS
from streams.records.pages import I64
from streams.records.stage import Record

NOW = "tocsin-now"
CONTROL = "tocsin-control"
EPOCH = "tocsin-epoch"
BEGIN_MS = "tocsin-begin"
REINJECTED = "tocsin-reinjected"

BEGIN, END = "begin", "end"


class Control(NamedTuple):
    """A replay begins at `begin_ms` (ms UTC), or has ended, on this partition.

    On a partition of external alerts, which has no watermark, `begin_ms` is how far time has come.
    """

    what: str
    epoch: str
    begin_ms: int


def _millis(raw: bytes | None) -> int:
    """The number, or -1 if there is none between 1970 and 2100."""
    if raw is None or not raw.isdigit() or len(raw) > 15:
        return -1
    found = int(raw)
    return found if found < MAX_MS else -1


def reference_ms(record: Record) -> int:
    """The time the record stands for, ms UTC: header `tocsin-now`, else the broker's; -1 unknown."""
    for name, value in record.headers:
        if name == NOW:
            found = _millis(value)
            if found >= 0:
                return found
    return record.timestamp_ms if 0 < record.timestamp_ms < MAX_MS else -1


def references(records: Records) -> I64:
    """`reference_ms` of each record."""
    stamps = np.array(records.timestamps, dtype=np.int64)
    if stamps.min(initial=1) <= 0 or stamps.max(initial=0) >= MAX_MS:
        stamps[(stamps <= 0) | (stamps >= MAX_MS)] = -1
    if records.headers is not None:
        for i, found in enumerate(records.headers):
            if found:
                stamps[i] = reference_ms(records[i])
    return stamps


def control(record: Record) -> Control | None:
    """What a control record says; None for any other, also for one that is not understood."""
    if record.value or not record.headers:
        return None
    headers = dict(record.headers)
    what = headers.get(CONTROL)
    if what not in (b"begin", b"end"):
        return None
    try:
        epoch = headers.get(EPOCH, b"").decode()
    except UnicodeDecodeError:
        return None
    if not epoch or len(epoch) > 200:
        return None
    return Control(what.decode(), epoch, _millis(headers.get(BEGIN_MS)))
