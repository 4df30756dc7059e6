"""The live bank over the series of a table."""

from __future__ import annotations

import numpy as np

from cli.columns import NO_TIME
from cli.samples import Chunk, Name
from config.settings import Detect
from detectors import scorer
from detectors.scorer import Figures, Scored
from streams.records.digest import fingerprint
from streams.records.pages import Series

__all__ = ["Scored", "Scorer"]


class Scorer(scorer.Scorer):
    """Series by the columns of a table.

    The description of a series is `service`, `metric` and `unit` of the table, if it has them, and the label
    `series`: that is what the rules of the configuration match.
    """

    def __init__(self, config: Detect) -> None:
        super().__init__(config)
        self._place: dict[Name, int] = {}

    def score(self, chunk: Chunk) -> Figures:
        """Figures of a chunk's rows, in its order. Rows without a time are left out, counted."""
        places = np.array([self._named(name) for name in chunk.names], np.int64)
        return self.judge(places, chunk.ts, chunk.values, chunk.ts != NO_TIME)[0]

    def _named(self, name: Name) -> int:
        known = self._place.get(name)
        if known is None:
            text, service, metric, unit = name
            labels = (("series", text),) if text or not metric else ()
            series = Series(fingerprint(service, metric, labels), service, metric, labels, unit)
            shown = " ".join(part for part in (service, metric, text) if part)
            known = self._place[name] = self.place_of(series, shown)
        return known
