"""Facts waiting for their event time, and the clock that says when it has come.

Shards report in any order. A fact waits until the minimum over all shards' watermarks has passed
it; then facts leave in the order (time, kind, id), whatever order they came in.
"""

from __future__ import annotations

import heapq

from detectors.alert import Alert
from streams.records.digest import digest_hex
from streams.records.messages import Edges, ExternalAlert, ShardWatermark
from streams.records.pages import NO_WATERMARK

EDGES, FIRING, RENEWED, SAID = range(4)
"""kinds of facts, in the order they are applied at equal times"""


Fact = Alert | Edges | ExternalAlert


Key = tuple[int, int, str, int]
"""Position of a fact in event time: ms, kind, id, version; equal keys are the same fact, sent again."""

STEP_MS = 1_000
"""facts are sorted this much event time at once"""


def key_of(fact: Fact, raw: bytes) -> Key:
    """When a fact counts: when it was decided, which for a resolve may be after `resolved_at`.

    What another system says counts from when it was said.
    """
    if isinstance(fact, Alert):
        if fact.resolved_at is not None:
            return max(fact.resolved_at, fact.last_seen_at), RENEWED, fact.id, fact.version
        if fact.version > 1:
            return max(fact.detected_at, fact.last_seen_at), RENEWED, fact.id, fact.version
        return fact.detected_at, FIRING, fact.id, fact.version
    content = digest_hex(raw.decode("utf-8", "replace"))
    if isinstance(fact, Edges):
        return fact.at_ms, EDGES, f"{fact.shard:06d}/{content}", 0
    over = int(fact.state == "resolved")
    return fact.seen_at, SAID, f"{fact.id}/{over}/{content}", 0


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
    """Held-back facts. Bounded: beyond `most` the oldest are released early, and counted.

    They lie in steps of event time, unsorted but for the earliest one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.released_ms = NO_WATERMARK
        """everything up to here has been applied"""
        self.repeated = 0
        self.forced = 0
        self._held: dict[Key, tuple[int, Fact]] = {}
        """offset and fact"""
        self._steps: dict[int, list[Key]] = {}
        self._order: list[int] = []
        """heap of the steps"""
        self._first: list[Key] = []
        """the earliest step, the latest of its facts first"""
        self._first_step = -1
        self._sorted = True
        """the earliest step is"""

    def put(self, fact: Fact, raw: bytes, offset: int) -> bool:
        """Hold a fact. One at or before what was released is a repetition (watermarks follow facts).

        True when there were too many, so that the first of them are due now.
        """
        key = key_of(fact, raw)
        if key[0] <= self.released_ms:
            self.repeated += 1
            return False
        return self._hold(key, fact, offset)

    def hold(self, fact: Fact, raw: bytes, offset: int) -> None:
        """Hold a fact however late it is; the same one only once."""
        self._hold(key_of(fact, raw), fact, offset)

    def _hold(self, key: Key, fact: Fact, offset: int) -> bool:
        if key in self._held:
            self.repeated += 1
            return False
        self._held[key] = offset, fact
        step = key[0] // STEP_MS
        if self._first and step <= self._first_step:
            self._first.append(key)
            self._sorted = False
        else:
            keys = self._steps.get(step)
            if keys is None:
                self._steps[step] = [key]
                heapq.heappush(self._order, step)
            else:
                keys.append(key)
        if len(self._held) <= self.most:
            return False
        self.forced += 1
        self.released_ms = max(self.released_ms, self._earliest()[-1][0])
        return True

    def _earliest(self) -> list[Key]:
        if not self._first and self._order:
            self._first_step = heapq.heappop(self._order)
            self._first = self._steps.pop(self._first_step)
            self._sorted = False
        if not self._sorted:
            self._first.sort(reverse=True)
            self._sorted = True
        return self._first

    def next_at(self) -> int | None:
        """Time of the earliest held fact."""
        first = self._first if self._first and self._sorted else self._earliest()
        return first[-1][0] if first else None

    def pop(self) -> tuple[int, Fact]:
        """The earliest fact and its time; call `next_at` first."""
        key = self._first.pop()
        return key[0], self._held.pop(key)[1]

    def __len__(self) -> int:
        return len(self._held)

    def offsets(self) -> list[int]:
        """Offsets of the held facts, sorted."""
        return sorted(offset for offset, _ in self._held.values())
