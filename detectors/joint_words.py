"""What is odd together, in words: the series that go their own way, and the alert."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from detectors.alert import SEVERITIES, Alert, alert_id
from detectors.control import Control
from detectors.gate import RESOLVE
from detectors.joint_group import ACCEPT, Run, Seat, Seen
from detectors.relations import expected
from detectors.words import clipped, clock, habits, instance_of, quantity, unit_of, usual
from streams.records.digest import digest_hex
from streams.records.pages import Series

METRIC = "joint behaviour"
MOST = 3
"""series that are named"""
SHARE = 0.25
"""of the largest squared residual, from which on a series is named"""
WITHIN = 3.0
"""spreads around the median that are called usual"""
SILENT = 5
"""outcome beside the gate's: nothing was heard for long"""
GONE = 6
"""its service takes part no longer"""

ControlOf = Callable[[Series], Control]


class Part(msgspec.Struct):
    """One series that goes its own way."""

    series: Series
    value: float
    expected: float
    """what the others let expect"""
    material: bool
    words: str


def parts(seen: Seen, seats: list[Seat], control_of: ControlOf) -> list[Part]:
    """The series that contribute most, most first, at most `MOST`."""
    squares = seen.residuals.astype(np.float64) ** 2
    order = np.argsort(-squares, kind="stable")[:MOST]
    expectations = expected(seen.scale, seen.vector)
    found = []
    for place in order.tolist():
        if squares[place] <= 0.0 or squares[place] < SHARE * squares[order[0]]:
            continue
        series = seats[place].series
        control = control_of(series)
        shown = control.shown(series)
        value, expects = float(seen.vector[place]), float(expectations[place])
        habit = habits(shown)
        least = habit.min_abs if control.min_abs is None else control.min_abs
        share = habit.min_rel if control.min_rel is None else control.min_rel
        off = abs(value - expects)
        middle, spread = float(seen.scale.median[place]), WITHIN / float(seen.scale.narrow[place])
        low = max(middle - spread, 0.0) if middle >= 0.0 and value >= 0.0 else middle - spread
        unit = unit_of(shown)
        text = (
            f"{_name(shown)} {quantity(value, unit)}: "
            f"the others let expect {usual(value, expects, unit)}; "
            f"usually {quantity(low, unit)} to {quantity(middle + spread, unit)}"
        )
        found.append(Part(series, value, expects, off >= least and off >= share * abs(expects), text))
    return found


def _name(series: Series) -> str:
    """Metric and labels: the service is said already."""
    rest = [value for _, value in series.labels if len(value) <= 40]
    return " ".join((series.metric, *rest[:2]))


def tell(run: Run, found: list[Part], control_of: ControlOf) -> None:
    """Keep what is to be said of the worst window."""
    run.series = [part.series for part in found]
    run.told = [part.words for part in found]
    if not found:
        run.summary = "series out of step with each other"
        return
    first, *others = found
    shown = control_of(first.series).shown(first.series)
    unit = unit_of(shown)
    run.summary = (
        f"{shown.metric} {quantity(first.value, unit)}, "
        f"its other series let expect {usual(first.value, first.expected, unit)}"
    )
    names = dict.fromkeys(part.series.metric for part in others)
    names.pop(shown.metric, None)
    if names:
        run.summary += f"; also {' and '.join(names)}"


def joint_alert(service: str, run: Run, outcome: int, end: int) -> Alert:
    """One version of the alert of a run that fires or has fired."""
    over = outcome in (RESOLVE, ACCEPT, SILENT, GONE)
    fingerprint = digest_hex(service, METRIC)
    summary = clipped(f"{service} {run.summary}")
    since = clock(run.start)
    ending = {
        RESOLVE: f", {since} to {clock(end)}",
        ACCEPT: f", since {since}; accepted as its new normal",
        SILENT: f", since {since}; nothing more was heard at {clock(end)}",
        GONE: f", since {since}; no longer watched at {clock(end)}",
    }
    common = set(run.series[0].resource) if run.series else set()
    for one in run.series[1:]:
        common &= set(one.resource)
    instances = {instance_of(one) for one in run.series}
    return Alert(
        id=alert_id(fingerprint, "metric", run.start),
        version=run.version,
        state="resolved" if over else "firing",
        kind="metric",
        fingerprint=fingerprint,
        service=service,
        metric=METRIC,
        severity=SEVERITIES[run.severity],
        started_at=run.start,
        detected_at=run.fired_at,
        last_seen_at=end,
        resolved_at=end if over else None,
        summary=summary + ending.get(outcome, f", since {since}"),
        value=run.distance,
        expected=run.usual,
        lower=0.0,
        upper=run.upper,
        score=run.score,
        strength=run.strength,
        instance=instances.pop() if len(instances) == 1 else "",
        resource=tuple(sorted(common)),
        samples=tuple(run.told),
    )
