"""What the decoders remember between records: series and origins by their raw bytes.

A producer sends the same series again and again, with the same bytes. The bytes are the key of a
dictionary; only what was never seen is parsed, digested and given a *slot*, a small number that
stands for the series in the columns. Everything per slot is a flat array, so that a page is cut
out of the columns with numpy alone.

Bounded: past `max_entries` everything is forgotten at once (between chunks, never within) and
counted; long keys count for as many entries as they are large, so that a sender of thousands of labels
a series takes no more memory than others. It costs one parse per series to learn it again, and
changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from streams.decode.rules import Rules
from streams.decode.schemas.known import Schemas
from streams.records import interned
from streams.records.digest import shard_of
from streams.records.pages import I64, U64, Origin, Series

BYTES_PER_ENTRY = 1_024

Entry = TypeVar("Entry", Series, Origin)


class Slots(Generic[Entry]):
    """Entries by slot, each with the shard of its service. Mutable, grows only."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._by_service: dict[str, int] = {}
        self.entries: list[Entry] = []
        self.shard: I64 = np.zeros(256, dtype=np.int64)

    def add(self, entry: Entry) -> int:
        """Slot of a new entry."""
        slot = len(self.entries)
        if slot == len(self.shard):
            self.shard = np.concatenate([self.shard, np.zeros_like(self.shard)])
        shard = self._by_service.get(entry.service)
        if shard is None:
            shard = self._by_service[entry.service] = shard_of(entry.service, self._shards)
        self.entries.append(entry)
        self.shard[slot] = shard
        return slot


class Catalog:
    """Slots and the raw keys that lead to them. One per worker and set of rules. Mutable."""

    def __init__(
        self,
        shards: int,
        max_entries: int,
        max_labels: int = 64,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        schemas: Schemas | None = None,
    ) -> None:
        self.shards = shards
        self.max_entries = max_entries
        self.max_labels = max_labels
        """labels kept of one series"""
        self.rules = rules
        """who a record is taken to come from: part of what its raw bytes mean"""
        self.schemas = schemas
        """schemas of framed values; None where no topic has such"""
        self._said = rules
        self.by_source = rules.by_source
        """some rule asks for the source of a CloudEvent"""
        self.evicted = 0
        """entries forgotten so far"""
        self.generation = 0
        """grows with every forgetting: slots of an earlier generation mean nothing"""
        self._clear()

    def _clear(self) -> None:
        self.series: Slots[Series] = Slots(self.shards)
        self.origins: Slots[Origin] = Slots(self.shards)
        self.fps: U64 = np.zeros(256, dtype=np.uint64)
        self._scratch: I64 = np.empty(0, dtype=np.int64)
        self.groups: dict[Hashable, dict[Hashable, int]] = {}
        """(resource, metric head) -> rest of the key -> series slot"""
        self.senders: dict[Hashable, int] = {}
        """raw resource -> origin slot"""
        self.shortcuts: dict[str, object] = {}
        """what the batch decoders keep beside it, by their name; bounded by them"""
        self._raw = {"": (self.groups, self.senders)}
        """by source of the CloudEvents, if the rules ask for it"""
        self.rules = self._said
        self._entries = 0

    def sent_by(self, source: str) -> None:
        """What follows came in a CloudEvent from this source; empty: in none, or from nobody.

        If the rules name the service by it, the same bytes of another source are another series.
        """
        if not self.by_source:
            return
        self.rules = self._said.sent_by(source)
        if source not in self._raw:
            self._raw[source] = ({}, {})
            self._entries += 1
        self.groups, self.senders = self._raw[source]

    def trim(self) -> int:
        """Forget everything if there is too much; how much that was. Call between chunks only."""
        gone = self._entries if self._entries > self.max_entries else 0
        if gone:
            self.evicted += gone
            self.generation += 1
            self._clear()
        return gone

    def __len__(self) -> int:
        return self._entries

    def scratch(self) -> I64:
        """A number for each slot of a series, to do with as one likes until the next call."""
        if len(self._scratch) < len(self.fps):
            self._scratch = np.empty(len(self.fps), dtype=np.int64)
        return self._scratch

    def group(self, key: Hashable) -> dict[Hashable, int]:
        """The series of one metric of one sender, by what remains of their raw key."""
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = {}
            self._entries += 1
        return found

    def add_series(self, group: dict[Hashable, int], key: Hashable, series: Series) -> int:
        """Remember a new series under its raw key; returns its slot."""
        slot = self.series.add(series)
        if slot == len(self.fps):
            self.fps = np.concatenate([self.fps, np.zeros_like(self.fps)])
        self.fps[slot] = series.fp
        group[interned.key(key)] = slot
        self._entries += 1 + key_bytes(key) // BYTES_PER_ENTRY
        return slot

    def origin(self, key: Hashable, build: Callable[[], Origin]) -> int:
        """Slot of the origin with this raw key; `build` is called if it is new."""
        slot = self.senders.get(key)
        if slot is None:
            slot = self.senders[key] = self.origins.add(build())
            self._entries += 1 + key_bytes(key) // BYTES_PER_ENTRY
        return slot


def key_bytes(key: Hashable) -> int:
    """About how much memory a raw key takes."""
    if isinstance(key, bytes | str):
        return len(key)
    return sum(map(key_bytes, key)) if isinstance(key, tuple) else 0
