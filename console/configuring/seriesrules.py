"""Which detection rules apply to a series, and what holds for it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from config.settings import Detect
from detectors.control import Controls
from detectors.controlfacts import Fact, facts_of
from streams.records.pages import Series


class Applying(NamedTuple):
    which: list[tuple[str, str]]
    """key in the settings file and matchers, of the rules that apply, in order: later ones win"""
    total: int
    """rules there are"""
    facts: list[Fact]


def applying(detect: Detect, series: Series) -> Applying:
    """By the matching of the detectors themselves."""
    controls = Controls(detect)
    which = [
        (f"detect.rules[{place}]", ", ".join(map(str, controls.matchers(place))) or "every series")
        for place in controls.matching(series)
    ]
    return Applying(which, len(detect.rules), facts_of(detect, controls, series))
