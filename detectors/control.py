"""Per-series control: what the rules of the configuration make of one series, in its slot.

A series' parameters follow from its description and the configuration alone and are set whenever it
is described, after a restore too: they are in the arrays because the kernel reads them, not because
they are state. Rules are matched once per description, never per sample. See docs/control.md.

Static thresholds, where given, judge a series instead of what it has learned (which goes on learning):

    level = 2 beyond a critical threshold, 1 beyond a warning one, else 0; reaching it counts
    score = 1 where level > 0, else 0

State: 88 bytes a series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.control import Rule, fires_at
from config.durations import millis
from config.matchers import Matcher, all_match, parse
from config.settings import Detect
from detectors.alert import SEVERITIES
from detectors.compiled import part
from detectors.rules import rule_for
from detectors.words import habits, instance_of, unit_of
from streams.records.pages import Series

UPWARD, DOWNWARD = 1, 2
"""bits of `ways`: which deviations are judged"""
WARNING_ABOVE, CRITICAL_ABOVE, WARNING_BELOW, CRITICAL_BELOW = 0, 1, 2, 3
"""places in the thresholds; NaN: none"""
NOT_CRITICAL = -(2**62)
SPARSE, MAY_STOP = 1, 2
"""bits of `sparse`: by its description, by a rule"""
REMEMBERED = 4_096
"""combinations of rules whose outcome is kept"""

FIELDS = [
    ("fire", "<f8"),  # the score at which it fires
    ("ways", "u1"),
    ("cap", "u1"),  # highest severity
    ("ruled", "u1"),  # has thresholds
    ("low_severity", "u1"),  # of the warning ones
    ("hold_samples", "<i4"),
    ("clear_samples", "<i4"),
    ("hold_ms", "<i8"),
    ("clear_ms", "<i8"),
    ("thresholds", "<f8", (4,)),
    ("critical_since", "<i8"),
    ("clear_since", "<i8"),
]


EVIDENCE = {
    "log.error_ratio": "info", "log.template": "info", "log.template_errors": "info",
    "log.param.duration": "warning",
}  # fmt: skip
"""most severe that series made of log lines are unless a rule says otherwise: bursts are told by kind of
line (`detectors.logkinds`), beside which these show how much"""


class Control(NamedTuple):
    """What holds for a series. None: its name and unit decide (`detectors.words.habits`)."""

    watch: bool
    fire: float
    sense: int | None
    ways: int
    unit: str | None
    min_abs: float | None
    min_rel: float | None
    hold_samples: int
    clear_samples: int
    hold_ms: int
    clear_ms: int
    thresholds: tuple[float, float, float, float]
    low_severity: int
    cap: int
    absent: bool
    words: str
    """of a threshold about the pipeline itself"""

    def shown(self, series: Series) -> Series:
        """The series with the unit it is said to have."""
        return series if self.unit is None else msgspec.structs.replace(series, unit=self.unit)


class Controls:
    """The rules of one configuration."""

    def __init__(self, config: Detect) -> None:
        self.config = config
        self._rules = [(rule, [parse(text) for text in rule.matchers]) for rule in config.rules]
        self._known: dict[tuple[int, ...], Control] = {}

    def of(self, series: Series) -> Control:
        """What holds for a series; with rules, also those about the pipeline itself can be changed."""
        which = self.matching(series)
        control = self._known.get(which)
        if control is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            control = self._known[which] = self._merged(which)
        most = EVIDENCE.get(series.metric)
        if most is not None and self._given(which, "max_severity") is None and not has_thresholds(control):
            control = control._replace(cap=SEVERITIES.index(most))
        own = rule_for(series, self.config)
        if math.isnan(own.at_least) or has_thresholds(control):
            return control
        return control._replace(
            thresholds=(own.at_least, math.nan, math.nan, math.nan),
            low_severity=SEVERITIES.index("error"),
            hold_samples=1 if self._given(which, "hold_samples") is None else control.hold_samples,
            words=own.words,
        )

    def matching(self, series: Series) -> tuple[int, ...]:
        """Places of the rules that apply to a series, in order."""
        if not self._rules:
            return ()
        labels = labels_of(series)
        return tuple(i for i, (_, matchers) in enumerate(self._rules) if all_match(matchers, labels))

    def deciding(self, which: tuple[int, ...], key: str) -> int | None:
        """The rule whose word on `key` holds, of those that apply."""
        return next((i for i in reversed(which) if getattr(self._rules[i][0], key) is not None), None)

    def matchers(self, place: int) -> list[Matcher]:
        return self._rules[place][1]

    def _given(self, which: tuple[int, ...], key: str) -> Any:
        place = self.deciding(which, key)
        return None if place is None else getattr(self._rules[place][0], key)

    def _merged(self, which: tuple[int, ...]) -> Control:
        given = {key: self._given(which, key) for key in Rule.__struct_fields__}
        thresholds = tuple(
            math.nan if given[name] is None else float(given[name])
            for name in ("warning_above", "critical_above", "warning_below", "critical_below")
        )
        ruled = not all(map(math.isnan, thresholds))
        config = self.config
        hold, clear = given["hold_for"], given["keep_firing_for"]
        direction = given["direction"]
        return Control(
            watch=given["watch"] is not False,
            fire=fires_at(given["sensitivity"] or 1.0, config.fire_score),
            sense=None if direction is None else {"up": 1, "down": -1, "both": 0}[direction],
            ways={"up": UPWARD, "down": DOWNWARD}.get(direction, UPWARD | DOWNWARD),
            unit=given["unit"],
            min_abs=given["min_effect"],
            min_rel=given["min_effect_ratio"],
            hold_samples=given["hold_samples"] or (1 if ruled else config.hold_samples),
            clear_samples=given["clear_samples"] or config.clear_samples,
            hold_ms=0 if hold is None else millis(hold),
            clear_ms=0 if clear is None else millis(clear),
            thresholds=thresholds,  # type: ignore[arg-type]
            low_severity=SEVERITIES.index("warning"),
            cap=SEVERITIES.index(given["max_severity"] or SEVERITIES[-1]),
            absent=given["absent"] is not False,
            words="",
        )


def has_thresholds(control: Control) -> bool:
    return not all(map(math.isnan, control.thresholds))


def labels_of(series: Series) -> Mapping[str, str]:
    """What matchers see: resource, labels over it, and the series' own words over both."""
    labels = {**dict(series.resource), **dict(series.labels)}
    labels.setdefault("instance", instance_of(series))
    return {**labels, "service": series.service, "metric": series.metric, "unit": unit_of(series)}


def set_up(s: Any, series: Series, control: Control, sparse: bool) -> None:
    """Write a series' parameters into its slot."""
    habit = habits(control.shown(series))
    s["sense"] = habit.sense if control.sense is None else control.sense
    s["min_abs"] = habit.min_abs if control.min_abs is None else control.min_abs
    s["min_rel"] = habit.min_rel if control.min_rel is None else control.min_rel
    s["sparse"] = (SPARSE if sparse else 0) | (0 if control.absent else MAY_STOP)
    for name in (
        "fire",
        "ways",
        "cap",
        "low_severity",
        "hold_samples",
        "clear_samples",
        "hold_ms",
        "clear_ms",
    ):
        s[name] = getattr(control, name)
    s["thresholds"] = control.thresholds
    s["ruled"] = has_thresholds(control)


@part
def is_judged(s: Any, up: bool) -> bool:
    """Whether deviations in this direction are."""
    return bool(s["ways"] & (UPWARD if up else DOWNWARD))


@part
def level_of(s: Any, value: float) -> int:
    """2 critical, 1 warning, 0 inside the thresholds; -1: there are none. NaN compares as false."""
    if not s["ruled"]:
        return -1
    t = s["thresholds"]
    if value >= t[CRITICAL_ABOVE] or value <= t[CRITICAL_BELOW]:
        return 2
    if value >= t[WARNING_ABOVE] or value <= t[WARNING_BELOW]:
        return 1
    return 0


@part
def band_of(s: Any, ruled: bool, lower: float, upper: float) -> tuple[float, float]:
    """Where it would fire: the learned band, or the thresholds; infinite where it would not."""
    if ruled:
        t = s["thresholds"]
        low = t[CRITICAL_BELOW] if np.isnan(t[WARNING_BELOW]) else t[WARNING_BELOW]
        high = t[CRITICAL_ABOVE] if np.isnan(t[WARNING_ABOVE]) else t[WARNING_ABOVE]
        return (-np.inf if np.isnan(low) else low), (np.inf if np.isnan(high) else high)
    return (lower if is_judged(s, False) else -np.inf), (upper if is_judged(s, True) else np.inf)


@part
def strength_beyond(s: Any, value: float, z: float, spread: float) -> float:
    """Signed size of a crossing in spreads: the larger of how unusual and how far beyond it is."""
    lower, upper = band_of(s, True, 0.0, 0.0)
    if value <= lower:
        return -max(abs(z), (lower - value) / spread)
    return max(abs(z), (value - upper) / spread)


@part
def note_level(s: Any, level: int, ts: int) -> None:
    """During a run: since when it has been critical without a break."""
    if level < 2:
        s["critical_since"] = NOT_CRITICAL
    elif s["critical_since"] == NOT_CRITICAL:
        s["critical_since"] = ts


@part
def threshold_severity(s: Any, ts: int) -> int:
    """Critical once a critical threshold has been crossed for as long as a warning one must be."""
    if s["critical_since"] != NOT_CRITICAL and ts - s["critical_since"] >= s["hold_ms"]:
        return 3
    return int(s["low_severity"])
