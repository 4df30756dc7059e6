"""Where to look for the group an alert may belong to: near it, and by what it shares; and timers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from correlator.group import Group
from correlator.grouping import Sight
from correlator.text import MOST_GROUP_WORDS
from correlator.topology import Topology
from detectors.alert import Alert

NEVER = 1 << 62
"""later than any time"""


class Multimap:
    """key -> groups in order of arrival; empty keys vanish.

    Most keys, above all the many series, have one group: it stands there itself.
    """

    def __init__(self) -> None:
        self._groups: dict[str, Group | dict[str, Group]] = {}

    def add(self, key: str, group: Group) -> None:
        known = self._groups.get(key)
        if known is None:
            self._groups[key] = group
        elif not isinstance(known, Group):
            known[group.id] = group
        elif known.id != group.id:
            self._groups[key] = {known.id: known, group.id: group}

    def discard(self, key: str, group_id: str) -> None:
        known = self._groups.get(key)
        if isinstance(known, Group):
            if known.id == group_id:
                del self._groups[key]
        elif known is not None:
            known.pop(group_id, None)
            if len(known) == 1:
                self._groups[key] = next(iter(known.values()))

    def gather(self, key: str, found: dict[str, Group]) -> None:
        """Add the groups of a key to `found`."""
        known = self._groups.get(key)
        if known is None:
            return
        if isinstance(known, Group):
            found[known.id] = known
        else:
            found.update(known)

    def get(self, key: str) -> Mapping[str, Group]:
        known = self._groups.get(key, NOTHING)
        return {known.id: known} if isinstance(known, Group) else known


NOTHING: Mapping[str, Group] = {}


class Index:
    """Lookups over the groups that are kept. Keys of alerts carry the domain: domains never mix.

    A group is entered under every service within two calls of one of its own, so that finding the
    groups around an alert is one lookup however large its neighbourhood. These entries hold for one
    generation of the graph and are made anew after it has changed.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._generation = topology.generation
        self._near = Multimap()
        self._near_keys: dict[str, dict[str, None]] = {}
        """group id -> keys it is entered under: what takes members"""
        self.parts: dict[str, dict[str, None]] = {}
        """group id -> parts of the dependency graph its services are in"""
        self.by_label = Multimap()
        self.by_word = Multimap()
        self.by_signal = Multimap()
        self.by_series = Multimap()
        """resolved groups too, for reopening"""
        self.by_reach = Multimap()
        """by services whose changes matter to them"""

    def near(self, domain: str, service: str) -> Mapping[str, Group]:
        """Groups that hold a service within two calls."""
        return self._near.get(_key(domain, service))

    def follow(self, groups: Mapping[str, Group]) -> None:
        """Enter the groups anew if the graph has changed."""
        if self._generation != self._topology.generation:
            self._generation = self._topology.generation
            known, self._near, self._near_keys = self._near_keys, Multimap(), {}
            self.parts = {}
            for group_id in known:
                self._near_keys[group_id] = {}
                for service in groups[group_id].spans:
                    self._surround(groups[group_id], service)

    def add(self, group: Group) -> None:
        """Everything of a group that takes members. Idempotent."""
        self.know(group)
        self._near_keys.setdefault(group.id, {})
        for service in group.spans:
            self._surround(group, service)
        for label in group.labels:
            self.by_label.add(_key(group.domain, label), group)
        for word in group.words:
            self.by_word.add(_key(group.domain, str(word)), group)
        for signal in group.signals:
            self.by_signal.add(_key(group.domain, signal), group)

    def know(self, group: Group) -> None:
        """What finds a group that is resolved, too."""
        for series in group.series:
            self.by_series.add(_key(group.domain, series), group)
        for service in group.reach:
            self.by_reach.add(service, group)

    def enter(self, group: Group, sight: Sight) -> None:
        """A group is about to get a member: whatever is new with it."""
        domain, service = group.domain, sight.alert.service
        if service not in group.spans:
            self._near_keys.setdefault(group.id, {})
            self._surround(group, service)
        for label in sight.marks:
            if label not in group.labels:
                self.by_label.add(_key(domain, label), group)
        full = len(group.words) >= MOST_GROUP_WORDS
        for word in sight.words:
            if not full and word not in group.words:
                self.by_word.add(_key(domain, str(word)), group)
        if sight.signal not in group.signals:
            self.by_signal.add(_key(domain, sight.signal), group)

    def enter_series(self, group: Group, alert: Alert) -> None:
        """The same for what finds a resolved group, too."""
        if alert.fingerprint not in group.series:
            self.by_series.add(_key(group.domain, alert.fingerprint), group)

    def seal(self, group: Group) -> None:
        """No new members by evidence; its series can still reopen it."""
        for key in self._near_keys.pop(group.id, {}):
            self._near.discard(key, group.id)
        self.parts.pop(group.id, None)
        for label in group.labels:
            self.by_label.discard(_key(group.domain, label), group.id)
        for word in group.words:
            self.by_word.discard(_key(group.domain, str(word)), group.id)
        for signal in group.signals:
            self.by_signal.discard(_key(group.domain, signal), group.id)

    def remove(self, group: Group) -> None:
        self.seal(group)
        for series in group.series:
            self.by_series.discard(_key(group.domain, series), group.id)
        for service in group.reach:
            self.by_reach.discard(service, group.id)

    def strangers(self, one: str, other: str) -> bool:
        """Whether two groups belong to different parts of the graph."""
        mine, others = self.parts.get(one, {}), self.parts.get(other, {})
        return bool(mine) and bool(others) and mine.keys() != others.keys()

    def _surround(self, group: Group, service: str) -> None:
        keys = self._near_keys[group.id]
        for name in self._topology.near(service).all:
            key = _key(group.domain, name)
            keys[key] = None
            self._near.add(key, group)
        part = self._topology.part(service)
        if part is not None:
            self.parts.setdefault(group.id, {})[part] = None


def _key(domain: str, word: str) -> str:
    return f"{domain}\0{word}"


class Timers:
    """What falls due when, in the order (time, group id, step). Outdated entries are skipped lazily."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []
        self._due: dict[tuple[str, str], int] = {}
        self.soonest = NEVER
        """nothing is due before; it may be that nothing is due then either"""

    def set(self, group_id: str, step: str, at_ms: int | None) -> None:
        """Set, move or (None) cancel the timer of a group's step."""
        key = (group_id, step)
        if at_ms is None:
            self._due.pop(key, None)
        elif self._due.get(key) != at_ms:
            self._due[key] = at_ms
            heapq.heappush(self._heap, (at_ms, group_id, step))
            if at_ms < self.soonest:
                self.soonest = at_ms

    def drop(self, group_id: str, steps: Iterable[str]) -> None:
        for step in steps:
            self._due.pop((group_id, step), None)

    def at(self, group_id: str, step: str) -> int | None:
        """When the timer of a group's step is due."""
        return self._due.get((group_id, step))

    def next_due(self) -> int | None:
        """Time of the earliest timer."""
        heap = self._heap
        while heap:
            at_ms, group_id, step = heap[0]
            if self._due.get((group_id, step)) == at_ms:
                self.soonest = at_ms
                return at_ms
            heapq.heappop(heap)
        self.soonest = NEVER
        return None

    def pop(self) -> tuple[int, str, str]:
        """The earliest timer; call `next_due` first."""
        at_ms, group_id, step = heapq.heappop(self._heap)
        del self._due[group_id, step]
        return at_ms, group_id, step

    def entries(self) -> list[tuple[int, str, str]]:
        """Live timers, sorted: for the snapshot."""
        return sorted((at, group_id, step) for (group_id, step), at in self._due.items())
