"""Where to look for the group an alert may belong to: by service, by label, by series; and timers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from correlator.group import Group
from correlator.grouping import domain_labels
from detectors.alert import Alert


class Multimap:
    """key -> group ids in order of arrival; empty keys vanish."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}

    def add(self, key: str, group_id: str) -> None:
        self._ids.setdefault(key, {})[group_id] = None

    def discard(self, key: str, group_id: str) -> None:
        ids = self._ids.get(key)
        if ids is not None:
            ids.pop(group_id, None)
            if not ids:
                del self._ids[key]

    def get(self, key: str) -> Iterable[str]:
        return self._ids.get(key, {})


class Index:
    """Lookups over the groups that are kept. Keys of alerts carry the domain: domains never mix."""

    def __init__(self) -> None:
        self.by_service = Multimap()
        self.by_label = Multimap()
        self.by_series = Multimap()
        """resolved groups too, for reopening"""
        self.by_reach = Multimap()
        """opened groups by services whose changes matter to them"""

    def add(self, group: Group) -> None:
        """Everything of a group. Idempotent."""
        for service in group.spans:
            self.by_service.add(_key(group.domain, service), group.id)
        for label in group.labels:
            self.by_label.add(_key(group.domain, label), group.id)
        for series in group.series:
            self.by_series.add(_key(group.domain, series), group.id)
        for service in group.reach:
            self.by_reach.add(service, group.id)

    def enter(self, group: Group, alert: Alert) -> None:
        """A group's newest member."""
        self.by_service.add(_key(group.domain, alert.service), group.id)
        self.by_series.add(_key(group.domain, alert.fingerprint), group.id)
        for label in domain_labels(alert):
            self.by_label.add(_key(group.domain, label), group.id)

    def seal(self, group: Group) -> None:
        """No new members by evidence; its series can still reopen it."""
        for service in group.spans:
            self.by_service.discard(_key(group.domain, service), group.id)
        for label in group.labels:
            self.by_label.discard(_key(group.domain, label), group.id)

    def remove(self, group: Group) -> None:
        self.seal(group)
        for series in group.series:
            self.by_series.discard(_key(group.domain, series), group.id)
        for service in group.reach:
            self.by_reach.discard(service, group.id)


def _key(domain: str, word: str) -> str:
    return f"{domain}\0{word}"


class Timers:
    """What falls due when, in the order (time, group id, step). Outdated entries are skipped lazily."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []
        self._due: dict[tuple[str, str], int] = {}

    def set(self, group_id: str, step: str, at_ms: int | None) -> None:
        """Set, move or (None) cancel the timer of a group's step."""
        key = (group_id, step)
        if at_ms is None:
            self._due.pop(key, None)
        elif self._due.get(key) != at_ms:
            self._due[key] = at_ms
            heapq.heappush(self._heap, (at_ms, group_id, step))

    def drop(self, group_id: str, steps: Iterable[str]) -> None:
        for step in steps:
            self._due.pop((group_id, step), None)

    def next_due(self) -> int | None:
        """Time of the earliest timer."""
        while self._heap and self._due.get(self._heap[0][1:]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self) -> tuple[int, str, str]:
        """The earliest timer; call `next_due` first."""
        at_ms, group_id, step = heapq.heappop(self._heap)
        del self._due[group_id, step]
        return at_ms, group_id, step

    def entries(self) -> list[tuple[int, str, str]]:
        """Live timers, sorted: for the snapshot."""
        return sorted((at, group_id, step) for (group_id, step), at in self._due.items())
