"""Alerts that are held back, and the record of each: found again by what holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from correlator.index import Timers
from correlator.memory import Recent
from correlator.suppression import Suppression
from detectors.alert import Alert

MOST_HELD = 100_000
"""alerts held back at once; beyond that the one held back for longest goes on into correlation"""
MOST_REMEMBERED = 10_000

_Key = TypeVar("_Key")


class Verdict(NamedTuple):
    """What holds an alert back."""

    kind: str
    rule: str
    version: str
    reason: str
    by: str = ""
    until: int | None = None


class Held(msgspec.Struct):
    """An alert that is held back."""

    alert: Alert
    domain: str
    kind: str
    rule: str
    rule_version: str
    reason: str
    by: str
    from_ms: int
    until_ms: int | None
    version: int

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.kind, self.rule, self.rule_version, self.reason, self.by, self.until_ms)


class Holding:
    """What is held back in one domain partition. Mutable; part of the snapshot."""

    def __init__(self, record: Callable[[Suppression], None], most: int = MOST_HELD) -> None:
        self.most = most
        self.evicted = 0
        self.alerts: dict[str, Held] = {}
        """by alert id, the one held back for longest first"""
        self.versions: Recent[int] = Recent(MOST_REMEMBERED)
        """alert id -> version of its last record, for those that went on"""
        self.matches: Recent[int] = Recent(MOST_REMEMBERED)
        """`kind/rule/version` -> alerts it has held back"""
        self.totals: dict[str, int] = {}
        """kind -> alerts it has held back"""
        self._record = record
        self._by_rule: dict[tuple[str, str], dict[str, None]] = {}
        self._by_alert: dict[str, dict[str, None]] = {}
        self._due = Timers()

    def take(self, alert: Alert, domain: str, verdict: Verdict, now_ms: int) -> None:
        """Hold an alert back from now on."""
        version = (self.versions.get(alert.id) or 0) + 1
        self._enter(Held(alert, domain, *verdict[:5], now_ms, verdict.until, version))
        self._count(verdict)
        self._say(self.alerts[alert.id], now_ms)

    def change(self, held: Held, verdict: Verdict, now_ms: int) -> None:
        """Something else holds it back from now on, or the same until another time."""
        before = held.verdict
        if before == verdict:
            self._due.set(held.alert.id, "until", held.until_ms)
            return
        self._leave(held)
        held.kind, held.rule, held.rule_version, held.reason, held.by, held.until_ms = verdict
        held.version += 1
        self._index(held)
        if before[:3] != verdict[:3]:
            self._count(verdict)
        self._say(held, now_ms)

    def end(self, held: Held, outcome: str, now_ms: int) -> None:
        """It is held back no more: its alert resolved, or goes on."""
        del self.alerts[held.alert.id]
        self._leave(held)
        held.version += 1
        held.until_ms = now_ms
        self._say(held, now_ms, outcome)
        if outcome == "correlated":
            self.versions.put(held.alert.id, held.version)

    def oldest_beyond(self) -> Held | None:
        """The one held back for longest when there are too many."""
        return next(iter(self.alerts.values())) if len(self.alerts) > self.most else None

    def by_rule(self, kind: str, rule: str) -> list[Held]:
        """The one held back for longest first."""
        return self._in_order(self._by_rule.get((kind, rule), {}))

    def by_alert(self, id: str) -> list[Held]:
        """Those for whom an alert speaks, the one held back for longest first."""
        return self._in_order(self._by_alert.get(id, {}))

    def _in_order(self, ids: Iterable[str]) -> list[Held]:
        # An index is rebuilt after a restart: it cannot tell in which order it was filled.
        return sorted((self.alerts[id] for id in ids), key=lambda held: (held.from_ms, held.alert.id))

    def unopened(self, alert: Alert, domain: str, since_ms: int, now_ms: int) -> None:
        """A record of an alert whose group came to nothing."""
        said = "its group never had enough evidence for an incident"
        held = Held(alert, domain, "unopened", "unopened", "", said, "", since_ms, now_ms, 0)
        held.version = (self.versions.get(alert.id) or 0) + 1
        self.totals["unopened"] = self.totals.get("unopened", 0) + 1
        self._say(held, now_ms, "resolved" if alert.resolved_at is not None else "forgotten")

    def next_due(self) -> int | None:
        """When the next one must be looked at again."""
        return self._due.next_due()

    def pop_due(self) -> tuple[int, Held]:
        """When, and which; call `next_due` first."""
        at_ms, id, _ = self._due.pop()
        return at_ms, self.alerts[id]

    def look_at(self, held: Held, at_ms: int) -> None:
        """Let it be due then."""
        self._due.set(held.alert.id, "until", at_ms)

    def restore(self, held: Held) -> None:
        self._enter(held)

    def _enter(self, held: Held) -> None:
        self.alerts[held.alert.id] = held
        self._index(held)

    def _index(self, held: Held) -> None:
        id = held.alert.id
        self._by_rule.setdefault((held.kind, held.rule), {})[id] = None
        if held.by:
            self._by_alert.setdefault(held.by, {})[id] = None
        self._due.set(id, "until", held.until_ms)

    def _leave(self, held: Held) -> None:
        _discard(self._by_rule, (held.kind, held.rule), held.alert.id)
        if held.by:
            _discard(self._by_alert, held.by, held.alert.id)
        self._due.set(held.alert.id, "until", None)

    def _count(self, verdict: Verdict) -> None:
        key = f"{verdict.kind}/{verdict.rule}/{verdict.version}"
        self.matches.put(key, (self.matches.get(key) or 0) + 1)
        self.totals[verdict.kind] = self.totals.get(verdict.kind, 0) + 1

    def _say(self, held: Held, now_ms: int, outcome: str = "") -> None:
        a = held.alert
        self._record(
            Suppression(
                alert=a.id,
                version=held.version,
                state="ended" if outcome else "active",
                outcome=outcome,
                kind=held.kind,
                rule=held.rule,
                rule_version=held.rule_version,
                reason=held.reason,
                by=held.by,
                domain=held.domain,
                from_ms=held.from_ms,
                until_ms=held.until_ms,
                at_ms=now_ms,
                service=a.service,
                metric=a.metric,
                severity=a.severity,
                fingerprint=a.fingerprint,
                started_at=a.started_at,
                summary=a.summary,
            )
        )


def _discard(index: dict[_Key, dict[str, None]], key: _Key, id: str) -> None:
    ids = index[key]
    del ids[id]
    if not ids:
        del index[key]
