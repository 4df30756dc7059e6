"""Series whose alerts come and go: how often lately, and whether that is flapping.

A change is a fire or a resolve. A series flaps once it has changed more than `transitions` times within the
window, and has calmed down once at most `calm` changes are left in it; between the two it stays what it is.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict

import msgspec

from config.durations import millis
from config.suppression import Flap
from correlator.index import Timers
from detectors.alert import Alert

MOST_SERIES = 50_000
FORGOTTEN_AT_ONCE = 4
"""series looked at for room with each change: more than come with it"""


class Series(msgspec.Struct):
    """What is remembered of one series."""

    changes: list[int] = []
    """event times of the newest ones, as many as matter"""
    since: int | None = None
    """it flaps since then"""
    told: bool = False
    """that it does"""
    speaker: str = ""
    """id of its alert that went into correlation last"""
    parked: Alert | None = None
    """the speaker resolved, but correlation has not been told: it would flap there, too"""
    standing: str = ""
    """id of its alert that fires now"""


def series_of(alert: Alert) -> str:
    return f"{alert.kind}/{alert.fingerprint}"


class Flapping:
    """The series of one domain partition that changed lately. Mutable; `series` is part of the snapshot."""

    def __init__(self, settings: Flap, most: int = MOST_SERIES) -> None:
        self.enabled = settings.enabled
        self.window_ms = millis(settings.window)
        self.transitions, self.calm = settings.transitions, settings.calm
        self.most = most
        self.evicted = 0
        self.series: OrderedDict[str, Series] = OrderedDict()
        """the one that changed longest ago first"""
        self._ends = Timers()

    @property
    def flapping(self) -> int:
        return sum(one.since is not None for one in self.series.values())

    def change(self, key: str, at_ms: int) -> tuple[Series, list[Series]]:
        """A fire or a resolve: the series, and those forgotten for it."""
        gone = self._forget(key, at_ms)
        one = self.series.get(key)
        if one is None:
            one = self.series[key] = Series()
        else:
            self.series.move_to_end(key)
        changes, most = one.changes, self.transitions + 1
        insort(changes, at_ms)
        if len(changes) > most:
            del changes[:-most]
        if one.since is None and len(changes) == most and changes[0] > at_ms - self.window_ms:
            one.since = at_ms
        if one.since is not None:
            self._watch(key, one)
        return one, gone

    def get(self, key: str) -> Series | None:
        return self.series.get(key)

    def next_due(self) -> int | None:
        """When the next series may have calmed down."""
        return self._ends.next_due()

    def settle(self) -> tuple[int, Series]:
        """When, and the series that has calmed down; call `next_due` first."""
        at_ms, key, _ = self._ends.pop()
        one = self.series[key]
        one.since = None
        return at_ms, one

    def restore(self, key: str, one: Series) -> None:
        self.series[key] = one
        if one.since is not None:
            self._watch(key, one)

    def _watch(self, key: str, one: Series) -> None:
        # A snapshot may be of a configuration that remembered fewer.
        first = one.changes[-min(self.calm + 1, len(one.changes))]
        self._ends.set(key, "calm", first + self.window_ms)

    def _forget(self, new: str, at_ms: int) -> list[Series]:
        """Series that have not changed within the window, and the oldest one when there are too many."""
        gone: list[Series] = []
        for _ in range(FORGOTTEN_AT_ONCE):
            key = next(iter(self.series), "")
            one = self.series.get(key)
            if one is None:
                break
            idle = one.changes[-1] <= at_ms - self.window_ms and one.since is None and one.parked is None
            if not idle:
                if len(self.series) < self.most or new in self.series:
                    break
                self.evicted += 1
                gone.append(one)
            del self.series[key]
            self._ends.set(key, "calm", None)
        return gone
