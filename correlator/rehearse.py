"""What rules would have done to alerts of the past: the suppressor itself, without an engine behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from config.settings import Correlate
from correlator.inbox import FIRING, RENEWED
from correlator.incident import Reason
from correlator.suppress import Suppressor
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert


class Rehearsal(NamedTuple):
    """What came of it."""

    alerts: int
    records: tuple[Suppression, ...]
    """newest record of each alert that was held back, in the order in which it began"""
    matches: dict[str, int]
    """`kind/rule/version` -> alerts held back"""


class _Nowhere:
    """Alerts that go on end here."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.records: dict[str, Suppression] = {}

    def knows(self, id: str) -> bool:
        return id in self.gone

    shows = knows

    def firing(self, alert: Alert, now_ms: int, why: Reason | None) -> None:
        self.gone.add(alert.id)

    def renewed(self, alert: Alert, now_ms: int) -> None:
        """Nobody to tell."""

    def remark(self, id: str, now_ms: int, text: str) -> None:
        """Likewise."""

    def record(self, said: Suppression | SilenceRecord) -> None:
        if isinstance(said, Suppression):
            self.records[said.alert] = said


def rehearse(settings: Correlate, alerts: Iterable[Alert], until_ms: int | None = None) -> Rehearsal:
    """Let newest versions of alerts pass by the rules of `settings`, up to `until_ms` or the last of them."""
    facts: list[tuple[int, int, str, Alert]] = []
    for alert in alerts:
        fresh = msgspec.structs.replace(alert, version=1, state="firing", resolved_at=None)
        facts.append((alert.detected_at, FIRING, alert.id, fresh))
        if alert.resolved_at is not None:
            over = msgspec.structs.replace(alert, version=max(alert.version, 2))
            ended = max(alert.resolved_at, alert.last_seen_at, alert.detected_at)
            facts.append((ended, RENEWED, alert.id, over))
    facts.sort(key=lambda fact: fact[:3])
    way = _Nowhere()
    suppressor = Suppressor(settings, way)
    for at_ms, kind, _, alert in facts:
        _pass_time(suppressor, at_ms - 1)
        (suppressor.firing if kind == FIRING else suppressor.renewed)(alert, at_ms)
    if until_ms is not None:
        _pass_time(suppressor, until_ms)
    count = sum(kind == FIRING for _, kind, _, _ in facts)
    return Rehearsal(count, tuple(way.records.values()), dict(suppressor.holding.matches.items()))


KINDS = ("silences", "maintenance", "inhibit", "dedup")
"""keys of `Correlate` that hold rules with names"""


def only(correlate: Correlate, names: Sequence[str]) -> Correlate:
    """The settings with no other rules than these (flap is one); all of them when none is named.

    Raises `ValueError` that says what was expected.
    """
    if not names:
        return correlate
    known = rule_names(correlate)
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r}: expected a rule of the configuration; it has: {', '.join(known)}")
    left = {kind: tuple(one for one in getattr(correlate, kind) if one.name in names) for kind in KINDS}
    flap = msgspec.structs.replace(correlate.flap, enabled=correlate.flap.enabled and "flap" in names)
    return msgspec.structs.replace(correlate, **left, flap=flap)


def rule_names(correlate: Correlate) -> list[str]:
    """Rules that `only` knows, sorted."""
    return sorted({one.name for kind in KINDS for one in getattr(correlate, kind)} | {"flap"})


def _pass_time(suppressor: Suppressor, to_ms: int) -> None:
    while (due := suppressor.next_due()) is not None and due <= to_ms:
        suppressor.fire()
