"""Does an alert belong to a group? Evidence, weighed and named.

    score = relation + 0.35 * closeness - 0.30 * share of the group's alerts that have resolved

`relation` is the strongest tie through one service of the group: the same service 0.45, one call
away 0.40, two calls 0.25; plus shared failure-domain labels, each times how rare its value is; a
series that was in the group before 0.60. `closeness` falls from 1 to 0 as the onset moves away from
that service's onsets (or from where the series had recovered), over a quarter of the window and,
where samples are sparse, three detection delays more. Time alone never suffices: without a relation
there is no score at all. A group that is fading takes only what comes right away: the next trouble
nearby is another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from config.settings import Correlate
from correlator.group import Group, Span
from correlator.incident import Reason
from detectors.alert import Alert

SAME_SERVICE = 0.45
HOPS = {1: 0.40, 2: 0.25}
"""calls between the services -> weight"""
MAX_HOPS = 2
TIME = 0.35
FADING = -0.30
SAME_SERIES = 0.60
MERGE_MARGIN = 0.10
"""what an alert must score above the joining threshold for two groups to be one"""
MERGE_FADING = 0.5
"""share of resolved alerts from which on a group is not merged any more"""
LABEL_WEIGHTS = {
    "host": 0.30,
    "host.name": 0.30,
    "k8s.node.name": 0.30,
    "deployment": 0.30,
    "k8s.deployment.name": 0.30,
    "cluster": 0.15,
    "k8s.cluster.name": 0.15,
    "zone": 0.15,
    "cloud.availability_zone": 0.15,
}
"""failure-domain label -> weight of sharing a rare value of it"""


class Verdict(NamedTuple):
    """Whether an alert joins, and why. `reasons` sum to `score`."""

    score: float
    reasons: tuple[Reason, ...]


NO = Verdict(0.0, ())


def domain_labels(alert: Alert) -> tuple[str, ...]:
    """Failure-domain labels it carries as `key=value`, sorted."""
    pairs = {*alert.labels, *alert.resource}
    return tuple(sorted(f"{k}={v}" for k, v in pairs if k in LABEL_WEIGHTS and v))


def label_weight(label: str, rarity: Mapping[str, float]) -> float:
    """What sharing `key=value` weighs."""
    return LABEL_WEIGHTS[label.partition("=")[0]] * rarity.get(label, 0.0)


def gap_ms(started_at: int, span: Span) -> int:
    """Distance of an onset from the onsets of a service."""
    return max(0, span.first - started_at, started_at - span.last)


def evaluate(
    alert: Alert,
    group: Group,
    near: Mapping[str, int],
    rarity: Mapping[str, float],
    settings: Correlate,
) -> Verdict:
    """Weigh `alert` against an unresolved `group`.

    `near`: services within `MAX_HOPS` calls of the alert's -> calls between.
    `rarity`: the alert's failure-domain labels -> share of services that do not carry the value.
    """
    if alert.fingerprint in group.series:
        known = group.held[group.series[alert.fingerprint]].alert
        same = [Reason("series", SAME_SERIES, "this series was in it before")]
        gap = max(0, alert.started_at - (known.resolved_at or alert.started_at))
        return _weigh(alert, group, same, gap, known.detected_at - known.started_at, "its recovery", settings)
    labels = _labels(alert, group, rarity)
    best = NO
    for service in sorted(near.keys() & group.spans.keys()):
        tie = _tie(alert.service, service, near)
        reasons = [] if tie is None else [tie, *(labels if service != alert.service else ())]
        if reasons:
            verdict = _near(alert, group, reasons, group.spans[service], service, settings)
            best = max(best, verdict, key=lambda v: v.score)
    if labels:
        last = max(span.last for span in group.spans.values())
        coarse = max(span.coarse for span in group.spans.values())
        verdict = _near(alert, group, labels, Span(group.started_at, last, coarse), "the incident", settings)
        best = max(best, verdict, key=lambda v: v.score)
    return best


def _near(
    alert: Alert, group: Group, ties: list[Reason], span: Span, of: str, settings: Correlate
) -> Verdict:
    gap = gap_ms(alert.started_at, span)
    return _weigh(alert, group, ties, gap, span.coarse, f"those of {of}", settings)


def fading(group: Group) -> float:
    """Share of its alerts that have resolved."""
    return 1.0 - len(group.active) / len(group.held)


def _weigh(
    alert: Alert, group: Group, ties: list[Reason], gap: int, coarse: int, what: str, settings: Correlate
) -> Verdict:
    coarse = max(coarse, alert.detected_at - alert.started_at)
    furthest = max(settings.window_ms, 3 * coarse)
    if gap > furthest:
        return NO
    reach = max(1.0, min(settings.window_ms / 4 + 3 * coarse, furthest))
    closeness = max(0.0, 1.0 - gap / reach)
    reasons = [*ties, Reason("time", round(TIME * closeness, 4), f"onset {gap / 1000:.0f} s from {what}")]
    gone = fading(group)
    if gone > 0.0:
        text = f"{len(group.held) - len(group.active)} of its {len(group.held)} alerts had resolved"
        reasons.append(Reason("fading", round(FADING * gone, 4), text))
    return Verdict(sum(r.weight for r in reasons), tuple(reasons))


def _tie(service: str, other: str, near: Mapping[str, int]) -> Reason | None:
    if service == other:
        return Reason("service", SAME_SERVICE, f"same service {service}")
    hops = near.get(other)
    if hops is None or hops not in HOPS:
        return None
    calls = "one call" if hops == 1 else f"{hops} calls"
    return Reason("topology", HOPS[hops], f"{service} is {calls} away from {other}")


def _labels(alert: Alert, group: Group, rarity: Mapping[str, float]) -> list[Reason]:
    found = []
    for label in domain_labels(alert):
        weight = label_weight(label, rarity)
        if label in group.labels and weight > 0.0:
            found.append(Reason("labels", round(weight, 4), f"shares {label}"))
    return found
