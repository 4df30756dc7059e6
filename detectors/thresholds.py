"""Which static threshold a value has crossed, in words."""

from __future__ import annotations

from detectors.control import CRITICAL_ABOVE, CRITICAL_BELOW, WARNING_ABOVE, WARNING_BELOW, Control
from detectors.words import name_of, quantity, unit_of
from streams.records.pages import Series

_ORDER = (
    (CRITICAL_ABOVE, "above", "critical"),
    (CRITICAL_BELOW, "below", "critical"),
    (WARNING_ABOVE, "above", "warning"),
    (WARNING_BELOW, "below", "warning"),
)


def crossed(value: float, thresholds: tuple[float, float, float, float]) -> tuple[float, str, str] | None:
    """(threshold, above | below, critical | warning) of the gravest one, or None."""
    for place, side, level in _ORDER:
        limit = thresholds[place]
        if value >= limit if side == "above" else value <= limit:  # NaN: neither
            return limit, side, level
    return None


def threshold_words(value: float, series: Series, control: Control) -> str:
    """ "checkout disk.used 97 %, above its critical threshold of 95 %"; `series` with the unit shown."""
    unit = unit_of(series)
    found = crossed(value, control.thresholds)
    if control.words:
        least = quantity(control.thresholds[WARNING_ABOVE], unit)
        return f"{control.words}: {quantity(value, unit)}, at least {least} fires"
    text = f"{name_of(series)} {quantity(value, unit)}"
    if found is None:  # the thresholds have changed since
        return f"{text}, beyond its threshold"
    limit, side, level = found
    where = "at" if value == limit else side
    return f"{text}, {where} its {level} threshold of {quantity(limit, unit)}"
