"""What joining and resolving do to a group. Plain changes of state, no decisions."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence

from correlator import opening, titles
from correlator.external import KIND as EXTERNAL
from correlator.external import NO_NEWS
from correlator.group import Group, Held, Span
from correlator.grouping import domain_labels
from correlator.incident import Reason, TimelineEntry
from correlator.text import MOST_GROUP_WORDS, words_of
from detectors.alert import SEVERITIES, Alert

MOST_TIMELINE = 500
"""entries about alerts beyond this are not written down; state changes and people's actions always are"""


def note(group: Group, at_ms: int, kind: str, text: str, ref: str = "") -> None:
    """Write into the timeline."""
    if len(group.timeline) < MOST_TIMELINE or kind in ("state", "action", "merge"):
        group.timeline.append(TimelineEntry(at_ms, kind, text, ref))


def join(group: Group, alert: Alert, reasons: tuple[Reason, ...], now_ms: int, most: int) -> bool:
    """Take `alert` in. False when the group is full: the alert is then only counted."""
    group.facts += 1
    group.updated_at = max(group.updated_at, now_ms)
    if not group.grave or opening.is_grave(alert):
        group.started_at = min(group.started_at, alert.started_at)
        group.detected_at = min(group.detected_at, alert.detected_at)
    group.last_joined_at = max(group.last_joined_at, now_ms)
    if len(group.held) >= most:
        group.truncated += 1
        return False
    was_grave = group.grave
    hold(group, Held(alert, now_ms, reasons))
    _settle_beginning(group, was_grave)
    group.calm_since = calm_since(group)
    if len(group.timeline) < MOST_TIMELINE:
        note(group, alert.detected_at, "alert", f"{alert.service}: {alert.summary}", alert.id)
    return True


def beginning(members: Sequence[Held]) -> tuple[int, int]:
    """When it began and was noticed: its first alerts; the first of those that count, if any is grave."""
    alerts = [held.alert for held in members]
    if any(opening.is_grave(alert) for alert in alerts):
        alerts = [alert for alert in alerts if opening.is_grave(alert)] or alerts
    return min(a.started_at for a in alerts), min(a.detected_at for a in alerts)


def _settle_beginning(group: Group, was_grave: int) -> None:
    """Something grave is there for the first time; people have not been told another beginning yet."""
    if group.grave and not was_grave and group.opened_at is None:
        group.started_at, group.detected_at = beginning(group.held)


def calm_since(group: Group) -> int | None:
    """Since when nothing fires any more, or nothing that anybody feels; None while something does."""
    if not group.active:
        return group.last_resolved
    return group.eased_at if group.felt and not group.hurting else None


def begin_episode(group: Group, now_ms: int) -> None:
    """It was reopened: what resolved before does not count as over any more."""
    group.episode_at = now_ms
    group.felt = group.hurting = group.eased_at = 0
    group.ended.clear()
    group.paused.clear()


def hold(group: Group, held: Held) -> None:
    """One more member, and what is known by member of the whole."""
    alert = held.alert
    index = len(group.held)
    group.held.append(held)
    coarse = alert.detected_at - alert.started_at
    span = group.spans.get(alert.service)
    if span is None:
        group.spans[alert.service] = Span(alert.started_at, alert.started_at, coarse)
    else:
        span.first = min(span.first, alert.started_at)
        span.last = max(span.last, alert.started_at)
        span.coarse = max(span.coarse, coarse)
    group.series[alert.fingerprint] = index
    if alert.resolved_at is None:
        group.active[alert.id] = index
    else:
        group.last_resolved = max(group.last_resolved, alert.resolved_at)
    group.last_onset = max(group.last_onset, alert.started_at)
    group.coarse = max(group.coarse, coarse)
    if held.joined_at >= group.episode_at and opening.is_felt(alert):
        group.felt += 1
        _feel(group, alert)
    for label in domain_labels(alert):
        group.labels[label] = group.labels.get(label, 0) + 1
    about = opening.signal(alert)
    group.signals[about] = group.signals.get(about, 0) + 1
    full = len(group.words) >= MOST_GROUP_WORDS
    for word in words_of(alert):
        if not full or word in group.words:
            group.words[word] = group.words.get(word, 0) + 1
    _weigh(group, alert)


def _feel(group: Group, alert: Alert) -> None:
    if alert.resolved_at is None:
        group.hurting += 1
    else:
        insort(group.paused if alert.kind in ("log", EXTERNAL) else group.ended, alert.resolved_at)
        group.eased_at = max(group.eased_at, alert.resolved_at)


def _weigh(group: Group, alert: Alert) -> None:
    _rate(group, alert)
    if opening.is_grave(alert):
        group.grave += 1
        if not group.enough:
            group.enough = opening.enough(alert) or ""


def _rate(group: Group, alert: Alert) -> None:
    group.worst = max(group.worst, SEVERITIES.index(alert.severity))
    group.traits |= titles.traits(alert)


def refill(group: Group, members: Iterable[Held]) -> None:
    """Other members in place of those it has; everything known by member follows."""
    members = list(members)
    group.ended.clear()
    group.paused.clear()
    for known in (group.spans, group.series, group.active, group.labels, group.signals, group.words):
        known.clear()
    group.held.clear()
    group.worst = group.traits = group.grave = group.last_onset = group.coarse = group.last_resolved = 0
    group.felt = group.hurting = group.eased_at = 0
    group.enough = ""
    for held in members:
        hold(group, held)
    group.calm_since = calm_since(group)
    group.stale = True


def renew(group: Group, alert: Alert, now_ms: int) -> bool:
    """A newer version of a member (resolved, or more severe). False when it says nothing new."""
    index = group.active.get(alert.id)
    if index is None or group.held[index].alert.version >= alert.version:
        return False
    group.facts += 1
    group.updated_at = max(group.updated_at, now_ms)
    held = group.held[index]
    was_grave = group.grave
    if alert.severity != held.alert.severity and not opening.is_grave(held.alert):
        _weigh(group, alert)
    else:
        _rate(group, alert)
        group.enough = group.enough or opening.enough(alert) or ""
    group.held[index] = Held(alert, held.joined_at, held.reasons)
    _settle_beginning(group, was_grave)
    if held.joined_at >= group.episode_at:
        _refeel(group, held.alert, alert)
    if alert.resolved_at is not None:
        del group.active[alert.id]
        group.last_resolved = max(group.last_resolved, alert.resolved_at)
        if len(group.timeline) < MOST_TIMELINE:
            text = f"{alert.service}: {alert.metric} {_ending(alert)}"
            note(group, alert.resolved_at, "resolved", text, alert.id)
    group.calm_since = calm_since(group)
    return True


def _refeel(group: Group, before: Alert, now: Alert) -> None:
    """A member that fired has a newer version: felt only now, or no longer firing."""
    was, felt = opening.is_felt(before), opening.is_felt(now)
    group.hurting -= was
    group.felt += felt - was
    if felt:
        _feel(group, now)


def _ending(alert: Alert) -> str:
    if alert.kind != EXTERNAL:
        return "is back to normal"
    return NO_NEWS if alert.summary.endswith(NO_NEWS) else "is over, says its source"
