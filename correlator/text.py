"""Similar wording: TF-IDF over hashed words, for what people and programs say in words.

Log templates and alerts of other systems count; what Tocsin itself says of a metric is the same
sentence for every series and counts for nothing. Words are letters only (numbers, ids and addresses
differ each time), hashed with CRC-32 into `BUCKETS` numbers, as in Weinberger et al., "Feature Hashing
for Large Scale Multitask Learning" (2009). A word weighs its inverse document frequency among the
newest alerts; two texts are as similar as the cosine of their weighted words, times how rare the words
are that they share: what every alert says is no likeness.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from detectors.alert import Alert

KINDS = frozenset(("log", "external", "probe", "manual"))
"""alerts that speak"""
BUCKETS = 1 << 16
MOST_WORDS = 32
"""of one text"""
MOST_GROUP_WORDS = 256
PRIOR = 10
"""texts assumed to have been seen with every word: of the first few, nothing is rare"""
MOST_DOCUMENTS = 20_000
"""texts after which all counts are halved"""
RARE = 0.05
"""share of texts up to which a word is worth looking for"""
MOST_RARE = 4
_WORD = re.compile(r"[^\W\d_]{3,}")


@lru_cache(maxsize=10_000)
def hashed(text: str) -> tuple[int, ...]:
    """Distinct words as numbers below `BUCKETS`, sorted."""
    words = dict.fromkeys(_WORD.findall(text.lower()))
    return tuple(sorted({zlib.crc32(w.encode()) % BUCKETS for w in list(words)[:MOST_WORDS]}))


def words_of(alert: Alert) -> tuple[int, ...]:
    """Of its template, or of its name and summary; its service's name is left out."""
    if alert.kind not in KINDS:
        return ()
    text = alert.metric if alert.kind == "log" else f"{alert.metric} {alert.summary}"
    return hashed(text.replace(alert.service, " ") if alert.service else text)


class Frequencies:
    """In how many of the newest texts each word occurs. Bounded by `BUCKETS`."""

    def __init__(self) -> None:
        self.documents = 0
        self._counts: dict[int, int] = {}

    def observe(self, words: Iterable[int]) -> None:
        """One more text."""
        counts = self._counts
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        self.documents += 1
        if self.documents >= MOST_DOCUMENTS:
            self.documents //= 2
            self._counts = {word: count // 2 for word, count in counts.items() if count > 1}

    def share(self, word: int) -> float:
        """Of all texts, and of `PRIOR` that hold every word."""
        return (self._counts.get(word, 0) + PRIOR) / (self.documents + PRIOR)

    def rare(self, words: Sequence[int]) -> list[int]:
        """The rarest words worth looking for, rarest first."""
        found = [(share, word) for word in words if (share := self.share(word)) <= RARE]
        return [word for _, word in sorted(found)[:MOST_RARE]]

    def likeness(self, words: Sequence[int], held: Mapping[int, int]) -> float:
        """Similarity of a text to a group's texts, in [0, 1]. `held`: word -> texts that hold it."""
        both = [word for word in words if word in held]
        if not both:
            return 0.0
        idf = {word: math.log(1.0 / self.share(word)) for word in dict.fromkeys((*words, *held))}
        dot = sum(idf[w] ** 2 * held[w] for w in both)
        norm = math.sqrt(sum(idf[w] ** 2 for w in words) * sum((idf[w] * n) ** 2 for w, n in held.items()))
        rarity = sum(1.0 - self.share(w) for w in both) / len(both)
        return rarity * dot / norm if norm > 0.0 else 0.0

    def entries(self) -> tuple[int, list[tuple[int, int]]]:
        """Documents, and counts by word, sorted."""
        return self.documents, sorted(self._counts.items())

    def restore(self, documents: int, counts: Iterable[tuple[int, int]]) -> None:
        self.documents = documents
        self._counts = dict(counts)
