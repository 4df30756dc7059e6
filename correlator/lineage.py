"""Merging groups, undoing that, and splitting one. Plain changes of state, no decisions.

A merge keeps what it takes to undo it: the absorbed group without its members, which stay where they are
and carry the merge as their last reason. Undoing gives the absorbed incident its members back as they are
by then; what joined since stays, and so does what people have done since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from correlator.group import Group, Held, Merge, Standing
from correlator.incident import Reason
from correlator.membership import beginning, calm_since, hold, note, refill
from correlator.when import some


def absorb(survivor: Group, other: Group, why: Reason, now_ms: int, actor: str = "") -> None:
    """Merge `other` into `survivor`: members with their reasons, times, and how far people got with it."""
    record = Merge(
        # Empty containers of its own: `other` goes on to its last version.
        other=msgspec.structs.replace(
            other, held=[], spans={}, series={}, active={}, labels={}, signals={}, words={},
            reach={}, calls=(), timeline=list(other.timeline), changes=list(other.changes),
            merged_from=list(other.merged_from), merges=list(other.merges), apart=dict(other.apart),
        ),
        members={h.alert.id: 1 for h in other.held},
        before=survivor.standing,
        after=survivor.standing,
        actor=actor,
    )  # fmt: skip
    survivor.facts += 1
    survivor.stale = True
    survivor.updated_at = max(survivor.updated_at, now_ms)
    survivor.started_at = min(survivor.started_at, other.started_at)
    survivor.detected_at = min(survivor.detected_at, other.detected_at)
    survivor.last_joined_at = max(survivor.last_joined_at, other.last_joined_at)
    for held in other.held:
        hold(survivor, Held(held.alert, held.joined_at, (*held.reasons, why)))
        if other.opened_at is None:
            a = held.alert
            note(survivor, a.detected_at, "alert", f"{a.service}: {a.summary}", a.id)
    survivor.truncated += other.truncated
    _begin_with(survivor, survivor.held)
    survivor.calm_since = calm_since(survivor)
    survivor.apart.update(other.apart)
    for gone in (survivor.id, other.id):
        survivor.apart.pop(gone, None)
    if other.opened_at is None:
        return
    survivor.merged_from.append(other.id)
    for entry in other.timeline:
        note(survivor, entry.at_ms, entry.kind, entry.text, entry.ref)
    note(survivor, now_ms, "merge", f"incident {other.id} merged into this one: {why.detail}", other.id)
    record.after = _together(survivor.standing, other.standing)
    _set(survivor, record.after)
    survivor.merges.append(record)
    survivor.finding = survivor.finding or other.finding
    _tell_both(survivor, other)


def _tell_both(survivor: Group, other: Group) -> None:
    """What people said of the other one holds of both, unless they said otherwise of this one."""
    told, more = survivor.told, other.told
    told.assignee = told.assignee or more.assignee
    told.figures = {**more.figures, **told.figures}
    told.reputation = tuple(dict.fromkeys((*told.reputation, *more.reputation)))
    for name in ("aware_at", "major_at"):
        times = [at for at in (getattr(told, name), getattr(more, name)) if at is not None]
        setattr(told, name, min(times, default=None))
    known = {filing.name for filing in told.filings}
    told.filings = [*told.filings, *(f for f in more.filings if f.name not in known)]
    if told.started_at is not None:
        told.started_at = min(told.started_at, other.began_at)
    if told.detected_at is not None:
        told.detected_at = min(told.detected_at, other.noticed_at)


def _together(one: Standing, other: Standing) -> Standing:
    """How far people have got with two incidents that become one."""
    state, at_ms, by, _ = one
    if other.acknowledged_at is not None and (at_ms is None or other.acknowledged_at < at_ms):
        at_ms, by = other.acknowledged_at, other.acknowledged_by
    # One of the two is not mitigated, so the whole is at most acknowledged.
    if state in ("open", "reopened") and other.state in ("acknowledged", "mitigated"):
        state = "acknowledged"
    return Standing(state, at_ms, by, one.mitigated_at)


def _set(group: Group, standing: Standing) -> None:
    group.state, group.acknowledged_at, group.acknowledged_by, group.mitigated_at = standing


def _without(survivor: Group, record: Merge) -> None:
    """Its standing as if a merge had not been, unless people have acted since."""
    at = survivor.merges.index(record)
    standing, before = record.before, record.after
    for later in survivor.merges[at + 1 :]:
        if later.before != before:
            return
        before = later.after
        later.before, standing = standing, _together(standing, later.other.standing)
        later.after = standing
    if survivor.standing == before:
        _set(survivor, standing)


def restore(survivor: Group, record: Merge, who: str, now_ms: int) -> Group:
    """Undo a merge: the absorbed group with its members, taken out of the survivor."""
    group = record.other
    leaving = [h for h in survivor.held if h.alert.id in record.members]
    staying = [h for h in survivor.held if h.alert.id not in record.members]
    refill(group, (Held(h.alert, h.joined_at, h.reasons[:-1]) for h in leaving))
    refill(survivor, staying)
    _without(survivor, record)
    survivor.merges.remove(record)
    survivor.merged_from.remove(group.id)
    if survivor.finding == group.finding:
        survivor.finding = None
    survivor.truncated -= group.truncated
    _begin_with(survivor, staying)
    for entry in group.timeline:
        if entry in survivor.timeline:
            survivor.timeline.remove(entry)
    known = set(group.timeline)
    for entry in [e for e in survivor.timeline if e.ref in record.members and e not in known]:
        survivor.timeline.remove(entry)
        note(group, entry.at_ms, entry.kind, entry.text, entry.ref)
    group.facts += 1
    group.updated_at = max(group.updated_at, now_ms)
    group.told_at = 0
    note(group, now_ms, "merge", f"merge into {survivor.id} undone by {who}", survivor.id)
    _part(survivor, group, now_ms, f"merge of {group.id} undone by {who}")
    return group


def divide(parent: Group, ids: Collection[str], new_id: str, who: str, now_ms: int) -> Group:
    """Take the members with these alert ids into a group of their own; some must stay."""
    leaving = [h for h in parent.held if h.alert.id in ids]
    staying = [h for h in parent.held if h.alert.id not in ids]
    started_at, detected_at = beginning(leaving)

    def after_detection(at_ms: int | None) -> int | None:
        return None if at_ms is None else max(at_ms, detected_at)

    group = Group(
        id=new_id,
        domain=parent.domain,
        started_at=started_at,
        detected_at=detected_at,
        updated_at=max(now_ms, detected_at),
        state=parent.state,
        opened_at=after_detection(parent.opened_at),
        acknowledged_at=after_detection(parent.acknowledged_at),
        mitigated_at=after_detection(parent.mitigated_at),
        acknowledged_by=parent.acknowledged_by,
        facts=1,
        born_at=parent.born_at,
        last_joined_at=parent.last_joined_at,
        apart=dict(parent.apart),
        seen=parent.seen,
    )
    why = Reason("split", 0.0, f"taken out of incident {parent.id} by {who}")
    refill(group, (Held(h.alert, h.joined_at, (*h.reasons, why)) for h in leaving))
    refill(parent, staying)
    _begin_with(parent, staying)
    for entry in [e for e in parent.timeline if e.ref in ids]:
        parent.timeline.remove(entry)
        note(group, entry.at_ms, entry.kind, entry.text, entry.ref)
    note(group, now_ms, "action", f"split from {parent.id} by {who}", parent.id)
    _part(parent, group, now_ms, f"{some(len(leaving), 'alert')} split off into {new_id} by {who}")
    return group


def _begin_with(group: Group, members: Sequence[Held]) -> None:
    if not group.truncated:  # else those counted only may have begun first
        group.started_at, group.detected_at = beginning(members)


def _part(survivor: Group, group: Group, now_ms: int, text: str) -> None:
    survivor.facts += 1
    survivor.updated_at = max(survivor.updated_at, now_ms)
    note(survivor, now_ms, "action", text, group.id)
    survivor.apart[group.id] = group.apart[survivor.id] = 1
