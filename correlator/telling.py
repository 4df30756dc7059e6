"""When an incident's versions are published, and what is worked out for each: once, when it is needed.

What changes an incident's state is told at once. Members that come and go are told at the end of the
step of event time they fall into, all together; large incidents, whose versions are long, wait longer:
`MEMBER_MS` for each member, at most `LONGEST_MS`. Hints and title are drawn for a version that
has changed since; in a large incident's updates only when a quarter of its members is new. All of that
goes by event time and by what is known of the group, so that it is the same however the log is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from correlator import membership, opening, render, titles
from correlator.group import Group
from correlator.incident import Incident
from correlator.signs import Signs
from correlator.state import State

LARGE = 50
"""members"""
MEMBER_MS = 40
LONGEST_MS = 30_000
NEW_SHARE = 4


class _Event(msgspec.Struct):
    data: Incident


_events = msgspec.json.Decoder(_Event)


class Version(NamedTuple):
    """An incident version to publish."""

    id: str
    """of the incident"""
    kind: str
    """last part of the CloudEvents type"""
    value: bytes
    """the CloudEvent"""

    @property
    def incident(self) -> Incident:
        """Read back from the event."""
        return _events.decode(self.value).data


class _Kept(NamedTuple):
    """What need not be worked out again for the next version of a group. Worth keeping, not remembering."""

    encoded: render.Encoded
    signs: Signs


class Telling:
    """Collects the versions to publish."""

    def __init__(self, state: State, step_ms: int) -> None:
        self._state = state
        self._step_ms = step_ms
        self._out: list[Version] = []
        self._kept: dict[str, _Kept] = {}
        """of large groups"""

    def update(self, group: Group, now_ms: int) -> None:
        """It changed; tell of it at the end of the step."""
        group.stale = True
        if group.opened_at is None:
            return
        timers = self._state.timers
        if timers.at(group.id, "flush") is None:
            size = len(group.held)
            wait = 0 if size <= LARGE else min(LONGEST_MS, MEMBER_MS * size)
            due = max(now_ms, group.told_at + wait)
            timers.set(group.id, "flush", -(-due // self._step_ms) * self._step_ms)

    def publish(self, group: Group, kind: str, now_ms: int) -> None:
        """Tell of it now."""
        if group.opened_at is None:
            return
        if group.stale and (kind != "updated" or _worth_drawing(group)):
            self.draw(group)
        if kind == "closed":
            self._state.knowledge.closed(group, now_ms)
        group.told_at = max(group.told_at, now_ms)
        self._state.timers.set(group.id, "flush", None)
        kept = self._keep(group)
        state = self._state
        matrix = state.settings.priority_matrix
        value = render.cloud_event(group, kind, state.changes, kept.encoded, state.directory, matrix)
        state.writing.follow(group, value, now_ms)
        if kind == "closed" or group.id not in self._state.groups:
            self._kept.pop(group.id, None)
        self._out.append(Version(group.id, kind, value))

    def draw(self, group: Group, refresh: bool = True) -> None:
        """Hints and title anew; without `refresh` from the calls seen at the last one."""
        signs = self._keep(group).signs
        if refresh:
            self._state.outlook.refresh(group, signs)
            group.stale = False
            group.drawn = len(group.held)
        else:
            self._state.outlook.think(group, signs)
        alerts = [h.alert for h in group.held]
        group.title = titles.title(alerts, group.spans, group.hints)

    def _keep(self, group: Group) -> _Kept:
        """What has been worked out for it before, kept for the next time if it is large."""
        kept = self._kept.get(group.id)
        if kept is None:
            kept = _Kept(render.Encoded(), Signs())
        if len(group.held) > LARGE:
            self._kept[group.id] = kept
        else:
            self._kept.pop(group.id, None)
        return kept

    def open_if_due(self, group: Group, now_ms: int, reason: str | None = None) -> bool:
        """Open a group once its evidence is enough; `reason` if that is known already."""
        if group.opened_at is not None:
            return False
        reason = reason or opening.opening_reason(group)
        if reason is None:
            return False
        group.opened_at = max(now_ms, group.detected_at)
        group.seen = self._state.knowledge.book.next
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, group.opened_at, "state", f"opened: {reason}")
        self._state.timers.set(group.id, "settle", None)
        group.stale = True
        self.publish(group, "opened", now_ms)
        return True

    def take(self) -> list[Version]:
        """What has come together since the last call."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out


def _worth_drawing(group: Group) -> bool:
    size = len(group.held)
    return size <= LARGE or size < group.drawn or (size - group.drawn) * NEW_SHARE >= size
