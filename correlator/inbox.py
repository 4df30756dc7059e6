"""Facts waiting for their event time, and the clock that says when it has come.

Shards report in any order. A fact waits until the minimum over all shards' watermarks has passed
it; then facts leave in the order (time, kind, id), whatever order they came in.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from detectors.alert import Alert
from streams.records.digest import digest_hex
from streams.records.messages import Edges, ExternalAlert, ShardWatermark
from streams.records.pages import NO_WATERMARK

EDGES, FIRING, RENEWED, SAID = range(4)
"""kinds of facts, in the order they are applied at equal times"""


Fact = Alert | Edges | ExternalAlert


class Key(NamedTuple):
    """Position of a fact in event time; equal keys are the same fact, sent again."""

    at_ms: int
    kind: int
    id: str
    version: int


def key_of(fact: Fact, raw: bytes) -> Key:
    """When a fact counts: when it was decided, which for a resolve may be after `resolved_at`.

    What another system says counts from when it was said.
    """
    if isinstance(fact, ExternalAlert):
        over = int(fact.state == "resolved")
        return Key(fact.seen_at, SAID, f"{fact.id}/{over}/{digest_hex(raw.decode('utf-8', 'replace'))}", 0)
    if isinstance(fact, Edges):
        return Key(fact.at_ms, EDGES, f"{fact.shard:06d}/{digest_hex(raw.decode('utf-8', 'replace'))}", 0)
    if fact.resolved_at is not None:
        return Key(max(fact.resolved_at, fact.last_seen_at), RENEWED, fact.id, fact.version)
    if fact.version > 1:
        return Key(max(fact.detected_at, fact.last_seen_at), RENEWED, fact.id, fact.version)
    return Key(fact.detected_at, FIRING, fact.id, fact.version)


class ShardClock:
    """Minimum over the shards' watermarks; none until every shard has reported."""

    def __init__(self) -> None:
        self.shards = 0
        self.at_ms: dict[int, int] = {}

    def observe(self, mark: ShardWatermark) -> None:
        """A shard's watermark never goes back."""
        self.shards = max(self.shards, mark.shards)
        self.at_ms[mark.shard] = max(mark.at_ms, self.at_ms.get(mark.shard, NO_WATERMARK))

    @property
    def watermark(self) -> int:
        if not self.shards or any(shard not in self.at_ms for shard in range(self.shards)):
            return NO_WATERMARK
        return min(self.at_ms[shard] for shard in range(self.shards))


class Inbox:
    """Held-back facts. Bounded: beyond `most` the oldest are released early, and counted."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.released_ms = NO_WATERMARK
        """everything up to here has been applied"""
        self.repeated = 0
        self.forced = 0
        self._heap: list[tuple[Key, int, Fact]] = []
        self._offsets: dict[Key, int] = {}

    def put(self, fact: Fact, raw: bytes, offset: int) -> None:
        """Hold a fact. One at or before what was released is a repetition (watermarks follow facts)."""
        key = key_of(fact, raw)
        if key.at_ms <= self.released_ms:
            self.repeated += 1
            return
        self._hold(key, fact, offset)

    def hold(self, fact: Fact, raw: bytes, offset: int) -> None:
        """Hold a fact however late it is; the same one only once."""
        self._hold(key_of(fact, raw), fact, offset)

    def _hold(self, key: Key, fact: Fact, offset: int) -> None:
        if key in self._offsets:
            self.repeated += 1
            return
        self._offsets[key] = offset
        heapq.heappush(self._heap, (key, offset, fact))
        if len(self._heap) > self.most:
            self.forced += 1
            self.released_ms = max(self.released_ms, self._heap[0][0].at_ms)

    def next_at(self) -> int | None:
        """Time of the earliest held fact."""
        return self._heap[0][0].at_ms if self._heap else None

    def pop(self) -> tuple[Key, Fact]:
        key, _, fact = heapq.heappop(self._heap)
        del self._offsets[key]
        return key, fact

    def __len__(self) -> int:
        return len(self._offsets)

    def offsets(self) -> list[int]:
        """Offsets of the held facts, sorted."""
        return sorted(self._offsets.values())
