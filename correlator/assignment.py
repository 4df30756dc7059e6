"""Which team will own an incident, by past ones: shown beside the routing, never applied.

Multinomial naive Bayes over hashed signs (services, metrics, category) of incidents that have closed. Each
prediction made at opening is held against the team at closing before that incident is learned: the share that
was right is told with every prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

MOST_EXAMPLES = 2_000
LEAST_EXAMPLES = 8
"""and at least two teams: before that there is no prediction"""
EVERY = 8
"""closed incidents between two fits"""
MOST_SIGNS = 40
FEATURES = 2**12


class Example(msgspec.Struct, array_like=True, frozen=True):
    """An incident that has closed."""

    signs: tuple[str, ...]
    team: str


class Record(msgspec.Struct, array_like=True):
    """What is remembered of it."""

    examples: list[Example] = []
    fitted: int = 0
    """how many of all that were learned the present model knows"""
    learned: int = 0
    checked: int = 0
    right: int = 0


class Prediction(msgspec.Struct, frozen=True, array_like=True):
    """A team and the model's probability for it."""

    team: str
    confidence: float


NOTHING = Prediction("", 0.0)


class Assignment:
    """Mutable. The model is a function of what was learned, in order: it is the same after a restart."""

    def __init__(self, record: Record | None = None) -> None:
        self.record = record or Record()
        self._model: Any = None
        self._model_of = -1

    @property
    def accuracy(self) -> float | None:
        """Share of past predictions that were right; None while none could be checked."""
        return self.record.right / self.record.checked if self.record.checked else None

    def predict(self, signs: Sequence[str]) -> Prediction:
        """The likeliest team; nothing while too little is known."""
        model = self._fitted()
        if model is None:
            return NOTHING
        chances = model.predict_proba(_vectors([signs]))[0]
        best = int(chances.argmax())
        return Prediction(str(model.classes_[best]), round(float(chances[best]), 4))

    def learn(self, signs: Sequence[str], team: str, predicted: str) -> None:
        """An incident has closed with `team`; `predicted`: what was said when it opened, if anything."""
        record = self.record
        if not team:
            return
        if predicted:
            record.checked += 1
            record.right += predicted == team
        record.examples.append(Example(tuple(signs[:MOST_SIGNS]), team))
        # More than a model learns from, so that the present one can be made again after a restart.
        del record.examples[: -(MOST_EXAMPLES + EVERY)]
        record.learned += 1
        if record.learned - record.fitted >= EVERY or len(record.examples) == LEAST_EXAMPLES:
            record.fitted = record.learned

    def _fitted(self) -> Any:
        record = self.record
        if self._model_of == record.fitted:
            return self._model
        late = record.learned - record.fitted
        known = record.examples[: len(record.examples) - late][-MOST_EXAMPLES:]
        self._model, self._model_of = None, record.fitted
        if len(known) >= LEAST_EXAMPLES and len({one.team for one in known}) >= 2:
            from sklearn.naive_bayes import MultinomialNB

            model = MultinomialNB(alpha=0.3)
            model.fit(_vectors([one.signs for one in known]), [one.team for one in known])
            self._model = model
        return self._model


def _vectors(many: Sequence[Sequence[str]]) -> Any:
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(n_features=FEATURES, input_type="string", alternate_sign=False)
    return hasher.transform([list(signs[:MOST_SIGNS]) for signs in many])
