"""Root-cause hints: candidate services, scored by checkable evidence with fixed weights.

Candidates are the services with alerts, those their alerts point to, and those just changed. Each
piece of evidence adds its weight; a service whose slowness or failures a callee in trouble explains
keeps only part of them, so that the deepest one on the suspected path leads; its own resources and
its silence no callee explains. A suspect's
share is its squared score over all squared scores and a constant for what nobody has thought of: when the
evidence is thin, most of it goes to "unknown". `correlator.confidence` makes a confidence of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from correlator import confidence
from correlator.group import Call
from correlator.incident import Evidence, Hint
from correlator.signs import Signs
from correlator.suspect import BRIEF, Suspect, clock, onset_of, take_signals
from detectors.alert import Alert
from streams.records.messages import Change

ONSET, PATH, CHANGED, CALLS = 0.15, 0.20, 0.35, 0.10
IMPATIENT_S = 1.0
"""a callee slower by less than this, in seconds, makes nobody fail"""
EXPLAINED = 0.45
"""what remains of a service's slowness and failures when a callee in trouble explains them"""
LATER_MS = 5_000
"""a callee that began this much later, and longer than it took to notice, explains nothing"""
SHARED_CALLEE = 0.30
"""what all troubled services call, if it is one and they are several"""
MOST_SHARED = 3
UNKNOWN = 0.20
"""score of the cause nobody has thought of"""
LEAST_SCORE = 0.10
LEAST_SHARE = 0.05
MOST_SUSPECTS = 30
"""looked at more closely: their order, and who depends on whom"""
MOST_HINTS = 5
MOST_EVIDENCE = 8


class Known(NamedTuple):
    """What similar incidents of the past say of a service."""

    service: str
    cause: str
    evidence: Evidence


class Scene(NamedTuple):
    """All that hints are drawn from."""

    alerts: Sequence[Alert]
    calls: Sequence[Call]
    changes: Sequence[Change]
    change_window_ms: int
    past: Sequence[Known] = ()


def rank(scene: Scene, signs: Signs | None = None) -> tuple[Hint, ...]:
    """Hints, best first; empty when nothing deserves suspicion.

    `signs`: what was kept of the same group; brought up to date.
    """
    known = {a.service for a in scene.alerts} | {s for call in scene.calls for s in call[:2]}
    suspects: dict[str, Suspect] = {}
    for signal in (Signs() if signs is None else signs).of(scene.alerts, known):
        suspect = suspects.get(signal.about)
        if suspect is None:
            suspect = suspects[signal.about] = Suspect(signal.about)
        suspect.signals.append(signal)
    for name in (*(c.service for c in scene.changes), *(k.service for k in scene.past)):
        suspects.setdefault(name, Suspect(name))
    ordered = [suspects[name] for name in sorted(suspects)]
    first = min(
        (a for a in scene.alerts if a.kind != "log"), key=lambda a: (a.started_at, a.id), default=None
    )
    longest = max((s.lost for suspect in ordered for s in suspect.signals), default=0.0)
    for suspect in ordered:
        take_signals(suspect, first, longest)
    _changes(ordered, scene)
    _known(suspects, scene)
    if len(ordered) > MOST_SUSPECTS:
        strongest = sorted(ordered, key=lambda s: (-s.score, s.service))[:MOST_SUSPECTS]
        ordered = sorted(strongest, key=lambda s: s.service)
    ordered = _shared_callees(ordered, scene.calls)
    onsets = {s.service: at for s in ordered if (at := onset_of(s)) is not None}
    _onset_order(ordered, onsets)
    ways = _ways(tuple(call[:2] for call in scene.calls), tuple(s.service for s in ordered))
    _paths(ordered, onsets, ways)
    _failing_calls(ordered, scene.calls)
    scores = {}
    for suspect in ordered:
        remains = _unexplained(suspect, ordered, onsets, ways)
        scores[suspect.service] = suspect.kept + (suspect.score - suspect.kept) * remains
    return _hints(ordered, scores)


Ways = Mapping[str, Mapping[str, str]]
"""suspect -> service that depends on it -> next service on the shortest way to it"""


@lru_cache(maxsize=1_000)
def _ways(calls: tuple[tuple[str, str], ...], goals: tuple[str, ...]) -> Ways:
    """Looked up: a storm's incidents are drawn again and again over the same graph."""
    up: dict[str, list[str]] = {}
    for caller, callee in calls:
        up.setdefault(callee, []).append(caller)
    return {goal: _toward(up, goal) for goal in goals}


def _toward(up: Mapping[str, Sequence[str]], goal: str) -> dict[str, str]:
    following: dict[str, str] = {goal: ""}
    front = [goal]
    while front:
        further = []
        for service in front:
            for caller in up.get(service, ()):
                if caller not in following:
                    following[caller] = service
                    further.append(caller)
        front = further
    return following


def _way(ways: Ways, start: str, goal: str) -> list[str]:
    """Shortest chain of calls from `start` to `goal`, both included."""
    chain = [start]
    while ways[goal][chain[-1]]:
        chain.append(ways[goal][chain[-1]])
    return chain


def _onset_order(suspects: Sequence[Suspect], onsets: Mapping[str, int]) -> None:
    if len(onsets) < 2:
        return
    ordered = sorted((at, service) for service, at in onsets.items())
    times = [at for at, _ in ordered]
    first, last = times[0], times[-1]
    for suspect in suspects:
        at = onsets.get(suspect.service)
        if at is None or last == first:
            continue
        weight = ONSET * suspect.standing * (1 - (at - first) / (last - first))
        if weight > 0:
            later = bisect_right(times, at)
            named = ", ".join(f"{s} ({clock(t)})" for t, s in ordered[later : later + 3])
            text = f"began {clock(at)}, before {named}"
            suspect.evidence.append(Evidence("onset", text, round(weight, 4), at))


def _paths(suspects: Sequence[Suspect], onsets: Mapping[str, int], ways: Ways) -> None:
    """How many of the others, in trouble no earlier than this one, depend on it."""
    named = {s.service: s for s in suspects}
    for suspect in suspects:
        others = [s for s in onsets if s != suspect.service]
        dependent = [
            s for s in others if s in ways[suspect.service] and not _later(suspect, named[s], onsets)
        ]
        # That others depend on it accuses only who is in trouble itself, or was just changed.
        if not dependent or (suspect.service not in onsets and not suspect.evidence_of("change")):
            continue
        standing = 1.0 if suspect.evidence_of("change") else suspect.standing
        weight = PATH * standing * len(dependent) / len(others)
        longest = max((_way(ways, s, suspect.service) for s in dependent), key=lambda way: (len(way), way))
        text = f"{len(dependent)} of {len(others)} other troubled services depend on it: " + " → ".join(
            longest
        )
        suspect.evidence.append(Evidence("path", text, round(weight, 4)))


def _shared_callees(suspects: list[Suspect], calls: Sequence[Call]) -> list[Suspect]:
    """What all services call that are slow or fail, and by nothing of their own: it, or the way to it."""
    slow = {s.service for s in suspects if s.slow}
    callers: dict[str, set[str]] = {}
    for caller, callee, _ in calls:
        if caller in slow and callee not in slow:
            callers.setdefault(callee, set()).add(caller)
    shared = sorted(callee for callee, some in callers.items() if some == slow)
    known = {s.service: s for s in suspects}
    if not slow or not shared or len(shared) > MOST_SHARED or any(c in known for c in shared):
        return suspects
    alone = known[min(slow)] if len(slow) == 1 else None
    if alone is not None and not alone.lost:
        return suspects
    # Of one alone nobody knows whether it waits or is slow itself: what it calls is named after it.
    weight = (SHARED_CALLEE if alone is None else min(0.5 * SHARED_CALLEE, 0.8 * alone.score)) / len(shared)
    names = ", ".join(sorted(slow)[:3])
    text = (
        f"all that are slow or fail call it: {names}"
        if len(slow) > 1
        else f"{names}, which is slow, calls it"
    )
    for callee in shared:
        suspect = known.setdefault(callee, Suspect(callee))
        suspect.evidence.append(Evidence("path", text, round(weight, 4)))
    return [known[name] for name in sorted(known)]


def _failing_calls(suspects: Sequence[Suspect], calls: Sequence[Call]) -> None:
    for suspect in suspects:
        worst = max(((f, caller) for caller, callee, f in calls if callee == suspect.service), default=None)
        if worst is not None and worst[0] >= 0.05:
            text = f"{worst[0]:.0%} of recent calls from {worst[1]} failed"
            suspect.evidence.append(Evidence("path", text, round(CALLS * min(1.0, 2 * worst[0]), 4)))


def _changes(suspects: Sequence[Suspect], scene: Scene) -> None:
    """The newest change of a service shortly before the trouble; worth most just before."""
    start = min((a.started_at for a in scene.alerts), default=0)
    for suspect in suspects:
        own = onset_of(suspect)
        at = start if own is None else own
        best: Evidence | None = None
        for change in sorted(scene.changes, key=lambda c: (c.ts, c.id)):
            if change.service != suspect.service:
                continue
            # A minute of grace: detection sees the first odd sample, clocks differ, roll-outs take a while.
            lead = max(0, at - change.ts)
            if change.ts > at + 60_000 or lead > scene.change_window_ms:
                continue
            fade = 1 - lead / scene.change_window_ms
            weight = CHANGED * fade * (1.0 if suspect.signals else 0.4)
            what = " ".join(filter(None, (change.kind, change.version, change.summary)))
            text = f"{clock(change.ts)} {what}, {lead / 1000:.0f} s before its trouble began at {clock(at)}"
            best = Evidence("change", text, round(weight, 4), change.ts, change.id)
            suspect.cause = f"{what} at {clock(change.ts)}" + (
                f"; {suspect.cause}" if suspect.signals else ""
            )
        if best is not None:
            suspect.evidence.append(best)


def _known(suspects: Mapping[str, Suspect], scene: Scene) -> None:
    """Its trouble was the cause before, when much the same was seen."""
    for service, cause, evidence in scene.past:
        suspect = suspects[service]
        suspect.evidence.append(evidence)
        suspect.cause = suspect.cause or cause


def _unexplained(
    suspect: Suspect, suspects: Sequence[Suspect], onsets: Mapping[str, int], ways: Ways
) -> float:
    """1, or `EXPLAINED` when something it calls is in trouble itself, and not clearly later."""
    if suspect.service not in onsets or suspect.evidence_of("change"):
        return 1.0
    for other in suspects:
        calls_it = other is not suspect and suspect.service in ways[other.service]
        if other.service not in onsets or not calls_it or other.service in ways[suspect.service]:
            continue  # not beneath it, or in a cycle with it, which explains nothing
        if other.hearsay or 0.0 < other.lost < BRIEF * suspect.lost:
            continue
        if suspect.fails and not other.fails and 0.0 < other.lost < IMPATIENT_S:
            continue  # too little to run into a time-out
        if other.score >= 0.5 * suspect.score and not _later(other, suspect, onsets):
            return EXPLAINED
    return 1.0


def _later(suspect: Suspect, other: Suspect, onsets: Mapping[str, int]) -> bool:
    """Whether `suspect` clearly began after `other`; one without an onset did not."""
    at, before = onsets.get(suspect.service), onsets.get(other.service)
    if at is None or before is None:
        return False
    return at > before + LATER_MS + max(suspect.coarse, other.coarse)


def _hints(suspects: Sequence[Suspect], scores: Mapping[str, float]) -> tuple[Hint, ...]:
    total = sum(score**2 for score in scores.values()) + UNKNOWN**2
    named: list[Suspect] = []
    shares: list[float] = []
    for suspect in sorted(suspects, key=lambda s: (-scores[s.service], s.service)):
        score = scores[suspect.service]
        share = score**2 / total
        if score < LEAST_SCORE or share < LEAST_SHARE or len(named) == MOST_HINTS:
            break
        named.append(suspect)
        shares.append(share)
    hints: list[Hint] = []
    for suspect, sure in zip(named, confidence.calibrated(shares, confidence.HINTS), strict=True):
        evidence = sorted(suspect.evidence, key=lambda e: (-e.weight, e.kind, e.text))[:MOST_EVIDENCE]
        hints.append(Hint(suspect.service, sure, tuple(evidence), suspect.cause))
    return tuple(hints)
