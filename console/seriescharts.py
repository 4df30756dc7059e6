"""A judged series as charts and sentences. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from console.plotting import plain, thinned
from detectors.explore import Explored

MOST_POINTS = 1_500


class Odd(NamedTuple):
    """One of the worst samples, and what each component said."""

    ts_ms: int
    score: float
    value: float
    text: str
    loud: list[tuple[str, float]]
    """component and bits of surprise, of those with a bit or more; the loudest first"""


def shown(found: Explored, begin: int, most: int = MOST_POINTS) -> npt.NDArray[np.intp]:
    """Places of the samples from `begin` on; of too many, the oddest of each stretch."""
    rows = np.flatnonzero(found.ts_ms >= begin)
    return thinned(rows, found.score[rows], most)


def explored(found: Explored, begin: int) -> list[dict[str, Any]]:
    """Charts of the values with what is usual, and of the score."""
    rows = shown(found, begin)
    t = found.ts_ms[rows].tolist()
    spans = [
        {
            "from": one.started_at,
            "to": one.ended_at or int(found.ts_ms[-1]),
            "text": one.summary,
            "tone": "bad",
        }
        for one in found.spans
    ]
    value = {
        "title": f"{found.service} {found.metric}",
        "unit": found.unit,
        "t": t,
        "series": [
            {"name": "value", "values": plain(found.value[rows]), "tone": "main"},
            {"name": "expected", "values": plain(found.expected[rows]), "tone": "calm", "dash": True},
        ],
        "band": {"name": "usual", "lower": plain(found.lower[rows]), "upper": plain(found.upper[rows])},
        "spans": spans,
        "sync": "series",
        "height": 260,
    }
    score = {
        "title": "Score",
        "unit": "0 to 1",
        "t": t,
        "series": [{"name": "score", "values": plain(found.score[rows]), "tone": "bad"}],
        "sync": "series",
        "height": 110,
    }
    return [value, score]


def said(found: Explored) -> list[Odd]:
    """The worst samples, highest score first."""
    places = {int(ts): at for at, ts in enumerate(found.ts_ms.tolist())}
    rows = []
    for one in found.worst:
        at = places[one.ts_ms]
        bits = sorted(zip(found.says[at].tolist(), found.components, strict=True), reverse=True)
        loud = [(name, round(value, 1)) for value, name in bits if value >= 1]
        rows.append(Odd(one.ts_ms, one.score, float(found.value[at]), one.text, loud))
    return rows
