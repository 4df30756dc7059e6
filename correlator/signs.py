"""What the alerts of a group say of each service, kept from one drawing of hints to the next.

A storm's incident is drawn again and again with mostly the same members. `Signs.follow` reads only the
alerts that are new or have changed and keeps, by service and role, what hints are made of. What it holds
depends on the alerts alone, not on how often it was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from correlator.signals import ABSENT, LOG, OWN, STARVED, USED, Signal, read
from detectors.alert import SEVERITIES, Alert

NAMED = (OWN, USED, LOG, ABSENT)
"""roles in which a service speaks of itself"""


def telling(signal: Signal) -> tuple[float, int, int, str]:
    """Which of several signals to name: the strongest, then the most severe, then the first."""
    alert = signal.alert
    return signal.force, SEVERITIES.index(alert.severity), -alert.started_at, alert.id


class Role(msgspec.Struct):
    """The signals of one role."""

    best: Signal
    """the one to name"""
    rank: tuple[float, int, int, str]
    """of the best"""
    series: set[tuple[str, str]]
    """service and metric of each"""


class Sign(msgspec.Struct):
    """All that speaks of one service."""

    roles: dict[str, Role] = {}
    coarse: int = 0
    """longest detection delay, ms: how exactly its onset is known"""
    onset: int | None = None
    """first sign of trouble that speaks of this service (starvation does not)"""

    @property
    def lead(self) -> Signal | None:
        """The signal to name first: its own, if there is one."""
        own = [role for name, role in self.roles.items() if name in NAMED]
        best = max(own or self.roles.values(), key=lambda role: role.rank, default=None)
        return best.best if best is not None else None

    def add(self, signal: Signal) -> None:
        """Of an alert not yet in it, or in it as no stronger one of the same role and times."""
        alert, rank = signal.alert, telling(signal)
        role = self.roles.get(signal.role)
        if role is None:
            self.roles[signal.role] = Role(signal, rank, {(alert.service, alert.metric)})
        else:
            role.series.add((alert.service, alert.metric))
            if rank >= role.rank or alert.id == role.rank[-1]:
                role.best, role.rank = signal, rank
        self.coarse = max(self.coarse, alert.detected_at - alert.started_at)
        if signal.role != STARVED and (self.onset is None or alert.started_at < self.onset):
            self.onset = alert.started_at

    def renew(self, name: str, alert: Alert) -> None:
        """A later version of an alert in it says the same."""
        role = self.roles[name]
        if role.rank[-1] == alert.id:
            role.best = role.best._replace(alert=alert)


class Signs:
    """Mutable, not remembered: a new one is filled at once."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.services: dict[str, Sign] = {}
        self.start: int | None = None
        """the first onset"""
        self.first: Alert | None = None
        """the earliest alert that is not from a log"""
        self._alerts: list[Alert] = []
        self._read: list[tuple[Signal, ...]] = []
        self._known: Collection[str] = ()

    def follow(self, alerts: Sequence[Alert], known: Collection[str]) -> None:
        """Hold what these alerts say, given the services known around them."""
        if known != self._known or not self._renewed(alerts):
            self._clear()
            self._known = known
        for alert in alerts[len(self._alerts) :]:
            signals = read(alert, known)
            self._alerts.append(alert)
            self._read.append(signals)
            self._take(alert, signals)

    def _renewed(self, alerts: Sequence[Alert]) -> bool:
        """Take in later versions of the alerts there are. False: what went before must be forgotten."""
        if len(alerts) < len(self._alerts):
            return False
        changed = [
            i for i, (old, new) in enumerate(zip(self._alerts, alerts, strict=False)) if old is not new
        ]
        for index in changed:
            alert, before = alerts[index], self._read[index]
            if _says_the_same(self._alerts[index], alert):
                for signal in before:
                    self.services[signal.about].renew(signal.role, alert)
                if self.first is not None and self.first.id == alert.id:
                    self.first = alert
            else:
                signals = read(alert, self._known)
                if not _follows(before, signals):
                    return False
                self._read[index] = signals
                self._take(alert, signals)
            self._alerts[index] = alert
        return True

    def _take(self, alert: Alert, signals: Sequence[Signal]) -> None:
        for signal in signals:
            sign = self.services.get(signal.about)
            if sign is None:
                sign = self.services[signal.about] = Sign()
            sign.add(signal)
        if self.start is None or alert.started_at < self.start:
            self.start = alert.started_at
        first = self.first
        if alert.kind != "log" and (
            first is None or (alert.started_at, alert.id) <= (first.started_at, first.id)
        ):
            self.first = alert


def _says_the_same(old: Alert, new: Alert) -> bool:
    """Whether all is as it was that a signal is read from and weighed by."""
    return (
        old.strength == new.strength
        and old.severity == new.severity
        and old.metric == new.metric
        and old.service == new.service
        and old.kind == new.kind
        and old.started_at == new.started_at
        and old.detected_at == new.detected_at
        and old.labels == new.labels
        and old.samples == new.samples
    )


def _follows(before: Sequence[Signal], after: Sequence[Signal]) -> bool:
    """Whether the one takes the place of the other by being added: the same alert, only stronger."""
    return len(before) == len(after) and all(_stronger(a, b) for a, b in zip(before, after, strict=True))


def _stronger(old: Signal, new: Signal) -> bool:
    was, now = old.alert, new.alert
    return (
        (old.about, old.role, was.id, was.kind, was.service, was.metric, was.started_at, was.detected_at)
        == (new.about, new.role, now.id, now.kind, now.service, now.metric, now.started_at, now.detected_at)
    ) and telling(new) >= telling(old)
