"""How the pipeline is: workers, stages, lag; what could not be read, and the way back; any series."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from console import pipeline
from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.configuring.seriesrules import applying
from console.deadletters import MOST_DAYS, dead_of, returned
from console.exploring import RANGES, Fingerprint, judged, picks
from console.forms import form_of
from console.partitions import places
from console.seriescharts import explored, said, voices
from console.state import Shared
from streams.agents.reinject import Wanted

router = APIRouter()
MOST_PLACES = 12
"""partitions in the table, those with the largest lag"""
Text = Annotated[str, Query(max_length=200)]
ReadsAll = Annotated[Identity, Depends(needs("read", everywhere=True))]
"""raw records have no domain"""
AdminOfAll = Annotated[Identity, Depends(needs("reinject", everywhere=True))]


@router.get("/pipeline")
async def page(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """The page; its figures come by themselves."""
    return state.page(request, "pipeline.html", identity, workers=state.settings.console.workers)


@router.get("/pipeline/part")
async def part(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """Workers, stages, lags now."""
    seen = await state.watch.seen()
    found = places(seen, state.watch.at_ms)
    return state.page(
        request,
        "pipeline_part.html",
        identity,
        frame=seen,
        wrong=pipeline.wrong(seen),
        series=state.watch.series,
        places=found[:MOST_PLACES],
        most=MOST_PLACES,
        more=max(0, len(found) - MOST_PLACES),
        kafka=state.watch.kafka,
    )


@router.get("/pipeline/charts")
async def charts(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """Lag and rates of the last quarter of an hour."""
    await state.watch.seen()
    drawn = [msgspec.json.encode(one).decode() for one in pipeline.charts(list(state.watch.looks))]
    return state.page(request, "pipeline_charts.html", identity, charts=drawn)


@router.get("/pipeline/deadletters")
async def dead(
    request: Request,
    state: Shared,
    identity: ReadsAll,
    topic: Text = "",
    reason: Text = "",
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 1,
) -> HTMLResponse:
    """What could not be read, by reason, and the newest."""
    found = await dead_of(state, topic, reason, days)
    return state.page(
        request,
        "pipeline_deadletters.html",
        identity,
        counts=found.counts,
        newest=found.newest,
        topic=topic,
        reason=reason,
        days=days,
    )


@router.post("/pipeline/deadletters/reinject")
async def reinject(request: Request, state: Shared, identity: AdminOfAll) -> HTMLResponse:
    """Put back every record of a filter, whole, on the topic it came from."""
    audit("reinject")
    form = await form_of(request)
    wanted = Wanted(form.get("reason", "")[:200], form.get("topic", "")[:200], form.get("offset", "")[:300])
    days = form.get("days", "1")
    sane = days.isascii() and days.isdigit() and len(days) < 4 and 0 < int(days) <= MOST_DAYS
    done, left = await returned(state, wanted, int(days) if sane else 1)
    text = f"{done} record{'' if done == 1 else 's'} put back."
    if left:
        text += f" Left out: {'; '.join(left[:5])}"
    return state.page(request, "part_said.html", identity, text=text)


@router.get("/pipeline/series")
async def search(
    request: Request, state: Shared, identity: Reads, service: Text = "", q: Text = ""
) -> HTMLResponse:
    """Series of which samples are kept."""
    return state.page(
        request,
        "pipeline_series.html",
        identity,
        picks=await picks(state, identity, service, q, 100),
        service=service,
        q=q,
        enabled=state.settings.history.enabled,
    )


@router.get("/pipeline/series/{fingerprint}")
async def one_series(
    request: Request,
    state: Shared,
    identity: Reads,
    fingerprint: Fingerprint,
    range: Annotated[str, Query(pattern="^(15m|1h|6h|1d|3d)$")] = "1h",
    until: Annotated[int | None, Query(ge=0, le=4_102_444_800_000)] = None,
) -> HTMLResponse:
    """Values, band, score, and what each component said. Raises 404 for one of which nothing is kept."""
    answer = await judged(state, identity, fingerprint, range, until)
    found = answer.found
    spoken = voices(found, answer.begin) if found else None
    drawn = [msgspec.json.encode(one).decode() for one in explored(found, answer.begin)] if found else []
    return state.page(
        request,
        "pipeline_explore.html",
        identity,
        sources=answer.sources,
        found=found,
        charts=drawn,
        says=said(found) if found else [],
        spoken=spoken,
        multiples=[msgspec.json.encode(one).decode() for one in spoken.charts] if spoken else [],
        applying=applying(state.settings.detect, found.series) if found else None,
        wrong="",
        fingerprint=fingerprint,
        range=range,
        ranges=RANGES,
    )
