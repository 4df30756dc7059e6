"""The report as one HTML page that needs nothing else: charts are drawn inside as SVG. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from cli.output import NONE, figure, percent
from cli.reportdata import Report
from correlator.when import utc
from sinks.analytics import NoiseDay
from sinks.reader import Group

MOST_DAYS = 31
"""times of a longer period are drawn by week: a day has too few incidents for a percentile"""
MOST_BARS = 62
"""bars that can be told apart"""
WIDTH, HEIGHT = 360.0, 170.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 8.0, 10.0, 24.0
"""units of the drawing; text in it is 11 of them high, and it is shown about as wide as it is drawn"""
_STEPS_MS = tuple(
    s * 1000
    for s in (
        1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
        172_800, 432_000, 864_000, 1_728_000, 4_320_000,
    )
)  # fmt: skip

_UNIT = re.compile(r"(\d) ")


class Chart(NamedTuple):
    """A drawing of one quantity over time: the median as a line, the 90th percentile above it."""

    name: str
    meaning: str
    ticks: list[tuple[float, str]]
    """y, label"""
    days: list[tuple[float, str, str]]
    """x, label, anchor"""
    p50: list[str]
    """points of each unbroken stretch"""
    p90: list[str]
    dots: list[tuple[float, float, str]]
    """x, y, what it says"""


class Bars(NamedTuple):
    """Alerts of a day as a bar, the incidents they became in front."""

    ticks: list[tuple[float, str]]
    days: list[tuple[float, str, str]]
    bars: list[tuple[float, float, float, float, str]]
    """x, width, height of alerts, height of incidents, what it says"""


def page(found: Report, course: Sequence[Group], days: Sequence[NoiseDay], period: str, now_ms: int) -> str:
    """`course`: timing by day or week, empty ones included; `days`: noise by day; `now_ms`: made at."""
    charts = [
        chart(name, meaning, course, stat)
        for name, meaning, stat in (
            ("MTTD", "detected − started", "mttd"),
            ("MTTA", "acknowledged − detected", "mtta"),
            ("MTTR", "resolved − started", "mttr"),
        )
    ]
    met, due = sum(sla.met for sla in found.sla), sum(sla.n for sla in found.sla)
    return _environment().get_template("report.html.j2").render(
        r=found, charts=charts, course=course, step=step_of(course), days=days, bars=noise_bars(days),
        period=period, now_ms=now_ms, kept=met / due if due else None, due=due,
        most=max((s.incidents for s in found.services), default=1),
        opened=max((t.opened for t in found.teams), default=1),
        times=max((k.n for k in found.recurrence), default=1),
    )  # fmt: skip


def step_of(course: Sequence[Group]) -> str:
    """day or week: of how much one point speaks."""
    if len(course) > MOST_DAYS:
        return "week"
    starts = [group.key for group in course[:2]]
    return "week" if len(starts) == 2 and _ordinal(starts[1]) - _ordinal(starts[0]) == 7 else "day"


def chart(name: str, meaning: str, course: Sequence[Group], stat: str) -> Chart:
    """Where nothing was resolved, or acknowledged, the line is broken."""
    values = [(getattr(group, stat).p50, getattr(group, stat).p90) for group in course]
    highest = max((p90 for _, p90 in values if p90 is not None), default=0.0)
    step = next((s for s in _STEPS_MS if s * 4 >= highest), _STEPS_MS[-1])
    count = max(1, -int(-highest // step))
    top = float(step * count)
    xs = _places(len(course))

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)

    dots = [
        (x, y(p50), f"{group.key}: p50 {figure(p50)}, p90 {figure(p90)}, n {getattr(group, stat).n}")
        for x, group, (p50, p90) in zip(xs, course, values, strict=True)
        if p50 is not None
    ]
    lines: list[list[str]] = []
    for at in (0, 1):
        stretches: list[list[str]] = [[]]
        for x, pair in zip(xs, values, strict=True):
            value = pair[at]
            if value is not None:
                stretches[-1].append(f"{x},{y(value)}")
            elif stretches[-1]:
                stretches.append([])
        lines.append([" ".join(points) for points in stretches if len(points) > 1])
    ticks = [(y(step * n), _short(step * n)) for n in range(count + 1)]
    return Chart(name, meaning, ticks, _marks([g.key for g in course], xs), lines[0], lines[1], dots)


def noise_bars(days: Sequence[NoiseDay]) -> Bars:
    """The last days of the period, as many as can be told apart."""
    days = days[-MOST_BARS:]
    highest = max((max(day.alerts, day.incidents) for day in days), default=0)
    step = next(s * 10**e for e in range(12) for s in (1, 2, 5) if s * 10**e * 4 >= highest)
    count = max(1, -(-highest // step))
    tall = HEIGHT - BOTTOM - TOP
    room = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    width = round(min(26.0, room * 0.8), 1)
    xs = [round(LEFT + room * (n + 0.5), 1) for n in range(len(days))]
    bars = [
        (
            round(x - width / 2, 1), width,
            round(tall * day.alerts / (step * count), 1), round(tall * day.incidents / (step * count), 1),
            f"{day.day}: {day.alerts} alerts, {day.suppressed} suppressed, {day.incidents} incidents",
        )
        for x, day in zip(xs, days, strict=True)
    ]  # fmt: skip
    ticks = [(round(HEIGHT - BOTTOM - tall * n / count, 1), f"{step * n:,}") for n in range(count + 1)]
    return Bars(ticks, _marks([day.day for day in days], xs), bars)


def _places(n: int) -> list[float]:
    wide = WIDTH - LEFT - RIGHT - 12
    if n == 1:
        return [round(LEFT + 6 + wide / 2, 1)]
    return [round(LEFT + 6 + wide * at / (n - 1), 1) for at in range(n)]


def _marks(days: Sequence[str], xs: Sequence[float]) -> list[tuple[float, str, str]]:
    """The first and the last day named; a year only if they differ in it."""
    if not days:
        return []
    cut = 0 if days[0][:4] != days[-1][:4] else 5
    if len(days) == 1:
        return [(xs[0], days[0], "middle")]
    return [(xs[0], days[0][cut:], "start" if len(days) > 2 else "middle"),
            (xs[-1], days[-1][cut:], "end" if len(days) > 2 else "middle")]  # fmt: skip


def _short(ms: float) -> str:
    seconds = ms / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0 and (unit != "d" or seconds >= 2 * size):
            return f"{seconds / size:.0f} {unit}"
    if seconds >= 3_600:
        return f"{seconds / 3_600:.1f} h"
    if seconds >= 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s" if seconds else "0"


def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _together(text: str) -> str:
    """A number is not parted from its unit by the end of a line: `4 min` may be, from `5 s`."""
    return _UNIT.sub("\\1\N{NO-BREAK SPACE}", text)


def _figure(ms: float | None) -> str:
    return _together(figure(ms))


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("cli", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    made.filters |= {"utc": utc, "figure": _figure, "percent": lambda share: _together(percent(share))}
    made.globals["dash"] = NONE
    return made
