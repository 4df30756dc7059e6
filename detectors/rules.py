"""Static thresholds: series that fire at a stated value, without learning.

One rule is built in: the share of refused records of a topic. A flood of dead letters is an incident
of its own, whatever was usual before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from config.settings import Detect
from streams.records.pages import Series

OWN_SERVICE = "tocsin"
DEADLETTER_RATIO = "tocsin.deadletter_ratio"


class Rule(NamedTuple):
    """Fires at or above `at_least`, with these words."""

    at_least: float
    words: str


NO_RULE = Rule(math.nan, "")


def rule_for(series: Series, config: Detect) -> Rule:
    """The rule for a series, `NO_RULE` for nearly all."""
    if series.service == OWN_SERVICE and series.metric == DEADLETTER_RATIO:
        topic = dict(series.labels).get("topic", "?")
        return Rule(config.deadletter_ratio, f"dead-letter flood on topic {topic}")
    return NO_RULE
