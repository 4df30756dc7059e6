"""Static thresholds: series that fire at a stated value, without learning.

Nearly all are about the pipeline itself: what it says of itself must be judged the same whatever was usual
before, and must never be noise. A flood of dead letters is an incident of its own. The others are shares of
what is unusual already.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from config.settings import Detect
from streams.records.pages import Series

OWN_SERVICE = "tocsin"
DEADLETTER_RATIO = "tocsin.deadletter_ratio"
SERIES_DROPPED = "tocsin.series_dropped"
STALLED = "tocsin.stalled_seconds"
LAG_NOT_SHRINKING = "tocsin.lag_not_shrinking_seconds"
CHECKPOINT_AGE = "tocsin.checkpoint_age_seconds"
EVICTIONS = "tocsin.evictions"
SLOW_REQUESTS = "log.request.duration.slow_ratio"
MANY_SLOW = 0.7
"""see `detectors.logspans`, which says what slow is"""


class Rule(NamedTuple):
    """Fires at or above `at_least`, with these words."""

    at_least: float
    words: str


NO_RULE = Rule(math.nan, "")

OF_STAGES = {
    # A worker calls itself unhealthy after 30 s and ends after 300 s.
    STALLED: Rule(60.0, "stage {stage} stands still with records waiting"),
    LAG_NOT_SHRINKING: Rule(120.0, "stage {stage} falls behind"),
    # Saving a large state is spaced out to 5 % of the time: half a minute is usual for the largest.
    CHECKPOINT_AGE: Rule(300.0, "stage {stage} has not saved its state"),
    EVICTIONS: Rule(1.0, "stage {stage} forgets what it should remember, too much is sent"),
}
"""what a worker says of its stages every ten seconds (`streams.agents.telemetry_self`)"""


def rule_for(series: Series, config: Detect) -> Rule:
    """The rule for a series, `NO_RULE` for nearly all."""
    if series.metric == SLOW_REQUESTS:
        return Rule(MANY_SLOW, f"{series.service}: by its log, share of requests that are slow")
    if series.service != OWN_SERVICE:
        return NO_RULE
    labels = dict(series.labels)
    if series.metric == DEADLETTER_RATIO:
        return Rule(config.deadletter_ratio, f"dead-letter flood on topic {labels.get('topic', '?')}")
    if series.metric == SERIES_DROPPED:
        worst = dict(series.resource).get(EVIDENCE, "")
        words = f"series limit of service {labels.get('service', '?')} reached"
        return Rule(1.0, f"{words} ({worst})" if worst else words)
    rule = OF_STAGES.get(series.metric, NO_RULE)
    return rule._replace(words=rule.words.format(stage=labels.get("stage", "?")))


EVIDENCE = "labels"
"""resource entry of `SERIES_DROPPED`: which labels have the most values"""
