"""Bounded memories of the engine. Each forgets its oldest entry first and counts that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from streams.records.messages import Change

V = TypeVar("V")

Shares = tuple[tuple[str, float], ...]
"""failure-domain label -> what sharing it weighs"""


class Recent(Generic[V]):
    """A map that keeps its `most` most recently written entries."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.evicted = 0
        self._entries: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        return self._entries.get(key)

    def put(self, key: str, value: V) -> None:
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self.most:
            del self._entries[next(iter(self._entries))]
            self.evicted += 1

    def pop(self, key: str) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def items(self) -> list[tuple[str, V]]:
        """Oldest first."""
        return list(self._entries.items())


class ChangeBook:
    """Change records by id and by service."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.evicted = 0
        self._by_id: dict[str, Change] = {}
        self._by_service: dict[str, dict[str, Change]] = {}

    def add(self, change: Change) -> bool:
        """False when it is already known."""
        if change.id in self._by_id:
            return False
        self._by_id[change.id] = change
        self._by_service.setdefault(change.service, {})[change.id] = change
        if len(self._by_id) > self.most:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            self._by_service[oldest.service].pop(oldest.id)
            if not self._by_service[oldest.service]:
                del self._by_service[oldest.service]
            self.evicted += 1
        return True

    def get(self, change_id: str) -> Change | None:
        return self._by_id.get(change_id)

    def between(self, services: Iterable[str], from_ms: int, to_ms: int) -> list[Change]:
        """Changes of these services with from_ms <= ts <= to_ms, by (ts, id)."""
        found = [
            change
            for service in services
            for change in self._by_service.get(service, {}).values()
            if from_ms <= change.ts <= to_ms
        ]
        return sorted(found, key=lambda c: (c.ts, c.id))

    def entries(self) -> list[Change]:
        """In order of arrival."""
        return list(self._by_id.values())


class LabelCensus:
    """How common each failure-domain label value is among the services that carry its key.

    A label every service carries (one host for all) says nothing; a rare one says much.
    """

    def __init__(self, most: int, weights: Mapping[str, float]) -> None:
        """`most` values a key, and `most` services a value.

        `weights`: key -> what sharing a value that nobody else carries weighs.
        """
        self.most = most
        self.evicted = 0
        self._weights = weights
        self._holders: dict[str, dict[str, dict[str, None]]] = {}  # key -> value -> services
        self._carriers: dict[str, dict[str, int]] = {}  # key -> service -> values it carries
        self._known: set[tuple[str, tuple[str, ...]]] = set()  # looked up: nothing new in these
        self._shares: dict[tuple[str, ...], Shares] = {}  # looked up, as long as nothing new comes

    def shares(self, service: str, labels: tuple[str, ...]) -> Shares:
        """`observe`, then what sharing each label weighs, where it weighs anything; mostly looked up."""
        if (service, labels) not in self._known:
            self.observe(service, labels)
            if len(self._known) >= 10 * self.most:
                self._known.clear()
            self._known.add((service, labels))
        found = self._shares.get(labels)
        if found is None:
            weights = [
                (label, self._weights[label.partition("=")[0]] * self.rarity(label)) for label in labels
            ]
            found = self._shares[labels] = tuple(one for one in weights if one[1] > 0.0)
        return found

    def observe(self, service: str, labels: Iterable[str]) -> None:
        """`labels` as `key=value`."""
        self._shares.clear()
        for label in labels:
            key, _, value = label.partition("=")
            values = self._holders.setdefault(key, {})
            if value not in values and len(values) >= self.most:
                self._forget(key, next(iter(values)))
            holders = values.setdefault(value, {})
            if service not in holders and len(holders) < self.most:
                holders[service] = None
                carriers = self._carriers.setdefault(key, {})
                carriers[service] = carriers.get(service, 0) + 1

    def rarity(self, label: str) -> float:
        """Share of the services with this key that do not carry this value; 0 for an unknown label."""
        key, _, value = label.partition("=")
        holders = self._holders.get(key, {}).get(value)
        return 1.0 - len(holders) / len(self._carriers[key]) if holders else 0.0

    def entries(self) -> list[tuple[str, str, str]]:
        """(key, value, service) in order of arrival within each value."""
        return [
            (key, value, service)
            for key, values in self._holders.items()
            for value, holders in values.items()
            for service in holders
        ]

    def restore(self, entries: Iterable[tuple[str, str, str]]) -> None:
        for key, value, service in entries:
            self.observe(service, (f"{key}={value}",))

    def _forget(self, key: str, value: str) -> None:
        self._known.clear()
        carriers = self._carriers[key]
        for service in self._holders[key].pop(value):
            carriers[service] -= 1
            if not carriers[service]:
                del carriers[service]
        self.evicted += 1
