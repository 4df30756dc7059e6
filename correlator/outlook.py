"""What lies around an incident: the calls near it, the changes in its window, the hints from both."""

from __future__ import annotations

from config.settings import Correlate
from correlator import hints, paths
from correlator.group import Group
from correlator.knowledge import KnowledgeBase
from correlator.memory import ChangeBook
from correlator.signs import Signs
from correlator.topology import Topology

MOST_REACH = 300
"""services around an incident whose calls and changes are looked at"""


class Outlook:
    """Reads topology and changes, writes `reach`, `calls`, `changes`, `hints` and `similar` of groups."""

    def __init__(
        self, settings: Correlate, topology: Topology, changes: ChangeBook, knowledge: KnowledgeBase
    ) -> None:
        self._settings = settings
        self._topology = topology
        self._changes = changes
        self._knowledge = knowledge

    def widen(self, group: Group, service: str) -> list[str]:
        """What a member depends on belongs to the outlook; returns the services that are new."""
        new = []
        for name in self._topology.below(service):
            if name not in group.reach and len(group.reach) < MOST_REACH:
                group.reach[name] = 1
                new.append(name)
        return new

    def refresh(self, group: Group, signs: Signs) -> None:
        """Calls as they are now, changes that are known now, and the hints from them."""
        group.calls = tuple(
            (caller, callee, round(self._topology.failing_share(caller, callee), 4))
            for caller in sorted(group.reach)
            for callee in self._topology.callees(caller)
            if callee in group.reach
        )
        known = set(group.changes)
        found = self._changes.between(sorted(group.reach), *self.window(group))
        group.changes += [c.id for c in found if c.id not in known]
        self.think(group, signs)

    def think(self, group: Group, signs: Signs) -> None:
        """Hints anew, from the calls of the last refresh: a late change finds what an early one did."""
        alerts = [h.alert for h in group.held]
        changes = [c for c in map(self._changes.get, group.changes) if c is not None]
        past = self._knowledge.recall(group, alerts, changes)
        scene = hints.Scene(alerts, group.calls, changes, self._settings.change_window_ms, past)
        group.hints = hints.rank(scene, signs)
        suspect = group.hints[0].service if group.hints else ""
        group.drawn_calls = paths.drawn(group.calls, group.spans, suspect)
        self._knowledge.sign(group, alerts)

    def suspect(self, group: Group) -> str:
        """The service its own alerts point to, or nothing.

        Without changes and what people recorded: both may be told late, and must not decide what joins.
        """
        alerts = [h.alert for h in group.held]
        found = hints.rank(hints.Scene(alerts, group.calls, (), self._settings.change_window_ms))
        return found[0].service if found else ""

    def window(self, group: Group) -> tuple[int, int]:
        """When a change must have happened to matter, both ends included. It only ever grows."""
        return group.started_at - self._settings.change_window_ms, group.anchor
