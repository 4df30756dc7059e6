"""Times, durations and figures for people."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at_ms: int | None, date: bool = True) -> str:
    """`2026-03-01 14:02:10`, or an empty string for None."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def duration(ms: float | None) -> str:
    """`850 ms`, `12.3 s`, `4 min 5 s`, `3 h 20 min`, or an empty string for None."""
    if ms is None:
        return ""
    seconds = ms / 1000
    if abs(seconds) < 1:
        return f"{ms:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


NONE = "–"
"""shown where there is no figure: never a zero"""
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000


def figure(ms: float | None) -> str:
    """A duration (`3 d 4 h` from two days on), or a dash."""
    if ms is None:
        return NONE
    days, rest = divmod(ms, _DAY_MS)
    return f"{days:.0f} d {rest // _HOUR_MS:.0f} h" if days >= 2 else duration(ms)


def percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.0f} %"


def some(count: int, one: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
