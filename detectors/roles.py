"""What a series means to a declared objective: to which of its counts the series' rows add."""

from __future__ import annotations

from typing import NamedTuple

from config.control import Slo
from config.matchers import all_match, parse
from detectors.control import labels_of
from detectors.ratios import SERVER, failed, ratio_series
from detectors.slo import Objective
from streams.records.pages import Kind, Series

TOTAL, BAD, GOOD, COLUMNS = 0, 1, 2, 3
_HISTOGRAMS = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA)
_COUNTED = (Kind.COUNTER, Kind.DELTA, *_HISTOGRAMS)


class Part(NamedTuple):
    """One thing a row does: add its amount to a count."""

    place: int
    column: int
    share: bool = False
    """the amount is a share of one event"""


class Slow(NamedTuple):
    """Histogram observations from a bucket on are bad."""

    place: int
    bucket: int


Role = tuple[tuple[Part, ...], tuple[Slow, ...]]


class Told:
    """A declared objective with its matchers read."""

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self.objective = Objective(slo)
        self.total, self.bad, self.good, self.ratio = (
            [parse(text) for text in texts] for texts in (slo.total, slo.bad, slo.good, slo.error_ratio)
        )


def columns_of(told: Told, series: Series) -> tuple[list[int], bool, float | None]:
    """The counts its amounts go to, whether they are shares, and a limit for observations."""
    slo = told.slo
    if slo.total:
        if series.kind not in _COUNTED:
            return [], False, None
        labels = labels_of(series)
        if slo.slower_than is not None:
            fits = series.kind in _HISTOGRAMS and all_match(told.total, labels)
            return ([TOTAL] if fits else []), False, slo.slower_than if fits else None
        columns = [TOTAL] if all_match(told.total, labels) else []
        columns += [BAD] if told.bad and all_match(told.bad, labels) else []
        columns += [GOOD] if told.good and all_match(told.good, labels) else []
        return columns, False, None
    ratio = ratio_series(series)
    if slo.error_ratio:
        if series.kind == Kind.GAUGE:
            return ([TOTAL, BAD] if all_match(told.ratio, labels_of(series)) else []), True, None
        counts = ratio is not None and all_match(told.ratio, labels_of(ratio))
    else:
        counts = ratio is not None and series.metric in SERVER
    return ([TOTAL, BAD] if failed(series) else [TOTAL]) if counts else [], False, None
