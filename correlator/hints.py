"""Root-cause hints: candidate services, scored by checkable evidence with fixed weights.

Candidates are the services with alerts, those their alerts point to, and those just changed. Rankers
(`correlator.rankers`) add evidence, each its own kind with its own shipped weight; a service whose slowness
or failures a callee in trouble explains keeps only part of the sum, so that the deepest one on the suspected
path leads; its own resources and its silence no callee explains. A suspect's share is its squared score over
all squared scores and a constant for what nobody has thought of: when the evidence is thin, most of it goes
to "unknown". `correlator.confidence` makes a confidence of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from correlator import confidence
from correlator.incident import Hint
from correlator.rankers.order import Changed, OnsetOrder
from correlator.rankers.own import OwnSignals, Remembered
from correlator.rankers.place import Dependents, FailingCalls, SharedCallee
from correlator.rankers.protocol import Field, Known, Ranker, Scene, Ways, later
from correlator.rankers.walk import RandomWalk
from correlator.signs import Signs
from correlator.suspect import BRIEF, Suspect

__all__ = ["RANKERS", "Known", "Scene", "rank"]

WALK = 0.0
"""what measurement supports, see docs/quality.md: nothing gained that is not lost elsewhere, so it is off"""
FIRST: tuple[Ranker, ...] = (OwnSignals(), Changed(), Remembered())
"""what each suspect says of itself"""
CLOSER: tuple[Ranker, ...] = (OnsetOrder(), Dependents(), FailingCalls(), RandomWalk(WALK))
"""how they stand to each other, of the strongest"""
SHARED: Ranker = SharedCallee()
"""may add suspects, between the two"""
RANKERS: tuple[Ranker, ...] = (*FIRST, SHARED, *CLOSER)
"""in the order in which they look"""
IMPATIENT_S = 1.0
"""a callee slower by less than this, in seconds, makes nobody fail"""
EXPLAINED = 0.45
"""what remains of a service's slowness and failures when a callee in trouble explains them"""
UNKNOWN = 0.20
"""score of the cause nobody has thought of"""
LEAST_SCORE = 0.10
LEAST_SHARE = 0.05
MOST_SUSPECTS = 30
"""looked at more closely: their order, and who depends on whom"""
MOST_HINTS = 5
MOST_EVIDENCE = 8


def rank(scene: Scene, signs: Signs | None = None, without: Collection[str] = ()) -> tuple[Hint, ...]:
    """Hints, best first; empty when nothing deserves suspicion.

    `signs`: what was kept of the same group; brought up to date. `without`: names of rankers left out.
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
    field = Field(scene, suspects)
    for ranker in FIRST:
        if ranker.name not in without:
            ranker.look(field)
    field.keep(MOST_SUSPECTS)
    if SHARED.name not in without:
        SHARED.look(field)
    field.settle()
    for ranker in CLOSER:
        if ranker.name not in without:
            ranker.look(field)
    scores = {}
    for suspect in field.suspects:
        remains = _unexplained(suspect, field.suspects, field.onsets, field.ways)
        scores[suspect.service] = suspect.kept + (suspect.score - suspect.kept) * remains
    return _hints(field.suspects, scores)


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
        if other.score >= 0.5 * suspect.score and not later(other, suspect, onsets):
            return EXPLAINED
    return 1.0


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
