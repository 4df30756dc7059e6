"""Why a row has its score, in words: what `tocsin score` writes beside each row that is not ordinary."""

from __future__ import annotations

from config.durations import rounded
from detectors.control import Control
from detectors.evidence import NEWS, WORDS
from detectors.gate import BY_DAY, BY_RULE, BY_SHAPE, BY_WEEK
from detectors.thresholds import crossed
from detectors.words import compare, quantity, unit_of, usual
from streams.records.pages import Series

_BAND = {BY_DAY: " for the time of day", BY_WEEK: " for the time of week"}


def reason_words(
    series: Series,
    control: Control,
    value: float,
    expected: float,
    lower: float,
    upper: float,
    by: int,
    lasted_ms: int,
) -> str:
    """ "3.10x its usual 12.0 for the time of day, for 6 min"; `series` with the unit shown."""
    unit = unit_of(series)
    since = f", for {rounded(lasted_ms)}" if lasted_ms > 0 else ""
    if by == BY_RULE:
        found = crossed(value, control.thresholds)
        if found is None:
            return f"inside its thresholds again{since}"
        limit, side, level = found
        where = "at" if value == limit else side
        return f"{where} its {level} threshold of {quantity(limit, unit)}{since}"
    if by >= NEWS and lower <= value <= upper:
        return f"{WORDS[by - NEWS]}, usually {usual(value, expected, unit)}{since}"
    if by == BY_SHAPE and lower <= value <= upper:
        return f"a value or move it has not shown before, usually {usual(value, expected, unit)}{since}"
    if lower <= value <= upper:
        return f"inside its band again, usually {usual(value, expected, unit)}{since}"
    return f"{compare(value, expected)} {usual(value, expected, unit)}{_BAND.get(by, '')}{since}"
