"""Event time progress of a shard over many source partitions.

A source's watermark never goes back while it is active. The shard's watermark never goes back at
all; it is the minimum over the sources that may still deliver older rows: active ones. An idle
source does not hold it back; a source not yet heard of does. When all sources are idle, the one
that got furthest decides, and what it says may follow the wall clock (`streams.decode.progress`);
as soon as one is active again, only active ones count.

A bounded replay says where it begins on all partitions of its topic before its first row, and where
it has ended, so that its result does not depend on who reads how fast. Replays of one topic follow
each other in the same order in all its partitions; pages of one that is over, read again after a
crash, change nothing.
"""

from __future__ import annotations

import msgspec

from streams.records.pages import NO_WATERMARK, SourceState

MAX_EPOCHS = 256
"""replays remembered by name; with more, the oldest are forgotten and counted in `forgotten`"""


class _Source(msgspec.Struct, array_like=True):
    watermark: int
    state: int
    epoch: str
    """of the replay it is in, or the last one it was in"""
    live: bool = True
    """no replay has a claim on it now"""


class SourceClock(msgspec.Struct):
    """Mutable; part of a shard's snapshot. Bounded by the number of input partitions."""

    expected: int = 0
    sources: dict[str, _Source] = {}
    watermark: int = NO_WATERMARK
    epochs: dict[str, int] = {}
    """replay -> its number, in the order in which they were first heard of"""
    forgotten: int = 0

    def observe(
        self,
        source: str,
        watermark: int,
        state: int,
        epoch: str,
        expected: int,
        peers: list[str] | None = None,
    ) -> int:
        """Take in what a page says of its source; returns the shard's watermark.

        For `BEGIN`, `peers` names all partitions of the replayed topic (default: just `source`).
        """
        self.expected = max(self.expected, expected)
        if not epoch:
            self._live(source, watermark, state)
        elif state == SourceState.BEGIN:
            for name in peers or [source]:
                self._claim(name, watermark, epoch)
        else:
            self._replayed(source, watermark, state, epoch)
        self.watermark = max(self.watermark, self._minimum())
        return self.watermark

    def _number(self, epoch: str) -> int:
        number = self.epochs.get(epoch)
        if number is None:
            number = self.epochs[epoch] = len(self.epochs) + self.forgotten
            if len(self.epochs) > MAX_EPOCHS:
                del self.epochs[next(iter(self.epochs))]
                self.forgotten += 1
        return number

    def _claim(self, source: str, watermark: int, epoch: str) -> bool:
        """Give the source to a replay, unless it has been in this one or a later one already."""
        known = self.sources.get(source)
        number = self._number(epoch)
        if known is not None and known.epoch and number <= self.epochs.get(known.epoch, -1):
            return False
        self.sources[source] = _Source(watermark, SourceState.ACTIVE, epoch, live=False)
        return True

    def _replayed(self, source: str, watermark: int, state: int, epoch: str) -> None:
        if self._claim(source, watermark, epoch):
            self.sources[source].state = state
            return
        known = self.sources[source]
        # Pages of a replay come in order; a re-read page must not reopen what has ended.
        if known.epoch == epoch and not known.live and known.state != SourceState.ENDED:
            known.watermark = max(known.watermark, watermark)
            known.state = state

    def _live(self, source: str, watermark: int, state: int) -> None:
        known = self.sources.get(source)
        if known is None:
            self.sources[source] = _Source(watermark, state, "")
            return
        if not known.live:
            # A replay keeps its claim until it has ended.
            if known.state == SourceState.ENDED:
                known.live, known.state = True, state
                known.watermark = max(known.watermark, watermark)
            return
        # What an idle source said was a guess by the wall clock; rows say better.
        guessed = known.state != SourceState.ACTIVE and state == SourceState.ACTIVE
        known.watermark = watermark if guessed else max(known.watermark, watermark)
        known.state = state

    def _minimum(self) -> int:
        if len(self.sources) < self.expected or not self.sources:
            return NO_WATERMARK
        active = [s.watermark for s in self.sources.values() if s.state == SourceState.ACTIVE]
        if active:
            return min(active)
        return max(s.watermark for s in self.sources.values())
