"""What the bank thought of each sample, kept for charts: collected as it is fed, described once an hour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from config.matchers import all_match, parse
from config.settings import Settings
from detectors.bank import Scores
from detectors.control import labels_of
from streams.records.history import Described, encode_history, packed
from streams.records.pages import F64, I64, U64, Series
from streams.records.stage import Output

AGAIN_MS = 3_600_000
"""a series is described again after this much event time"""
ROWS_AT_ONCE = 20_000
"""rows of one record, about 900 kB"""


class History:
    """Of one shard. Not part of its state: what is sent twice changes nothing where it is read.

    `of`: the series of a fingerprint, or None for one that has gone. Holds what was fed since the last
    `outputs`, and when each series was described: at most `max_series`, then all are described anew.
    """

    def __init__(self, settings: Settings, of: Callable[[int], Series | None]) -> None:
        self._settings = settings
        self._of = of
        self._label = settings.correlate.domain_label
        self._rows: list[npt.NDArray[np.void]] = []
        self._described: dict[int, int] = {}
        """fingerprint -> event time at which it is due again; those left out are there, too"""
        self._out: set[int] = set()
        """of these nothing is kept"""
        self._matchers = tuple(parse(text) for text in settings.history.matchers)
        self.rows = 0
        self.left_out = 0

    def take(self, fps: U64, ts: I64, values: F64, scores: Scores) -> None:
        """Rows as they were fed, and what was thought of them; those that changed nothing are left out."""
        told = ~np.isnan(scores.score)
        if not told.any():
            return
        judged = (scores.expected[told], scores.lower[told], scores.upper[told], scores.score[told])
        self._rows.append(packed(fps[told], ts[told], values[told], judged, scores.reason[told]))

    def outputs(self, shard: int) -> list[Output]:
        """What was taken since the last call, as records; empties it."""
        if not self._rows:
            return []
        rows = np.concatenate(self._rows)
        self._rows = []
        found: list[Output] = []
        key = str(shard).encode()
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[begin : begin + ROWS_AT_ONCE]
            series = self._describe(part)
            if self._out:
                kept = ~np.isin(part["fp"], np.fromiter(self._out, np.uint64, len(self._out)))
                self.left_out += int(np.count_nonzero(~kept))
                part = part[kept]
            if len(part) or series:
                self.rows += len(part)
                value = encode_history(part, series)
                found.append(Output(self._settings.topics.history, value, key))
        return found

    def _describe(self, rows: npt.NDArray[np.void]) -> list[Described]:
        """Series of these rows that are new, or due again."""
        fps, first = np.unique(rows["fp"], return_index=True)
        found: list[Described] = []
        if len(self._described) + len(fps) > self._settings.history.max_series:
            self._described.clear()
            self._out.clear()
        for fp, ts in zip(fps.tolist(), rows["ts"][first].tolist(), strict=True):
            if self._described.get(fp, 0) > ts:
                continue
            self._described[fp] = ts + AGAIN_MS
            series = self._of(fp)
            if series is None:
                continue
            if not self._kept(series):
                self._out.add(fp)
                continue
            resource = dict(series.resource)
            domain = resource.get(self._label, "") if self._label else ""
            found.append(
                Described(
                    fp, series.service, series.metric, series.unit, tuple(series.labels),
                    tuple(series.resource), domain, ts,
                )
            )  # fmt: skip
        return found

    def _kept(self, series: Series) -> bool:
        return not self._matchers or all_match(self._matchers, labels_of(series))
