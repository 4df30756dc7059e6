"""What the engine remembers, and the moves that keep groups, indexes and timers in step.

Mutable; `correlator.snapshot` carries it. Nothing here decides or publishes.
"""

from __future__ import annotations

from config.catalogue import Catalogue
from config.settings import Correlate
from correlator.closedbook import ClosedBook
from correlator.directory import Directory
from correlator.group import Group
from correlator.grouping import LABEL_WEIGHTS
from correlator.index import Index, Timers
from correlator.knowledge import KnowledgeBase
from correlator.memory import ChangeBook, LabelCensus, Recent
from correlator.outlook import Outlook
from correlator.text import Frequencies
from correlator.together import Together
from correlator.topology import Topology
from correlator.writing import Writing
from streams.records.messages import ActionResult

MOST_REMEMBERED = 10_000
"""actions, closed incidents and changes remembered"""
MOST_LABEL_VALUES = 2_000
EASED_MS = 300_000
"""after so long without anything that is felt an incident is over, whatever else is still off"""
STEPS = ("settle", "calm", "idle", "age", "verify", "flush")
"""timers of a group"""


class State:
    """All groups of one alerts partition and what was learned beside them."""

    def __init__(self, settings: Correlate, catalogue: Catalogue) -> None:
        self.settings = settings
        self.directory = Directory(catalogue, settings.domain_label)
        self.topology = Topology(catalogue.calls, settings.edge_memory_ms, known=catalogue.services)
        self.groups: dict[str, Group] = {}
        self.home: dict[str, str] = {}
        """alert id -> group id"""
        self.index = Index(self.topology)
        self.timers = Timers()
        self.changes = ChangeBook(MOST_REMEMBERED)
        self.knowledge = KnowledgeBase(settings, self.directory)
        self.outlook = Outlook(settings, self.topology, self.changes, self.knowledge)
        self.census = LabelCensus(MOST_LABEL_VALUES, LABEL_WEIGHTS)
        self.frequencies = Frequencies()
        self.together = Together()
        self.past: Recent[str] = Recent(MOST_REMEMBERED)
        """`domain NUL series` -> the incident that closed with it last"""
        self.merged: Recent[str] = Recent(MOST_REMEMBERED)
        self.closed = ClosedBook()
        self.answers: Recent[ActionResult] = Recent(MOST_REMEMBERED)
        self.writing = Writing(self.stands)
        self.counters: dict[str, int] = {
            "repeated_alerts": 0,
            "unknown_alerts": 0,
            "unopened_groups": 0,
            "unopened_alerts": 0,
            "evicted_groups": 0,
        }

    def stands(self, id: str) -> str:
        """State of an incident, also of one that is over; empty: there is none, or it is forgotten."""
        group = self.groups.get(id)
        if group is not None and group.opened_at is not None:
            return group.state
        if id in self.merged:
            return "merged"
        known = id in self.closed or self.knowledge.book.get(id) is not None
        return "closed" if known else ""

    def adopt(self, group: Group, now_ms: int) -> None:
        """A group that was not here: every way to find it, and its timers."""
        self.groups[group.id] = group
        self.index.follow(self.groups)
        self.refresh(group)
        settings, timers = self.settings, self.timers
        timers.set(group.id, "age", max(now_ms, group.born_at + settings.max_age_ms))
        timers.set(group.id, "idle", max(now_ms, group.last_joined_at + settings.idle_gap_ms))
        self.calm(group, now_ms)

    def refresh(self, group: Group) -> None:
        """Where its members and it are found, after they changed as a whole."""
        for name in group.reach:
            self.index.by_reach.discard(name, group.id)
        group.reach.clear()
        for service in group.spans:
            self.outlook.widen(group, service)
        if group.sealed:
            self.index.know(group)
        else:
            self.index.add(group)
        for held in group.held:
            self.home[held.alert.id] = group.id

    def calm(self, group: Group, now_ms: int) -> None:
        """Wait for its end when nothing fires any more, else do not."""
        since = group.calm_since
        wait = EASED_MS if group.active else self.settings.resolve_after_ms
        due = None if since is None else max(now_ms, since + wait)
        self.timers.set(group.id, "calm", due)

    def wake(self, group: Group, now_ms: int) -> None:
        """It takes members again; the idle gap counts from now."""
        group.last_joined_at = max(group.last_joined_at, now_ms)
        if group.sealed:
            group.sealed = False
            self.index.follow(self.groups)
            self.index.add(group)
            self.timers.set(group.id, "verify", None)
            self.timers.set(group.id, "idle", now_ms + self.settings.idle_gap_ms)
            if group.state == "reopened":
                self.timers.set(group.id, "age", now_ms + self.settings.max_age_ms)

    def idle(self, group: Group, now_ms: int) -> None:
        """Its idle timer fired: members that came since it was set put it off."""
        due = group.last_joined_at + self.settings.idle_gap_ms
        if due > now_ms:
            self.timers.set(group.id, "idle", due)
        else:
            self.seal(group)

    def rest(self, group: Group) -> None:
        """Resolved: it waits for the end of verification and takes no members."""
        self.seal(group)
        self.timers.drop(group.id, ("calm", "idle", "age", "settle"))
        self.timers.set(group.id, "verify", (group.resolved_at or 0) + self.settings.verify_ms)

    def seal(self, group: Group) -> None:
        group.sealed = True
        self.index.seal(group)

    def leave(self, group: Group) -> None:
        """Closed: its series name it when they come again, and its signals were seen together."""
        for series in group.series:
            self.past.put(f"{group.domain}\0{series}", group.id)
        self.together.learn(group.signals, group.closed_at or group.updated_at)
        self.closed.put(group)
        self.forget(group)

    def forget(self, group: Group) -> None:
        """It is gone, closed, merged or never opened."""
        self.index.remove(group)
        self.timers.drop(group.id, STEPS)
        del self.groups[group.id]
        for held in group.held:
            if self.home.get(held.alert.id) == group.id:
                del self.home[held.alert.id]
