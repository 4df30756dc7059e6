"""Incidents that have closed, and which of them an incident is like.

Two incidents are as similar as the cosine of their symptoms, each weighted by its form and its inverse
document frequency among the incidents that had closed by then: what every incident shows is no likeness. The
candidates come from scikit-learn's nearest neighbours over hashed symptom vectors, unweighted by rarity, so
that the vectors stay what they are; the few that are near are then compared exactly.

An incident is held against what had closed *before it opened*, so that it finds the same whenever it is
looked at again. Bounded: the incident that closed longest ago is forgotten first, and counted.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from correlator.past import Past
from correlator.symptoms import weight

MOST_PAST = 5_000
BUCKETS = 1 << 12
NEAR = 0.2
"""plain cosine from which on an incident is looked at"""
RADIUS = math.sqrt(2 - 2 * NEAR)
"""the distance of two vectors of length 1 with that cosine"""
FEW = 16
"""incidents that are looked at without asking how near they are"""
MOST_NEAR = 64
"""incidents compared exactly"""


Entry = tuple[Past, list[int]]


class Near(NamedTuple):
    """A past incident, and how far it is alike."""

    past: Past
    similarity: float
    shared: tuple[str, ...]
    """symptoms both have, those that say most first"""


class PastBook:
    """Mutable; a function of the incidents put in, in their order."""

    def __init__(self, most: int = MOST_PAST) -> None:
        self.most = most
        self.evicted = 0
        self.next = 1
        """number of the incident that closes next"""
        self._by_id: dict[str, Past] = {}  # oldest first
        self._numbers: dict[str, list[int]] = {}  # symptom -> numbers of those that show it, rising
        self._by_signature: dict[str, dict[str, Past]] = {}
        self._rows: dict[int, tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]] = {}
        self._fitted: tuple[int, list[Past], Any] | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> Past | None:
        return self._by_id.get(id)

    def add(self, past: Past) -> None:
        """One more has closed; its number is `next`."""
        self.next = past.number + 1
        self._by_id[past.id] = past
        self._by_signature.setdefault(past.signature, {})[past.id] = past
        for symptom in past.symptoms:
            self._numbers.setdefault(symptom, []).append(past.number)
        if len(self._by_id) > self.most:
            self._forget(next(iter(self._by_id.values())))
            self.evicted += 1

    def alike(self, signature: str) -> list[Past]:
        """Those with this signature, in the order of closing."""
        return list(self._by_signature.get(signature, {}).values())

    def nearest(self, symptoms: Sequence[str], domain: str, seen: int) -> list[Near]:
        """Those with a number below `seen` that are near, most similar first, then the newest."""
        first = self.next - len(self._by_id)
        close = [p for p in self._close(symptoms, first) if p.number < seen and p.domain == domain]
        if len(close) > MOST_NEAR:
            # What people have found out is worth more than one more incident that is as near.
            close.sort(key=lambda p: (-_plain(symptoms, p.symptoms), p.finding is None, -p.number))
        rarity = _Rarity(self._numbers, first, seen)
        found = [_compare(symptoms, past, rarity) for past in close[:MOST_NEAR]]
        return sorted(found, key=lambda near: (-near.similarity, -near.past.number))

    def entries(self) -> tuple[list[str], list[Entry]]:
        """Every symptom once, and the incidents, oldest first, with the indices of theirs."""
        numbers = {symptom: index for index, symptom in enumerate(sorted(self._numbers))}
        return list(numbers), [
            (msgspec.structs.replace(past, symptoms=()), [numbers[s] for s in past.symptoms])
            for past in self._by_id.values()
        ]

    def restore(self, symptoms: Sequence[str], entries: Iterable[Entry]) -> None:
        for past, indices in entries:
            past.symptoms = tuple(symptoms[index] for index in indices)
            self.add(past)

    def _forget(self, past: Past) -> None:
        del self._by_id[past.id]
        self._rows.pop(past.number, None)
        of_kind = self._by_signature[past.signature]
        del of_kind[past.id]
        if not of_kind:
            del self._by_signature[past.signature]
        for symptom in past.symptoms:
            numbers = self._numbers[symptom]
            del numbers[0]
            if not numbers:
                del self._numbers[symptom]

    def _close(self, symptoms: Sequence[str], first: int) -> list[Past]:
        """Those worth a closer look: all that share a symptom while these are few, else the near ones."""
        few: set[int] = set()
        for symptom in symptoms:
            few.update(self._numbers.get(symptom, ()))
            if len(few) > FEW:
                return self._near(symptoms)
        if not few:
            return []
        all = list(self._by_id.values())
        return [all[number - first] for number in sorted(few)]

    def _near(self, symptoms: Sequence[str]) -> list[Past]:
        from scipy.sparse import csr_matrix
        from sklearn import config_context

        if self._fitted is None or self._fitted[0] != self.next:
            self._fitted = self._fit()
        _, rows, model = self._fitted
        indices, values = _vector(symptoms)
        query = csr_matrix((values, indices, [0, len(indices)]), shape=(1, BUCKETS))
        with config_context(assume_finite=True, skip_parameter_validation=True):
            (found,) = model.radius_neighbors(query, radius=RADIUS, return_distance=False)
        return [rows[index] for index in sorted(found.tolist())]

    def _fit(self) -> tuple[int, list[Past], Any]:
        from scipy.sparse import csr_matrix
        from sklearn.neighbors import NearestNeighbors

        rows = [past for past in self._by_id.values() if past.symptoms]
        for past in rows:
            if past.number not in self._rows:
                self._rows[past.number] = _vector(past.symptoms)
        vectors = [self._rows[past.number] for past in rows]
        ends = np.cumsum([0, *(len(indices) for indices, _ in vectors)])
        matrix = csr_matrix(
            (np.concatenate([v for _, v in vectors]), np.concatenate([i for i, _ in vectors]), ends),
            shape=(len(rows), BUCKETS),
        )
        return self.next, rows, NearestNeighbors(algorithm="brute").fit(matrix)


class _Rarity:
    """Squared weight of a symptom: its form's, times its inverse document frequency before `seen`."""

    def __init__(self, numbers: dict[str, list[int]], first: int, seen: int) -> None:
        self._numbers = numbers
        self._seen = seen
        self._all = seen - first
        self._known: dict[str, float] = {}

    def __call__(self, symptom: str) -> float:
        found = self._known.get(symptom)
        if found is None:
            often = bisect_left(self._numbers.get(symptom, ()), self._seen)
            idf = math.log((1 + self._all) / (1 + often)) + 1.0
            found = self._known[symptom] = (weight(symptom) * idf) ** 2
        return found


def _compare(symptoms: Sequence[str], past: Past, rarity: _Rarity) -> Near:
    theirs = set(past.symptoms)
    shared = [s for s in symptoms if s in theirs]
    both = sum(map(rarity, shared))
    norm = math.sqrt(sum(map(rarity, symptoms)) * sum(map(rarity, past.symptoms)))
    shared.sort(key=lambda s: (-rarity(s), s))
    return Near(past, round(both / norm, 2) if norm else 0.0, tuple(shared))


def _plain(one: Sequence[str], other: Sequence[str]) -> float:
    """Cosine of two sets of symptoms without rarity, exactly the same on every machine."""
    theirs = set(other)
    both = sum(weight(s) ** 2 for s in one if s in theirs)
    norm = math.sqrt(sum(weight(s) ** 2 for s in one) * sum(weight(s) ** 2 for s in other))
    return round(both / norm, 6) if norm else 0.0


def _vector(symptoms: Iterable[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Buckets, rising, and their values, of length 1 together."""
    found: dict[int, float] = {}
    for symptom in symptoms:
        bucket = zlib.crc32(symptom.encode("utf-8", "surrogatepass")) % BUCKETS
        found[bucket] = found.get(bucket, 0.0) + weight(symptom)
    buckets = sorted(found)
    values = np.array([found[bucket] for bucket in buckets])
    return np.array(buckets, dtype=np.int32), values / np.sqrt(np.dot(values, values))
