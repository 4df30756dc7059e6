"""What rankers are given and what they promise.

A ranker looks at one kind of evidence and writes it down with the suspects it speaks of: a text that can be
checked, and a weight of at most `weight`. Rankers run in a fixed order over one `Field`, because some stand
on what others found: when trouble began, and who depends on whom, counts by how much a service's own signals
say. What a callee explains is weighed in the end, over all evidence (`correlator.hints`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from correlator.group import Call
from correlator.incident import Evidence
from correlator.suspect import Suspect, onset_of
from detectors.alert import Alert
from streams.records.messages import Change

LATER_MS = 5_000
"""a callee that began this much later, and longer than it took to notice, explains nothing"""


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


Ways = Mapping[str, Mapping[str, str]]
"""suspect -> service that depends on it -> next service on the shortest way to it"""


@lru_cache(maxsize=1_000)
def ways_of(calls: tuple[tuple[str, str], ...], goals: tuple[str, ...]) -> Ways:
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


def way(ways: Ways, start: str, goal: str) -> list[str]:
    """Shortest chain of calls from `start` to `goal`, both included."""
    chain = [start]
    while ways[goal][chain[-1]]:
        chain.append(ways[goal][chain[-1]])
    return chain


class Field:
    """The suspects of one incident while they are looked at. Mutable."""

    def __init__(self, scene: Scene, suspects: Mapping[str, Suspect]) -> None:
        self.scene = scene
        self.suspects: list[Suspect] = [suspects[name] for name in sorted(suspects)]
        """by name"""
        self.onsets: Mapping[str, int] = {}
        """service -> first sign of its trouble; set by `settle`"""
        self.ways: Ways = {}

    def keep(self, most: int) -> None:
        """The strongest so far, if they are many: only they are looked at more closely."""
        if len(self.suspects) > most:
            strongest = sorted(self.suspects, key=lambda s: (-s.score, s.service))[:most]
            self.suspects = sorted(strongest, key=lambda s: s.service)

    def settle(self) -> None:
        """All suspects are there: when each began, and how calls lead to it."""
        self.onsets = {s.service: at for s in self.suspects if (at := onset_of(s)) is not None}
        calls = tuple(call[:2] for call in self.scene.calls)
        self.ways = ways_of(calls, tuple(s.service for s in self.suspects))


class Ranker(Protocol):
    """One kind of evidence."""

    name: str
    weight: float
    """the most it adds to one suspect's score"""

    def look(self, field: Field) -> None:
        """Add evidence to suspects of `field`, or suspects to it. Deterministic."""
        ...


def later(suspect: Suspect, other: Suspect, onsets: Mapping[str, int]) -> bool:
    """Whether `suspect` clearly began after `other`; one without an onset did not."""
    at, before = onsets.get(suspect.service), onsets.get(other.service)
    if at is None or before is None:
        return False
    return at > before + LATER_MS + max(suspect.coarse, other.coarse)
