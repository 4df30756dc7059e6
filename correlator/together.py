"""What was seen together before: decaying counts of pairs of signals in incidents that have closed.

A signal is a service and a metric. Each closed incident counts its pairs once, people's merges count
more and their splits the other way. A pair's strength is

    together / (PRIOR + the larger of how often either was seen), in [0, 1]

all counts halved every `HALF_LIFE_MS`: the share of the time in which the one came with the other,
doubted as long as it is young. One incident alone proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

HALF_LIFE_MS = 7 * 86_400_000
PRIOR = 2.0
TAUGHT = 4.0
"""what people's merge or split counts, in incidents"""
MOST_SIGNALS = 24
"""of one incident that are counted, the earliest"""
MOST_PARTNERS = 16
"""of one signal that are looked for, the strongest"""
MOST_KEPT = 200
"""pairs of one signal; the weakest goes first"""
MOST_SEEN = 20_000
LEAST = 0.25
"""strength below which a pair is not worth looking at"""


class Count(msgspec.Struct, array_like=True, gc=False):
    """A decaying count as of `at_ms`; `taught` is the part people said."""

    value: float
    taught: float
    at_ms: int

    def fade(self, at_ms: int) -> None:
        """As of `at_ms`, unless that is earlier."""
        if at_ms > self.at_ms:
            share = 0.5 ** ((at_ms - self.at_ms) / HALF_LIFE_MS)
            self.value *= share
            self.taught *= share
            self.at_ms = at_ms

    def now(self, at_ms: int) -> float:
        return float(self.value * 0.5 ** (max(0, at_ms - self.at_ms) / HALF_LIFE_MS))


class Partner(msgspec.Struct, frozen=True):
    """A signal that comes along."""

    signal: str
    strength: float
    taught: bool
    """people have said so"""


class Together:
    """Mutable. Bounded: the signal not counted for longest is forgotten with its pairs, and counted."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        self.most = most
        self.evicted = 0
        self._seen: dict[str, Count] = {}  # least recently counted first
        self._pairs: dict[str, dict[str, Count]] = {}  # both ways

    def learn(self, signals: Iterable[str], at_ms: int) -> None:
        """An incident with these signals (earliest first) has closed."""
        names = list(dict.fromkeys(signals))[:MOST_SIGNALS]
        for name in names:
            self._see(name, 1.0, at_ms)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                self._pair(one, other, 1.0, 0.0, at_ms)

    def teach(self, left: Iterable[str], right: Iterable[str], weight: float, at_ms: int) -> None:
        """People say that these belong together (`weight` > 0), or do not."""
        some = list(dict.fromkeys(left))[:MOST_SIGNALS]
        others = [s for s in list(dict.fromkeys(right))[:MOST_SIGNALS] if s not in some]
        for name in (*some, *others):
            self._see(name, max(0.0, weight), at_ms)
        for one in some:
            for other in others:
                self._pair(one, other, weight, weight, at_ms)

    def partners(self, signal: str, at_ms: int) -> Sequence[Partner]:
        """What usually comes along, strongest first."""
        pairs = self._pairs.get(signal)
        if not pairs:
            return ()
        own = self._seen[signal].now(at_ms)
        found = []
        for other, count in pairs.items():
            often = max(own, self._seen[other].now(at_ms))
            strength = count.now(at_ms) / (PRIOR + often)
            if strength >= LEAST:
                found.append(Partner(other, round(min(1.0, strength), 4), count.taught > 0.0))
        return sorted(found, key=lambda p: (-p.strength, p.signal))[:MOST_PARTNERS]

    def entries(self) -> tuple[list[tuple[str, Count]], list[tuple[str, str, Count]]]:
        """Signals, least recently counted first, and pairs (each once)."""
        pairs = [(a, b, c) for a, others in self._pairs.items() for b, c in others.items() if a < b]
        return list(self._seen.items()), sorted(pairs, key=lambda p: p[:2])

    def restore(self, seen: Iterable[tuple[str, Count]], pairs: Iterable[tuple[str, str, Count]]) -> None:
        self._seen = dict(seen)
        for one, other, count in pairs:
            self._pairs.setdefault(one, {})[other] = count
            self._pairs.setdefault(other, {})[one] = count

    def _see(self, name: str, weight: float, at_ms: int) -> None:
        count = self._seen.pop(name, None) or Count(0.0, 0.0, at_ms)
        count.fade(at_ms)
        count.value += weight
        self._seen[name] = count
        if len(self._seen) > self.most:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            for other in self._pairs.pop(oldest, {}):
                del self._pairs[other][oldest]
                if not self._pairs[other]:
                    del self._pairs[other]
            self.evicted += 1

    def _pair(self, one: str, other: str, weight: float, taught: float, at_ms: int) -> None:
        pairs = self._pairs.setdefault(one, {})
        count = pairs.get(other)
        if count is None:
            count = pairs[other] = self._pairs.setdefault(other, {})[one] = Count(0.0, 0.0, at_ms)
            self._bound(one, other, at_ms)
            self._bound(other, one, at_ms)
        count.fade(at_ms)
        count.value = max(0.0, count.value + weight)
        count.taught = max(-TAUGHT, min(4 * TAUGHT, count.taught + taught))

    def _bound(self, name: str, but: str, at_ms: int) -> None:
        pairs = self._pairs.get(name, {})
        if len(pairs) > MOST_KEPT:
            weakest = min((c.now(at_ms), other) for other, c in pairs.items() if other != but)[1]
            del pairs[weakest]
            del self._pairs[weakest][name]
            if not self._pairs[weakest]:
                del self._pairs[weakest]
            self.evicted += 1
