"""What one source partition may say of its event time: the part of ingest that outlives a restart."""

from __future__ import annotations

import msgspec

from streams.decode.judge import NEVER
from streams.decode.windows import WINDOW_MS, Window
from streams.records.pages import NO_WATERMARK, SourceState

ABANDONED_MS = 600_000
"""A bounded replay that stops without an end is taken for ended after this much silence."""
REPEAT_MS = 60_000
"""A partition that never had a row says so again this often (a shard may have lost its state)."""
STEP_MS = 1_000
"""An idle partition moves its watermark with the wall clock in steps of at least this."""


class Progress(msgspec.Struct, array_like=True):
    """Mutable; snapshotted as it is. Times are ms UTC, `NEVER` where there is none yet."""

    clock: int = NEVER
    """newest event time that counts (`streams.decode.judge`)"""
    newest: int = NEVER
    """newest event time of any accepted row"""
    floor: int = NEVER
    """a replay began right after this"""
    own: int = NEVER
    """newest sample about ourselves"""
    reference: int = NEVER
    """newest reference time"""
    epoch: str = ""
    """of the replay we are in"""
    ended: bool = False
    """a replay has ended and nothing has followed it"""
    state: int = SourceState.IDLE
    idle_at: int = NO_WATERMARK
    """the last watermark given while idle"""
    format: str = ""
    """what `auto` found"""
    window: Window = msgspec.field(default_factory=Window)
    fed: bool = False
    """accepted rows came since the last tick"""
    touched: bool = False
    """any record came since the last tick"""
    quiet_since: int = NEVER
    """wall clock of the first tick after the last accepted row"""
    still_since: int = NEVER
    """wall clock of the first tick after the last record of any kind"""

    def watermark(self, lateness_ms: int) -> int:
        """Every row that follows is newer than this, or late."""
        if self.state == SourceState.IDLE and not self.epoch:
            if self.clock == NEVER and self.own != NEVER:
                # Nothing usable ever came, but we speak of ourselves: a window later all partitions have.
                return max(self.idle_at, self.own - WINDOW_MS)
            return self.idle_at
        if self.clock == NEVER:
            return self.floor if self.floor != NEVER else NO_WATERMARK
        return max(self.clock - lateness_ms, self.floor, NO_WATERMARK)

    def absorb(self, clock: int, newest: int, reference: int, accepted: bool) -> None:
        """Take in a chunk: judged clocks, its newest reference time, whether any row was accepted."""
        self.clock, self.newest = clock, newest
        self.reference = max(self.reference, reference)
        self.touched = True
        if accepted:
            self.fed = True
            self.ended = False
            self.state = SourceState.ACTIVE

    def begin(self, epoch: str, begin_ms: int) -> None:
        """A bounded replay has a time of its own, from just before `begin_ms`."""
        self.clock = self.newest = self.own = self.reference = NEVER
        self.floor = max(begin_ms - 1, NEVER)
        self.epoch, self.ended = epoch, False
        self.state, self.touched = SourceState.ACTIVE, True
        self.window = Window()

    def end(self) -> int:
        """The replay is over; returns the final watermark."""
        final = max(self.newest, self.own, self.floor)
        self.epoch, self.ended, self.floor = "", True, NEVER
        self.state, self.idle_at = SourceState.IDLE, final
        return final

    def seen_wall(self, now_ms: int) -> None:
        """Note when it became quiet, by the wall clock of a tick."""
        if self.fed or self.quiet_since == NEVER:
            self.quiet_since = now_ms
        if self.touched or self.still_since == NEVER:
            self.still_since = now_ms
        self.fed = self.touched = False

    def unsure(self, now_ms: int) -> None:
        """Nobody can say whether there is more: what counts as silence begins when somebody can."""
        self.quiet_since = self.still_since = now_ms

    def virtual_reference(self, now_ms: int) -> int:
        """Reference time now, if it has gone on since the last record as the wall clock has."""
        return self.reference + now_ms - self.still_since if self.reference != NEVER else NEVER

    def idle_watermark(self, now_ms: int, lateness_ms: int) -> int:
        """Event time of a quiet partition: its newest, then on with the wall clock at a safe distance.

        It counts from the partition's own event time, so that a producer whose clock is off, or a
        backfill, is not overtaken by our clock.
        """
        if self.clock == NEVER:
            # Nothing usable ever came: what we say of ourselves is all the event time there is.
            if self.own == NEVER:
                return NO_WATERMARK
            return min(self.own, self.virtual_reference(now_ms) - 2 * lateness_ms)
        return self.clock + max(0, now_ms - self.quiet_since - 2 * lateness_ms)
