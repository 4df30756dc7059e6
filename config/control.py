"""Per-series rules and service level objectives of the section `detect`; see docs/control.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.durations import millis
from config.matchers import parse

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Effect = Annotated[float, Meta(ge=0.0)]
SEVERITIES = ("info", "warning", "error", "critical")
DIRECTIONS = ("up", "down", "both")
SENSITIVITY = {"low": 0.5, "normal": 1.0, "high": 2.0}
MOST_RULES = 1_000
MOST_SLOS = 1_000


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What holds for the series that all `matchers` match. A key left out says nothing."""

    matchers: tuple[str, ...] = ()
    """of service, metric, unit, instance, labels and resource; none: every series"""
    watch: bool | None = None
    """False: the series is not watched at all"""
    sensitivity: str | float | None = None
    """of `SENSITIVITY`, or a number: scales the distance of `fire_score` to 1"""
    direction: str | None = None
    """of `DIRECTIONS`: the one that is bad; the other is not judged"""
    unit: str | None = None
    min_effect: Effect | None = None
    """least deviation from the expected value that matters, in the series' unit"""
    min_effect_ratio: Effect | None = None
    """the same as a share of the expected value"""
    hold_samples: Count | None = None
    clear_samples: Count | None = None
    hold_for: str | None = msgspec.field(default=None, name="for")
    """an anomaly fires when it has lasted this long, at least `hold_samples` samples"""
    keep_firing_for: str | None = None
    """it resolves when it has been clear for this long, at least `clear_samples` samples"""
    warning_above: float | None = None
    critical_above: float | None = None
    warning_below: float | None = None
    critical_below: float | None = None
    max_severity: str | None = None
    absent: bool | None = None
    """False: that the series stops is not said"""


class BurnRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fires while the budget burns at least `burn` times too fast over both windows."""

    burn: Annotated[float, Meta(gt=0.0)]
    long: str
    short: str
    severity: str = "critical"


BURN_RATES = (
    BurnRate(burn=14.4, long="1h", short="5m"),
    BurnRate(burn=6.0, long="6h", short="30m"),
    BurnRate(burn=1.0, long="3d", short="6h", severity="warning"),
)
"""Google's SRE workbook, chapter 5: the first two page, the last opens a ticket"""


class Slo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An objective for every service that has what it is measured by."""

    name: str
    objective: Annotated[float, Meta(gt=0.0, lt=100.0)]
    """per cent of good events"""
    service: str = ""
    """only this one; empty: each"""
    total: tuple[str, ...] = ()
    """matchers of counters or histograms of all events; with `bad`, `good` or `slower_than`"""
    bad: tuple[str, ...] = ()
    good: tuple[str, ...] = ()
    slower_than: Annotated[float, Meta(gt=0.0)] | None = None
    """events of the histograms `total` above this are bad, in their unit"""
    error_ratio: tuple[str, ...] = ()
    """matchers of gauges in [0, 1]; instead of `total`"""
    period: str = "30d"
    """what the budget is for"""
    burn_rates: Annotated[tuple[BurnRate, ...], Meta(min_length=1, max_length=10)] = BURN_RATES


Problem = tuple[str, Any, str]
"""key, value, what was expected"""


def problems(
    rules: tuple[Rule, ...], slos: tuple[Slo, ...], fire_score: float, clear_score: float
) -> Iterator[Problem]:
    """What the types alone cannot say, in order."""
    if len(rules) > MOST_RULES:
        yield "detect.rules", f"{len(rules)} rules", f"at most {MOST_RULES}"
    if len(slos) > MOST_SLOS:
        yield "detect.slos", f"{len(slos)} objectives", f"at most {MOST_SLOS}"
    for i, rule in enumerate(rules):
        key = f"detect.rules[{i}]"
        yield from _of_rule(key, rule)
        yield from _sensitivity(f"{key}.sensitivity", rule.sensitivity, fire_score, clear_score)
    for i, slo in enumerate(slos):
        yield from _of_slo(f"detect.slos[{i}]", slo)
    names = [slo.name for slo in slos]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "detect.slos", name, "distinct names"


def fires_at(sensitivity: str | float, fire_score: float) -> float:
    """The score at which a series of this sensitivity fires."""
    factor = SENSITIVITY[sensitivity] if isinstance(sensitivity, str) else sensitivity
    return min(1.0 - (1.0 - fire_score) * factor, 0.999)


def _sensitivity(
    key: str, value: str | float | None, fire_score: float, clear_score: float
) -> Iterator[Problem]:
    known = f"{', '.join(SENSITIVITY)} or a number from 0.1 to 10"
    if value is None:
        return
    if value not in SENSITIVITY and (isinstance(value, str) or not 0.1 <= value <= 10.0):
        yield key, value, known
        return
    reached = fires_at(value, fire_score)
    if reached <= clear_score:
        yield (
            key,
            value,
            f"less: it would fire at {reached:g}, not above detect.clear_score ({clear_score:g})",
        )


def _one_of(key: str, value: str | None, known: tuple[str, ...]) -> Iterator[Problem]:
    if value is not None and value not in known:
        yield key, value, f"one of {', '.join(known)}"


def _of_rule(key: str, rule: Rule) -> Iterator[Problem]:
    yield from _matchers(f"{key}.matchers", rule.matchers)
    yield from _one_of(f"{key}.direction", rule.direction, DIRECTIONS)
    yield from _one_of(f"{key}.max_severity", rule.max_severity, SEVERITIES)
    yield from _durations(key, {"for": rule.hold_for, "keep_firing_for": rule.keep_firing_for})
    levels = [
        (name, value)
        for name in ("critical_below", "warning_below", "warning_above", "critical_above")
        if (value := getattr(rule, name)) is not None
    ]
    for name, value in levels:
        if not math.isfinite(value):
            yield f"{key}.{name}", value, "a finite number"
    for (low, least), (high, most) in pairwise(levels):
        if not least <= most:
            yield f"{key}.{high}", most, f"at least {low} ({least:g})"


def _of_slo(key: str, slo: Slo) -> Iterator[Problem]:
    if not slo.name.strip():
        yield f"{key}.name", slo.name, "a name"
    for part in ("total", "bad", "good", "error_ratio"):
        yield from _matchers(f"{key}.{part}", getattr(slo, part))
    told = [part for part in ("bad", "good", "slower_than") if getattr(slo, part)]
    if slo.error_ratio and (slo.total or told):
        yield f"{key}.error_ratio", list(slo.error_ratio), "either error_ratio, or total with bad or good"
    if slo.total and len(told) != 1:
        yield f"{key}.total", list(slo.total), "with it one of bad, good and slower_than"
    if told and not slo.total:
        yield f"{key}.{told[0]}", getattr(slo, told[0]), "with it total: matchers of all events"
    yield from _durations(key, {"period": slo.period})
    for i, rate in enumerate(slo.burn_rates):
        where = f"{key}.burn_rates[{i}]"
        yield from _one_of(f"{where}.severity", rate.severity, SEVERITIES)
        wrong = list(_durations(where, {"long": rate.long, "short": rate.short}))
        yield from wrong
        if not wrong and not LEAST_WINDOW_MS <= millis(rate.short) <= millis(rate.long):
            yield f"{where}.short", rate.short, "at least 1m, and at most the long window"


LEAST_WINDOW_MS = 60_000


def _matchers(key: str, texts: tuple[str, ...]) -> Iterator[Problem]:
    for i, text in enumerate(texts):
        try:
            parse(text)
        except ValueError as error:
            yield f"{key}[{i}]", text, str(error)


def _durations(key: str, texts: dict[str, str | None]) -> Iterator[Problem]:
    for name, text in texts.items():
        if text is None:
            continue
        try:
            millis(text)
        except ValueError as error:
            yield f"{key}.{name}", text, str(error)
