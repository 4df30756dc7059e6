"""Does an alert belong to a group? Evidence, weighed and named.

    score = relation + 0.35 * closeness - 0.30 if the group has calmed down

`relation` is the strongest tie through one service of the group: the same service 0.50, one call
away 0.40, two calls 0.25; plus shared failure-domain labels, each times how rare its value is.
`closeness` falls from 1 to 0 as the onset moves away from that service's onsets, over a quarter
of the window or, where samples are sparse, three detection delays. Time alone never suffices:
without a relation there is no score at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from config.settings import Correlate
from correlator.group import Group, Span
from correlator.incident import Reason
from detectors.alert import Alert

SAME_SERVICE = 0.50
HOPS = {1: 0.40, 2: 0.25}
"""calls between the services -> weight"""
MAX_HOPS = 2
TIME = 0.35
CALM = -0.30
SAME_SERIES = 1.0
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
        return Verdict(
            SAME_SERIES, (Reason("series", SAME_SERIES, "this series was in the incident before"),)
        )
    labels = tuple(_labels(alert, group, rarity))
    shared = sum(r.weight for r in labels)
    best = NO
    for service in sorted(group.spans):
        span = group.spans[service]
        tie = _tie(alert.service, service, near)
        relation = (tie.weight if tie else 0.0) + (shared if service != alert.service else 0.0)
        if relation <= 0.0:
            continue
        gap = gap_ms(alert.started_at, span)
        coarse = max(span.coarse, alert.detected_at - alert.started_at)
        reach = min(settings.window_ms / 4 + 3 * coarse, max(settings.window_ms, 3 * coarse))
        if gap > max(settings.window_ms, 3 * coarse):
            continue
        time = Reason(
            "time",
            round(TIME * max(0.0, 1.0 - gap / reach), 4) if reach else 0.0,
            f"onset {gap / 1000:.0f} s from those of {service}",
        )
        reasons = [tie] if tie else []
        reasons += labels if service != alert.service else ()
        reasons.append(time)
        if group.calm_since is not None and alert.started_at > group.calm_since:
            reasons.append(Reason("calm", CALM, "all earlier alerts had resolved when it began"))
        score = sum(r.weight for r in reasons)
        if score > best.score:
            best = Verdict(score, tuple(reasons))
    return best


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
