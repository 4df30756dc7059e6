"""What holds for a series by the rules of the configuration, and which of them says so. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from config.durations import in_words
from config.settings import Detect
from detectors.alert import SEVERITIES
from detectors.control import Control, Controls, has_thresholds
from detectors.words import habits, quantity, unit_of
from streams.records.digest import fingerprint
from streams.records.pages import Series


class Fact(NamedTuple):
    """One thing that holds for a series, and who says so."""

    key: str
    value: str
    source: str


def series_of(pairs: Iterable[str]) -> Series:
    """The series that LABEL=VALUE describe. Raises `ValueError` for what is not of that form."""
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"{pair!r} is not LABEL=VALUE")
        labels[name] = value.strip('"')
    service, metric, unit = (labels.pop(name, "") for name in ("service", "metric", "unit"))
    rest = tuple(sorted(labels.items()))
    return Series(fingerprint(service, metric, rest), service, metric, rest, unit)


def facts_of(detect: Detect, controls: Controls, series: Series) -> list[Fact]:
    """What holds, in the order of the configuration's keys."""
    control, which = controls.of(series), controls.matching(series)
    shown = control.shown(series)
    habit, unit = habits(shown), unit_of(shown)

    def fact(key: str, value: str, *keys: str, otherwise: str) -> Fact:
        places = {controls.deciding(which, name) for name in keys} - {None}
        source = ", ".join(f"rules[{place}]" for place in sorted(p for p in places if p is not None))
        return Fact(key, value, source or otherwise)

    if not control.watch:
        return [fact("watch", "no: excluded", "watch", otherwise="")]
    least = habit.min_abs if control.min_abs is None else control.min_abs
    share = habit.min_rel if control.min_rel is None else control.min_rel
    found = [fact("watch", "yes", "watch", otherwise="default")]
    if has_thresholds(control):
        own = "a rule of the pipeline itself" if control.words else ""
        found.append(fact("judged by", "its thresholds alone", *THRESHOLDS, otherwise=own))
        found += [
            fact(name, quantity(value, unit), name, otherwise=own)
            for name, value in zip(THRESHOLDS, control.thresholds, strict=True)
            if value == value
        ]
    else:
        fires = f"at a score of {control.fire:g}"
        found += [
            fact("fires", fires, "sensitivity", otherwise=f"detect.fire_score {detect.fire_score:g}"),
            fact("direction", _direction(control, habit.sense), "direction", otherwise="its name"),
            fact("min_effect", quantity(least, unit), "min_effect", otherwise="its name and unit"),
            fact("min_effect_ratio", f"{share:g}", "min_effect_ratio", otherwise="its name and unit"),
        ]
    hold, clear = _wait(control.hold_samples, control.hold_ms), _wait(control.clear_samples, control.clear_ms)
    return [
        *found,
        fact("unit", unit or "none", "unit", otherwise="its description"),
        fact("fires after", hold, "hold_samples", "hold_for", otherwise="detect.hold_samples"),
        fact("resolves after", clear, "clear_samples", "keep_firing_for", otherwise="detect.clear_samples"),
        fact("max_severity", SEVERITIES[control.cap], "max_severity", otherwise="default"),
        fact("absent", "said" if control.absent else "not said", "absent", otherwise="default"),
    ]


THRESHOLDS = ("warning_above", "critical_above", "warning_below", "critical_below")


def _direction(control: Control, habit: int) -> str:
    sense: Any = habit if control.sense is None else control.sense
    judged = {1: "up only", 2: "down only", 3: "both"}[control.ways]
    bad = {1: "up is bad", -1: "down is bad", 0: "neither is known to be better"}[sense]
    return judged if control.ways != 3 else f"{judged}, {bad}"


def _wait(samples: int, ms: int) -> str:
    return f"{samples} sample{'' if samples == 1 else 's'}" + (f" and {in_words(ms)}" if ms else "")
