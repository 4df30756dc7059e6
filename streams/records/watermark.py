"""Event time progress of a shard over many source partitions.

A source's watermark never goes back. The shard's watermark is the minimum over the sources that
may still deliver older rows: active ones. An idle source does not hold it back; a source not yet
heard of does. A bounded replay says where it begins on all partitions of its topic before its
first row, and where it has ended, so that its result does not depend on who reads how fast.
"""

from __future__ import annotations

import msgspec

from streams.records.pages import NO_WATERMARK, SourceState


class _Source(msgspec.Struct, array_like=True):
    watermark: int
    state: int
    epoch: str


class SourceClock(msgspec.Struct):
    """Mutable; part of a shard's snapshot. Bounded by the number of input partitions."""

    expected: int = 0
    sources: dict[str, _Source] = {}
    watermark: int = NO_WATERMARK

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
        if state == SourceState.BEGIN:
            for name in peers or [source]:
                known = self.sources.get(name)
                if known is None or known.epoch != epoch:
                    self.sources[name] = _Source(watermark, SourceState.ACTIVE, epoch)
        else:
            known = self.sources.get(source)
            if known is None:
                self.sources[source] = _Source(watermark, state, epoch)
            elif known.epoch == epoch:
                known.watermark = max(known.watermark, watermark)
                # Pages of one replay come in order; a re-read page must not reopen what has ended.
                if known.state != SourceState.ENDED:
                    known.state = state
            elif not epoch:
                # Live data after a replay, or before one was heard of: the replay keeps its claim
                # until it has ended.
                if known.state == SourceState.ENDED:
                    self.sources[source] = _Source(max(known.watermark, watermark), state, "")
            else:
                self.sources[source] = _Source(watermark, state, epoch)
        self.watermark = max(self.watermark, self._minimum())
        return self.watermark

    def _minimum(self) -> int:
        if len(self.sources) < self.expected or not self.sources:
            return NO_WATERMARK
        active = [s.watermark for s in self.sources.values() if s.state == SourceState.ACTIVE]
        if active:
            return min(active)
        return max(s.watermark for s in self.sources.values())
