"""A service under suspicion, and what its alerts say of it: the strongest signal of each role, weighed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from correlator.incident import Evidence
from correlator.signals import ABSENT, LOG, OWN, POINTING, STARVED, STEP, USED, Signal, is_failing
from detectors.alert import SEVERITIES, Alert

STRENGTH, RESOURCES, POINTED, GONE, NEW_LOG, STOPPED = 0.25, 0.35, 0.30, 0.25, 0.20, 0.20
HEARSAY = 0.5
"""share of its standing for who is only named in logs of its callers"""
BRIEF = 0.1
"""share of the longest delay of the incident from which on a delay counts in full"""
SOLID = 0.15
"""what a service's own signals must weigh for its onset and its place in the graph to count in full"""


class Suspect(msgspec.Struct):
    """Mutable while hints are drawn."""

    service: str
    signals: list[Signal] = []
    evidence: list[Evidence] = []
    cause: str = ""
    lost: float = 0.0
    """longest time that its answers take more than usual, in seconds if their unit is known"""
    kept: float = 0.0
    """the part of the score no callee can explain: its own resources, its silence"""
    standing: float = 0.0
    """[0, 1]: how much its own signals say; when it began and who depends on it counts by that"""
    coarse: int = 0
    """longest detection delay of its signals, ms: how exactly its onset is known"""

    @property
    def hearsay(self) -> bool:
        """Whether only logs of its callers name it: nothing that was measured, nothing of its own."""
        return all(s.role == POINTING and s.alert.kind == "log" for s in self.signals if s.telling)

    @property
    def fails(self) -> bool:
        """Whether requests fail, by what was measured of it, or it is gone or says so itself."""
        return any(s.role in (ABSENT, LOG) or (s.role == OWN and is_failing(s.alert)) for s in self.signals)

    @property
    def slow(self) -> bool:
        """Whether it answers slowly or fails, and nothing it uses says why."""
        return any(s.role == OWN and s.telling for s in self.signals) and not any(
            s.role in (USED, LOG, STEP, ABSENT, POINTING) for s in self.signals
        )

    @property
    def score(self) -> float:
        return sum(e.weight for e in self.evidence)

    def evidence_of(self, kind: str) -> bool:
        return any(e.kind == kind for e in self.evidence)


@lru_cache(maxsize=10_000)
def clock(at_ms: int) -> str:
    """`14:02:10` in UTC, for evidence texts."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")


def onset_of(suspect: Suspect) -> int | None:
    """First sign of trouble that speaks of this service (starvation and what is circumstantial do not)."""
    return min((s.alert.started_at for s in suspect.signals if s.telling), default=None)


def take_signals(suspect: Suspect, first: Alert | None, longest: float) -> None:
    """The strongest signal of each role; `first` is the earliest alert that is not from a log.

    Slowness counts by the time that is lost, beside the `longest` of the incident: a few milliseconds more do
    not make a caller wait for half a second.
    """
    if any(s.role == STARVED and s.alert.kind == "absent" for s in suspect.signals):
        # Who is not called any more has nothing to call others for.
        suspect.signals = [s for s in suspect.signals if s.role != STEP or s.alert.kind != "absent"]
    suspect.lost = max((s.lost for s in suspect.signals), default=0.0)
    if longest > 0.0:
        suspect.signals = [_by_time(s, longest) for s in suspect.signals]
    weights = {
        **{OWN: STRENGTH, USED: RESOURCES, LOG: NEW_LOG, STEP: STOPPED, POINTING: POINTED, ABSENT: GONE},
        STARVED: 0.05,
    }
    kinds = {LOG: "log", STEP: "log", POINTING: "path", ABSENT: "absent"}
    suspect.coarse = max((s.alert.detected_at - s.alert.started_at for s in suspect.signals), default=0)
    by_role: dict[str, list[Signal]] = {}
    for signal in suspect.signals:
        by_role.setdefault(signal.role, []).append(signal)
    for role, weight in weights.items():
        of_role = by_role.get(role)
        if not of_role:
            continue
        best = max(of_role, key=_telling)
        # Several series agreeing say more than one alone: half, then two thirds, ... of the rest.
        agreeing = len({(s.alert.service, s.alert.metric, s.alert.instance) for s in of_role})
        value = weight * best.force * (0.7 + 0.3 * (1 - 1 / agreeing))
        a = best.alert
        text = f"{clock(a.started_at)} {a.summary}"
        if a.kind == "log" and first is not None:
            text += _beside(a, first)
        if role == POINTING:
            text = f"seen by its caller {a.service}: {text}"
        suspect.evidence.append(
            Evidence(
                "absent" if a.kind == "absent" else kinds.get(role, "strength"),
                text,
                round(value, 4),
                a.started_at,
                a.id,
            )
        )
        if role in (USED, ABSENT):
            suspect.kept += value
    suspect.standing = min(1.0, suspect.score / SOLID) * (HEARSAY if suspect.hearsay else 1.0)
    named = [s for s in suspect.signals if s.role in (OWN, USED, LOG, STEP, ABSENT)] or suspect.signals
    if named:
        lead = max(named, key=_telling)
        suspect.cause = lead.alert.summary


def _by_time(signal: Signal, longest: float) -> Signal:
    if not 0.0 < signal.lost < BRIEF * longest:
        return signal
    return signal._replace(force=signal.force * math.sqrt(signal.lost / (BRIEF * longest)))


def _telling(signal: Signal) -> tuple[float, int, int, str]:
    """Which of several signals to name: the strongest, then the most severe, then the first."""
    alert = signal.alert
    return signal.force, SEVERITIES.index(alert.severity), -alert.started_at, alert.id


def _beside(log: Alert, first: Alert) -> str:
    """When a log alert began, seen from the first trouble that measurements show."""
    gap = (first.started_at - log.started_at) / 1000
    if abs(gap) < 1:
        return f" (as {first.service} {first.metric} went off)"
    return f" ({abs(gap):.0f} s {'before' if gap > 0 else 'after'} {first.service} {first.metric} went off)"
