"""Which columns of a table say what, and what their cells mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cli.errors import CliError

NO_TIME = -(2**62)
"""a row without a time"""
ADDED = ("score", "expected", "lower", "upper", "state", "reason")
NAMES = {
    "ts": ("ts", "timestamp", "time", "datetime", "date", "@timestamp", "ts_ms", "time_ms", "epoch"),
    "value": ("value", "val", "y"),
    "series": ("series", "file", "name", "id", "kpi id", "kpi_id"),
    "service": ("service", "service.name"),
    "metric": ("metric", "metric_name", "__name__"),
    "unit": ("unit",),
    "label": ("label", "is_anomaly", "anomaly"),
}
"""what a column says -> header names, in lower case, the first that is there counts"""
EMPTY = frozenset(("", "nan", "null", "none", "na", "n/a", "nat", "inf", "-inf", "+inf", "infinity"))
"""cells that say that there is no figure"""
TIMES = "milliseconds, seconds or ISO 8601, such as 1700000000000 or 2026-03-01T14:00:00Z"
SECONDS_BELOW, MILLIS_BELOW, MICROS_BELOW, NANOS_BELOW = 1e11, 1e14, 1e17, 1e20
"""by its size a number is seconds (until the year 5138), ms (from 1973), µs or ns"""


class Columns(NamedTuple):
    """Places of the columns; None: there is none."""

    ts: int
    value: int
    series: int | None
    service: int | None
    metric: int | None
    unit: int | None
    label: int | None


def columns_of(names: Sequence[str], source: str) -> Columns:
    """Raises `CliError` naming the missing column."""
    plain = [name.strip().lower() for name in names]
    places = {
        what: next((plain.index(name) for name in known if name in plain), None)
        for what, known in NAMES.items()
    }
    for needed in ("ts", "value"):
        if places[needed] is None:
            raise CliError(
                f"{source} has no column {needed!r} (it has {', '.join(names) or 'none'})",
                "the first line names the columns: series (left out if there is one only), ts, value",
            )
    taken = [name for name in ADDED if name in plain]
    if taken:
        raise CliError(f"{source} already has a column {taken[0]!r}", "rename it, or score the original file")
    return Columns(**places)  # type: ignore[arg-type]


def to_ms(value: str | float | datetime | None) -> int:
    """Milliseconds UTC from a number, ISO 8601 text or a datetime; `NO_TIME` for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            try:
                value = datetime.fromisoformat(str(value).strip())
            except ValueError:
                return NO_TIME
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if value is None or not math.isfinite(value) or abs(value) >= NANOS_BELOW:
        return NO_TIME
    size = abs(value)
    if size < SECONDS_BELOW:
        return round(value * 1000)
    if size < MILLIS_BELOW:
        return round(value)
    return round(value / 1000 if size < MICROS_BELOW else value / 1_000_000)


def to_number(text: str) -> float:
    """NaN for what is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def is_empty(cell: str) -> bool:
    """Whether a cell that is no number honestly says so."""
    return cell.strip().lower() in EMPTY
