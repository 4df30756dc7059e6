"""Series of the history for programs: found by words, and judged once more."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from console.access.guard import Reads
from console.api.pipeline import Text
from console.exploring import Fingerprint, judged, picks
from console.pages.analytics import At
from console.plotting import plain
from console.seriescharts import MOST_POINTS, said, shown
from console.state import Shared
from sinks.history import SeriesRow

router = APIRouter(tags=["pipeline"])
NOT_KEPT: dict[int | str, dict[str, Any]] = {
    404: {"description": "nothing of it is kept, or it is of a domain one may not see"}
}


class Sent(BaseModel):
    """A series as it was sent; times are ms UTC."""

    fingerprint: str
    service: str
    metric: str
    kind: Literal["gauge", "counter", "delta", "histogram", "histogram_delta"]
    unit: str
    instance: str
    domain: str
    labels: dict[str, str]
    first_seen: int
    last_seen: int


class Choice(BaseModel):
    fingerprint: str
    metric: str


class Found(Sent):
    judged_as: list[Choice]
    """what detectors make of it, the best first: fingerprints to ask for"""


class Series(BaseModel):
    enabled: bool
    """false: no samples are kept (history.enabled)"""
    series: list[Found]


@router.get("/series")
async def search(
    state: Shared,
    identity: Reads,
    service: Text = "",
    q: Text = "",
    most: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Series:
    """Series of which samples are kept, the most recently seen first. `q`: words of names and labels."""
    found = await picks(state, identity, service, q, most)
    return Series(
        enabled=state.settings.history.enabled,
        series=[
            Found(
                **_sent(row),
                judged_as=[Choice(fingerprint=fp, metric=metric) for fp, metric in choices],
            )
            for row, choices in found
        ],
    )


class Span(BaseModel):
    """An alert."""

    started_at: int
    fired_at: int
    ended_at: int | None
    severity: str
    summary: str


class Spoke(BaseModel):
    component: str
    bits: float


class Odd(BaseModel):
    ts_ms: int
    score: float
    value: float | None
    text: str
    loud: list[Spoke]
    """components with a bit or more"""


class Component(BaseModel):
    name: str
    bits: list[float | None]
    """of surprise; 8 bits: one sample in 256 is as odd"""


class Judged(BaseModel):
    """Lists are parallel, in order of time; null: not known, or no limit."""

    metric: str
    unit: str
    labels: dict[str, str]
    samples: int
    """in this time; of more than `most` the oddest of each stretch is given"""
    t: list[int]
    """ms UTC"""
    value: list[float | None]
    expected: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    score: list[float | None]
    warming: list[bool]
    """it was being learned and nothing was said"""
    components: list[Component]
    spans: list[Span]
    odd: list[Odd]
    """worst first"""


class One(BaseModel):
    fingerprint: str
    since: int
    until: int
    sources: list[Sent]
    """several where a figure is of many label sets together"""
    judged: Judged | None
    """null: there is no sample in this time"""


@router.get("/series/{fingerprint}", responses=NOT_KEPT)
async def one_series(
    state: Shared,
    identity: Reads,
    fingerprint: Fingerprint,
    range: Literal["15m", "1h", "6h", "1d", "3d"] = "1h",
    until: At = None,
    most: Annotated[int, Query(ge=2, le=20_000)] = MOST_POINTS,
) -> One:
    """Values, band and score, and what each component said, judged again by the code that runs live."""
    answer = await judged(state, identity, fingerprint, range, until)
    found = answer.found
    one = None
    if found is not None:
        rows = shown(found, answer.begin, most)
        one = Judged(
            metric=found.metric,
            unit=found.unit,
            labels=dict(found.labels),
            samples=int((found.ts_ms >= answer.begin).sum()),
            t=found.ts_ms[rows].tolist(),
            value=plain(found.value[rows]),
            expected=plain(found.expected[rows]),
            lower=plain(found.lower[rows]),
            upper=plain(found.upper[rows]),
            score=plain(found.score[rows]),
            warming=found.warming[rows].tolist(),
            components=[
                Component(name=name, bits=plain(found.says[rows, at]))
                for at, name in enumerate(found.components)
            ],
            spans=[
                Span(
                    started_at=span.started_at,
                    fired_at=span.fired_at,
                    ended_at=span.ended_at,
                    severity=span.severity,
                    summary=span.summary,
                )
                for span in found.spans
            ],
            odd=[
                Odd(
                    ts_ms=each.ts_ms,
                    score=each.score,
                    value=each.value,
                    text=each.text,
                    loud=[Spoke(component=name, bits=bits) for name, bits in each.loud],
                )
                for each in said(found)
            ],
        )
    return One(
        fingerprint=fingerprint,
        since=answer.begin,
        until=answer.end,
        sources=[Sent(**_sent(row)) for row in answer.sources],
        judged=one,
    )


def _sent(row: SeriesRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Sent.model_fields}
