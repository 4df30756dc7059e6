"""Does an alert belong to a group? Evidence, weighed and named.

    score = relation + 0.35 * closeness - 0.30 * share of the group's alerts that have resolved

`relation` is the strongest tie through one service of the group: the same service 0.45, one call
away 0.40, two calls 0.25; plus, for another service, shared failure-domain labels, each times how rare
its value is; a series that was in the group before 0.60. Where that does not suffice, similar wording
(up to 0.20) and what was seen together in the past (up to 0.30) are looked at. `closeness` falls from 1 to
0 as the onset moves away from that service's onsets (or from where the series had recovered), over a
quarter of the window and, where samples are sparse, three detection delays more. Time alone never
suffices: without a relation there is no score at all. A group that is fading takes only what comes right
away: the next trouble nearby is another one.

Applications that do not call each other never mix: two services of different parts of the dependency graph
share no incident, whatever labels and words they share, unless people have said that they belong together.

Weighing is numbers only; the reasons are put into words for the group that is chosen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from config.settings import Correlate
from correlator.group import Group, Span
from correlator.incident import Reason
from correlator.text import Frequencies, hashed
from correlator.together import Partner
from correlator.topology import Near
from detectors.alert import Alert

Pairs = tuple[tuple[str, str], ...]
SAME_SERVICE = 0.45
HOPS = {1: 0.40, 2: 0.25}
"""calls between the services -> weight"""
SIBLINGS = 0.25
"""both call the same service, which few do, and both are felt"""
MAX_HOPS = 2
TIME = 0.35
REACH, ELSEWHERE = 1 / 2, 1 / 8
"""shares of the window over which closeness falls to 0: by default, and for what speaks of other services"""
FADING = -0.30
SAME_SERIES = 0.60
TEXT = 0.20
TOGETHER = 0.30
MERGE_MARGIN = 0.10
"""what an alert must score above the joining threshold for two groups to be one"""
VAGUE = 0.10
"""what an alert must score above the joining threshold for a group in which nothing is felt yet"""
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
    "datacentre": 0.15,
    "datacenter": 0.15,
}
"""failure-domain label -> weight of sharing a rare value of it"""


def domain_labels(alert: Alert) -> tuple[str, ...]:
    """Failure-domain labels it carries as `key=value`, sorted."""
    own, shared = _domain_labels(alert.labels), _domain_labels(alert.resource)
    return tuple(sorted({*own, *shared})) if own else shared


@lru_cache(maxsize=20_000)
def _domain_labels(pairs: Pairs) -> tuple[str, ...]:
    return tuple(sorted({f"{k}={v}" for k, v in pairs if k in LABEL_WEIGHTS and v}))


class Sight(msgspec.Struct, frozen=True, gc=False):
    """An alert and what is known around it, gathered once."""

    alert: Alert
    near: Near
    part: str | None
    """of the dependency graph, see `Topology.part`"""
    marks: tuple[str, ...]
    """failure-domain labels"""
    signal: str
    """see `opening.signal`"""
    words: tuple[int, ...]
    labels: tuple[tuple[str, float], ...]
    """failure-domain label -> what sharing it weighs, 0 left out"""
    partners: Sequence[Partner]
    """signals usually seen together with this one"""
    frequencies: Frequencies
    named: tuple[str, ...] = ()
    """services around its own that it speaks of"""


class Weight(msgspec.Struct, gc=False):
    """What an alert and a group have in common, in numbers. `score` decides."""

    score: float
    tie: str
    """series | service | topology | siblings | labels | loose"""
    service: str
    """of the group, through which they are tied; empty: the group as a whole"""
    hops: int
    relation: float
    closeness: float
    gap: int
    text: float = 0.0
    together: float = 0.0
    shared: str = ""
    """what both services call"""


def over(group: Group, at_ms: int, pause_ms: int) -> tuple[int, int]:
    """How many of its alerts had resolved at a time, and of how many: of those that are felt, if any is.

    What fails may do so `pause_ms` apart before its lines count as over.
    """
    if group.felt:
        return bisect_right(group.ended, at_ms) + bisect_right(group.paused, at_ms - pause_ms), group.felt
    return len(group.held) - len(group.active), len(group.held)


def fading(group: Group, at_ms: int, pause_ms: int) -> float:
    """Share of its alerts that had resolved."""
    gone, of = over(group, at_ms, pause_ms)
    return gone / of


def quiet(group: Group) -> float:
    """Share of what is felt that fires no more, however lately it was said (of all, if nothing is felt)."""
    return 1.0 - group.hurting / group.felt if group.felt else 1.0 - len(group.active) / len(group.held)


def elsewhere(sight: Sight, group: Group) -> bool:
    """Whether it speaks of services, and of none that the group is about."""
    return bool(sight.named) and not any(
        name in group.spans or all(word in group.words for word in hashed(name)) for name in sight.named
    )


def gap_ms(started_at: int, span: Span) -> int:
    """Distance of an onset from the onsets of a service."""
    return max(0, span.first - started_at, started_at - span.last)


def weigh(sight: Sight, group: Group, settings: Correlate, foreign: bool = False) -> Weight | None:
    """Weigh an alert against a group that takes members; None: it does not belong there.

    `foreign`: the group belongs to another part of the dependency graph: only people tie them.
    """
    alert = sight.alert
    gone = fading(group, alert.started_at, settings.log_pause_ms)
    least = settings.join_threshold - FADING * gone
    if not group.grave:
        least += VAGUE
    if foreign:
        found = _loose(sight, group, settings, taught_only=True)
        return found and _faded(found, gone, least)
    apart = elsewhere(sight, group)
    best = _recurring(alert, group, settings)
    if best is None or best.closeness < 1.0:
        other = _tied(sight, group, settings, ELSEWHERE if apart else REACH)
        best = other if best is None or (other is not None and other.score > best.score) else best
    if sight.labels and (best is None or best.service != alert.service):
        shared = sum(weight for label, weight in sight.labels if label in group.labels)
        if shared > 0.0:
            best = _labelled(sight, group, best, shared, settings)
    if best is not None and best.score >= least:
        return _faded(best, gone, least)
    loose = _loose(sight, group, settings, best=best, worded=not apart)
    return loose and _faded(loose, gone, least)


def _recurring(alert: Alert, group: Group, settings: Correlate) -> Weight | None:
    """The series was in the group before, and not long ago."""
    index = group.series.get(alert.fingerprint)
    if index is None:
        return None
    known = group.held[index].alert
    gap = max(0, alert.started_at - (known.resolved_at or alert.started_at))
    close = _closeness(alert, gap, known.detected_at - known.started_at, settings)
    if close is None:
        return None
    return Weight(SAME_SERIES + TIME * close, "series", alert.service, 0, SAME_SERIES, close, gap)


def weigh_siblings(
    sight: Sight, group: Group, shared: Mapping[str, str], settings: Correlate
) -> Weight | None:
    """Weigh an alert against a group that is felt, by services that call what its own calls."""
    alert = sight.alert
    best: Weight | None = None
    for name in sorted(shared.keys() & group.spans.keys()):
        span = group.spans[name]
        gap = gap_ms(alert.started_at, span)
        close = _closeness(alert, gap, span.coarse, settings)
        if close is not None and (best is None or close > best.closeness):
            score = SIBLINGS + TIME * close
            best = Weight(score, "siblings", name, 2, SIBLINGS, close, gap, shared=shared[name])
    if best is None or not group.hurting:
        return None
    gone = fading(group, alert.started_at, settings.log_pause_ms)
    return _faded(best, gone, settings.join_threshold - FADING * gone)


def _faded(found: Weight, gone: float, least: float) -> Weight | None:
    if found.score < least:
        return None
    if gone > 0.0:
        found.score += FADING * gone
    return found


def _closeness(
    alert: Alert, gap: int, coarse: int, settings: Correlate, share: float = REACH
) -> float | None:
    """1 at the same time, 0 from a `share` of the window on, None: out of the window."""
    if gap <= 0:
        return 1.0
    coarse = max(coarse, alert.detected_at - alert.started_at)
    furthest = max(settings.window_ms, 3 * coarse)
    if gap > furthest:
        return None
    reach = max(1.0, min(settings.window_ms * share + 3 * coarse, furthest))
    return max(0.0, 1.0 - gap / reach)


def _tied(sight: Sight, group: Group, settings: Correlate, share: float) -> Weight | None:
    """The strongest tie through one service; services that cannot beat the best are not looked at."""
    alert, spans = sight.alert, group.spans
    best: Weight | None = None
    own = spans.get(alert.service)
    if own is not None:
        gap = gap_ms(alert.started_at, own)
        close = _closeness(alert, gap, own.coarse, settings, share)
        if close is not None:
            score = SAME_SERVICE + TIME * close
            best = Weight(score, "service", alert.service, 0, SAME_SERVICE, close, gap)
    for hops, names in ((1, sight.near.one), (2, sight.near.two)):
        base = HOPS[hops]
        if best is not None and best.score >= base + TIME:
            break
        for name in sorted(names & spans.keys()):
            span = spans[name]
            gap = gap_ms(alert.started_at, span)
            close = _closeness(alert, gap, span.coarse, settings, share)
            if close is not None and (best is None or base + TIME * close > best.score):
                best = Weight(base + TIME * close, "topology", name, hops, base, close, gap)
                if close >= 1.0:
                    break
    return best


def _labelled(
    sight: Sight, group: Group, best: Weight | None, shared: float, settings: Correlate
) -> Weight | None:
    """Shared labels add to the tie, or tie the alert to the group as a whole."""
    if best is not None:
        best.score += shared
        best.relation += shared
        if best.closeness >= 1.0:
            return best
    gap = _gap_to(sight.alert, group)
    close = _closeness(sight.alert, gap, group.coarse, settings)
    if close is None or (best is not None and best.score >= shared + TIME * close):
        return best
    return Weight(shared + TIME * close, "labels", "", 0, shared, close, gap)


def _gap_to(alert: Alert, group: Group) -> int:
    return max(0, group.started_at - alert.started_at, alert.started_at - group.last_onset)


def _loose(
    sight: Sight,
    group: Group,
    settings: Correlate,
    best: Weight | None = None,
    taught_only: bool = False,
    worded: bool = True,
) -> Weight | None:
    """With similar wording and with what was seen together before."""
    together = max(
        (p.strength for p in sight.partners if p.signal in group.signals and (p.taught or not taught_only)),
        default=0.0,
    )
    text = 0.0
    if worded and group.words and not (taught_only and not together):
        text = sight.frequencies.likeness(sight.words, group.words)
    if not text and not together:
        return None
    if best is None:
        gap = _gap_to(sight.alert, group)
        close = _closeness(sight.alert, gap, group.coarse, settings)
        if close is None:
            return None
        best = Weight(TIME * close, "loose", "", 0, 0.0, close, gap)
    text, together = round(TEXT * text, 4), round(TOGETHER * together, 4)
    best.score += text + together
    best.text, best.together = text, together
    return best


def reasons(sight: Sight, group: Group, found: Weight, settings: Correlate) -> tuple[Reason, ...]:
    """Why, in words. Their weights sum to the score, roundings aside. Called before the alert is in."""
    alert = sight.alert
    said: list[Reason] = []
    of = f"those of {found.service}" if found.service else "those of the incident"
    if found.tie == "series":
        said.append(Reason("series", SAME_SERIES, "this series was in it before"))
        of = "its recovery"
    elif found.tie == "service":
        said.append(Reason("service", SAME_SERVICE, f"same service {alert.service}"))
    elif found.tie == "topology":
        calls = "one call" if found.hops == 1 else f"{found.hops} calls"
        far = f"{alert.service} is {calls} away from {found.service}"
        said.append(Reason("topology", HOPS[found.hops], far))
    elif found.tie == "siblings":
        both = f"{alert.service} and {found.service} both call {found.shared}"
        said.append(Reason("topology", SIBLINGS, both))
    if found.tie in ("topology", "labels"):
        said += [
            Reason("labels", round(weight, 4), f"shares {label}")
            for label, weight in sight.labels
            if label in group.labels
        ]
    if found.text:
        said.append(Reason("text", found.text, "worded alike, in words that are rare here"))
    if found.together:
        said.append(Reason("together", found.together, _companions(sight, group)))
    said.append(Reason("time", round(TIME * found.closeness, 4), f"onset {found.gap / 1000:.0f} s from {of}"))
    gone, held = over(group, alert.started_at, settings.log_pause_ms)
    if gone:
        text = f"{gone} of its {held} alerts had resolved"
        said.append(Reason("fading", round(FADING * gone / held, 4), text))
    return tuple(said)


def _companions(sight: Sight, group: Group) -> str:
    best = next(p for p in sight.partners if p.signal in group.signals)
    service, _, metric = best.signal.partition("\0")
    who = "people put it together with" if best.taught else "it came with"
    return f"{who} {metric} of {service} before"
