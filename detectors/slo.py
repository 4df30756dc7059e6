"""Burn rate of one objective's error budget over several windows, from counts in event time.

    burn(window) = (bad / total) / (1 - objective)           1: the budget lasts exactly its period

A burn rate of the configuration fires while both its windows burn at least that fast: the long one
says that it matters, the short one that it goes on (Google, The Site Reliability Workbook, chapter 5).
The part of a window from before the first event counts as good: a service three hours old has not burned
its budget for three days. Fewer than `MIN_EVENTS` events in the long window say nothing.

A window is a ring of at most `BUCKETS` buckets; what it covers is exact to one bucket. State: about
1 KB a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from config.control import Slo
from config.durations import in_words, millis
from detectors.alert import SEVERITIES, Alert, alert_id
from detectors.words import clipped, clock, number
from streams.records.digest import digest_hex

TICK_MS = 10_000
"""counts are taken in, and burn rates looked at, every so much event time"""
BUCKETS = 60
MIN_EVENTS = 10
UNSEEN = -1


class Window(msgspec.Struct, array_like=True):
    """Sums of the last `ms`. `head`: number of the newest bucket."""

    ms: int
    total: list[float]
    bad: list[float]
    head: int = UNSEEN

    @classmethod
    def of(cls, ms: int) -> Window:
        n = -(-ms // cls.width_of(ms))
        return cls(ms, [0.0] * n, [0.0] * n)

    @staticmethod
    def width_of(ms: int) -> int:
        """Of a bucket: a multiple of the tick."""
        return max(1, -(-ms // (BUCKETS * TICK_MS))) * TICK_MS

    def add(self, end_ms: int, total: float, bad: float) -> None:
        """Counts of the tick that ends at `end_ms`, which never goes back."""
        n = len(self.total)
        bucket = (end_ms - 1) // self.width_of(self.ms)
        for passed in range(max(self.head + 1, bucket - n + 1), bucket + 1):
            self.total[passed % n] = self.bad[passed % n] = 0.0
        self.head = bucket
        self.total[bucket % n] += total
        self.bad[bucket % n] += bad

    def ratio(self) -> float:
        """Share of bad events; 0 of none."""
        total = sum(self.total)
        return min(1.0, sum(self.bad) / total) if total > 0.0 else 0.0


class Rate(NamedTuple):
    """A burn rate of the configuration, read."""

    burn: float
    long: int
    short: int
    severity: int


class Objective:
    """An objective of the configuration, read."""

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self.allowed = 1.0 - slo.objective / 100.0
        """share of events that may be bad"""
        self.period = millis(slo.period)
        self.rates = sorted(
            (
                Rate(one.burn, millis(one.long), millis(one.short), SEVERITIES.index(one.severity))
                for one in slo.burn_rates
            ),
            key=lambda rate: (-rate.severity, -rate.burn),
        )
        """gravest first"""
        self.shortest = min(rate.short for rate in self.rates)
        self.windows = sorted({self.period, *(w for rate in self.rates for w in (rate.long, rate.short))})


class Budget(msgspec.Struct, array_like=True):
    """State of one objective of one service."""

    name: str
    service: str
    windows: list[Window]
    first: int = UNSEEN
    """start of the first tick with events, ms"""
    last: int = UNSEEN
    """end of the last one"""
    since: int = UNSEEN
    """the budget has been burning too fast from here on without a break, ms"""
    alert: Alert | None = None

    @classmethod
    def of(cls, objective: Objective, service: str) -> Budget:
        return cls(objective.slo.name, service, [Window.of(ms) for ms in objective.windows])

    def fit(self, objective: Objective) -> None:
        """Take on the windows of a changed objective; those that stay keep what they hold."""
        known = {window.ms: window for window in self.windows}
        self.windows = [known.get(ms) or Window.of(ms) for ms in objective.windows]

    def step(
        self, objective: Objective, end_ms: int, total: float, bad: float, resource: Resource = ()
    ) -> list[Alert]:
        """One tick: what it makes of the alert."""
        if total > 0.0:
            if self.first == UNSEEN:
                self.first = end_ms - TICK_MS
            self.last = end_ms
        windows = {window.ms: window for window in self.windows}
        for window in self.windows:
            window.add(end_ms, total, min(bad, total))
        seen = end_ms - self.first
        burns = {
            ms: window.ratio() / objective.allowed * min(1.0, seen / ms) for ms, window in windows.items()
        }
        if burns[objective.shortest] < 1.0:
            self.since = UNSEEN
        elif self.since == UNSEEN:
            self.since = end_ms - TICK_MS
        burning = next(
            (
                rate
                for rate in objective.rates
                if min(burns[rate.long], burns[rate.short]) >= rate.burn
                and sum(windows[rate.long].total) >= MIN_EVENTS
            ),
            None,
        )
        if burning is None:
            return self.ended(end_ms)
        was = self.alert
        if was is not None and burning.severity <= SEVERITIES.index(was.severity):
            return []
        self.alert = self._firing(objective, burning, burns, end_ms, resource)
        return [self.alert]

    def ended(self, at_ms: int, why: str = "") -> list[Alert]:
        """Resolve what is open."""
        if self.alert is None:
            return []
        alert, self.alert = self.alert, None
        text = f"{alert.summary}; {why or 'over'} at {clock(at_ms)}"
        return [
            msgspec.structs.replace(
                alert,
                version=alert.version + 1,
                state="resolved",
                last_seen_at=at_ms,
                resolved_at=at_ms,
                summary=text,
            )
        ]

    def left(self, objective: Objective, end_ms: int) -> float:
        """Share of the period's budget that is left; negative: overspent.

        A period seen only in part is taken to go on with as many events.
        """
        window = next(one for one in self.windows if one.ms == objective.period)
        seen = min(objective.period, end_ms - self.first)
        return 1.0 - window.ratio() / objective.allowed * seen / objective.period

    def _firing(
        self, objective: Objective, rate: Rate, burns: dict[int, float], end_ms: int, resource: Resource
    ) -> Alert:
        was = self.alert
        fingerprint = digest_hex(self.service, "slo", self.name)
        started = was.started_at if was else (end_ms if self.since == UNSEEN else self.since)
        left = self.left(objective, end_ms)
        budget = f"budget left {100 * left:.0f} %" if left >= 0.0 else "budget spent"
        summary = (
            f"{self.service} burning the {objective.slo.objective:g} % objective {self.name} "
            f"{number(burns[rate.long])}x over {in_words(rate.long)} and "
            f"{number(burns[rate.short])}x over {in_words(rate.short)}; {budget}"
        )
        return Alert(
            id=alert_id(fingerprint, "metric", started),
            version=was.version + 1 if was else 1,
            state="firing",
            kind="metric",
            fingerprint=fingerprint,
            service=self.service,
            metric=f"slo.{self.name}",
            severity=SEVERITIES[rate.severity],
            started_at=started,
            detected_at=was.detected_at if was else end_ms,
            last_seen_at=end_ms,
            resolved_at=None,
            summary=clipped(summary, 160),
            value=burns[rate.long],
            expected=1.0,
            upper=rate.burn,
            score=1.0,
            strength=min(1000.0, burns[rate.long]),
            labels=(("slo", self.name),),
            resource=resource,
        )


Resource = tuple[tuple[str, str], ...]


def idle(budgets: Sequence[Budget], now_ms: int) -> list[int]:
    """Places of budgets nothing is left in, nor said of."""
    return [
        place
        for place, one in enumerate(budgets)
        if one.alert is None and now_ms - one.last > max(window.ms for window in one.windows)
    ]
