"""What joining, resolving and merging do to a group. Plain changes of state, no decisions."""

from __future__ import annotations

from correlator.external import KIND as EXTERNAL
from correlator.external import NO_NEWS
from correlator.group import Group, Held, Span
from correlator.grouping import domain_labels
from correlator.incident import Reason, TimelineEntry
from detectors.alert import Alert

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
    group.started_at = min(group.started_at, alert.started_at)
    group.detected_at = min(group.detected_at, alert.detected_at)
    if not _hold(group, Held(alert, now_ms, reasons), most):
        return False
    group.last_joined_at = now_ms
    group.calm_since = None
    note(group, alert.detected_at, "alert", f"{alert.service}: {alert.summary}", alert.id)
    return True


def _hold(group: Group, held: Held, most: int) -> bool:
    if len(group.held) >= most:
        group.truncated += 1
        return False
    alert = held.alert
    span = group.spans.get(alert.service)
    coarse = alert.detected_at - alert.started_at
    if span is None:
        group.spans[alert.service] = Span(alert.started_at, alert.started_at, coarse)
    else:
        span.first = min(span.first, alert.started_at)
        span.last = max(span.last, alert.started_at)
        span.coarse = max(span.coarse, coarse)
    group.series[alert.fingerprint] = len(group.held)
    if alert.resolved_at is None:
        group.active[alert.id] = len(group.held)
    group.held.append(held)
    for label in domain_labels(alert):
        group.labels[label] = group.labels.get(label, 0) + 1
    return True


def renew(group: Group, alert: Alert, now_ms: int) -> bool:
    """A newer version of a member (resolved, or more severe). False when it says nothing new."""
    index = group.active.get(alert.id)
    if index is None or group.held[index].alert.version >= alert.version:
        return False
    group.facts += 1
    group.updated_at = max(group.updated_at, now_ms)
    held = group.held[index]
    group.held[index] = Held(alert, held.joined_at, held.reasons)
    if alert.resolved_at is not None:
        del group.active[alert.id]
        note(
            group,
            alert.resolved_at,
            "resolved",
            f"{alert.service}: {alert.metric} {_ending(alert)}",
            alert.id,
        )
        if not group.active:
            group.calm_since = max(h.alert.resolved_at or 0 for h in group.held)
    return True


def _ending(alert: Alert) -> str:
    if alert.kind != EXTERNAL:
        return "is back to normal"
    return NO_NEWS if alert.summary.endswith(NO_NEWS) else "is over, says its source"


def absorb(survivor: Group, other: Group, why: Reason, now_ms: int, most: int) -> None:
    """Merge `other` into `survivor`: members with their reasons, times, and how far people got with it."""
    survivor.facts += 1
    survivor.updated_at = max(survivor.updated_at, now_ms)
    survivor.started_at = min(survivor.started_at, other.started_at)
    survivor.detected_at = min(survivor.detected_at, other.detected_at)
    for held in other.held:
        _hold(survivor, Held(held.alert, held.joined_at, (*held.reasons, why)), most)
        if other.opened_at is None:
            a = held.alert
            note(survivor, a.detected_at, "alert", f"{a.service}: {a.summary}", a.id)
    survivor.truncated += other.truncated
    survivor.reach.update(other.reach)
    if survivor.active:
        survivor.calm_since = None
    if other.opened_at is None:
        return
    survivor.merged_from.append(other.id)
    for entry in other.timeline:
        note(survivor, entry.at_ms, entry.kind, entry.text, entry.ref)
    note(survivor, now_ms, "merge", f"incident {other.id} merged into this one: {why.detail}", other.id)
    if other.acknowledged_at is not None and (
        survivor.acknowledged_at is None or other.acknowledged_at < survivor.acknowledged_at
    ):
        survivor.acknowledged_at, survivor.acknowledged_by = other.acknowledged_at, other.acknowledged_by
    # One of the two is not mitigated, so the whole is at most acknowledged.
    if survivor.state in ("open", "reopened") and other.state in ("acknowledged", "mitigated"):
        survivor.state = "acknowledged"
