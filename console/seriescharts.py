"""A judged series as charts and sentences. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from console.plotting import plain, thinned
from detectors.explore import Explored

MOST_POINTS = 1_500
LOUD_BITS = 8.0
"""one sample in 256 is as odd: a component that never was so says nothing worth a picture"""
MOST_ROWS = 100
"""of the table of components"""


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


class Voices(NamedTuple):
    """What each component said over the time shown, in bits of surprise."""

    charts: list[dict[str, Any]]
    """of those that were loud, the loudest first, on one scale"""
    quiet: list[tuple[str, float]]
    """the others, with the most they said"""
    names: list[str]
    """columns of `rows`: components of `charts`"""
    rows: list[tuple[int, list[float]]]
    """ms UTC and bits, in order of time; of many, the loudest of each stretch"""


def voices(found: Explored, begin: int) -> Voices:
    """Small multiples on the time of the main chart, and the same as a table."""
    rows = shown(found, begin)
    says = np.nan_to_num(found.says[rows])
    if not len(rows):
        return Voices([], [], [], [])
    most = says.max(axis=0)
    order = sorted(range(len(most)), key=lambda at: (-most[at], at))
    loud = [at for at in order if most[at] >= LOUD_BITS]
    t = found.ts_ms[rows].tolist()
    charts = [
        {
            "title": found.components[at],
            "unit": f"at most {most[at]:.1f} bits",
            "t": t,
            "series": [
                {"name": "bits", "values": plain(says[:, at]), "tone": "main"},
                {"name": "8 bits", "values": [LOUD_BITS] * len(t), "tone": "calm", "dash": True},
            ],
            "sync": "series",
            "height": 118 if at == loud[-1] else 74,
            "compact": True,
            "foot": at == loud[-1],
            "scale": [0, float(most[loud[0]])],
        }
        for at in loud
    ]
    told = thinned(np.arange(len(rows)), says.max(axis=1), MOST_ROWS)
    table = [(t[row], [round(float(says[row, at]), 1) for at in loud]) for row in told] if loud else []
    quiet = [(found.components[at], float(most[at])) for at in order if at not in loud]
    return Voices(charts, quiet, [found.components[at] for at in loud], table)


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
