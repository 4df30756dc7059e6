"""How the pipeline is: workers, stages, lag; what could not be read, and the way back; any series."""

from __future__ import annotations

from typing import Annotated, Any

import aiokafka
import msgspec
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse

from config.connect import kafka_options
from console import pipeline
from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.forms import form_of
from console.incident.charts import plain, thinned
from console.state import Shared, State
from console.store import Unavailable
from detectors.explore import Explored, choices, explore
from sinks import history, letters
from sinks.reader import Reader
from streams.agents.reinject import Wanted, put_back, read_letters, returns

router = APIRouter()
DAY_MS = 86_400_000
RANGES = {"15m": 15 * 60_000, "1h": 3_600_000, "6h": 6 * 3_600_000, "1d": DAY_MS, "3d": 3 * DAY_MS}
MOST_POINTS = 1_500
MOST_BACK = 100_000
"""dead letters put back at once"""
Text = Annotated[str, Query(max_length=200)]
Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Admin = Annotated[Identity, Depends(needs("reinject"))]


@router.get("/pipeline")
async def page(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """The page; its figures come by themselves."""
    return state.page(request, "pipeline.html", identity, workers=state.settings.console.workers)


@router.get("/pipeline/part")
async def part(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """Workers, stages, lags now."""
    seen = await state.watch.seen()
    return state.page(
        request,
        "pipeline_part.html",
        identity,
        frame=seen,
        wrong=pipeline.wrong(seen),
        series=state.watch.series,
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
    identity: Reads,
    topic: Text = "",
    reason: Text = "",
    days: Annotated[int, Query(ge=1, le=90)] = 1,
) -> HTMLResponse:
    """What could not be read, by reason, and the newest."""
    since = state.clock() - days * DAY_MS

    def ask(reader: Reader) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return letters.counts(reader, since), letters.newest(reader, since, topic, reason)

    counts, newest = await state.store.ask(ask)
    return state.page(
        request,
        "pipeline_deadletters.html",
        identity,
        counts=counts,
        newest=newest,
        topic=topic,
        reason=reason,
        days=days,
    )


@router.post("/pipeline/deadletters/reinject")
async def reinject(request: Request, state: Shared, identity: Admin) -> HTMLResponse:
    """Put back every record of a filter, whole, on the topic it came from."""
    audit("reinject")
    form = await form_of(request)
    wanted = Wanted(form.get("reason", "")[:200], form.get("topic", "")[:200], form.get("offset", "")[:300])
    days = form.get("days", "1")
    said = {"topic": wanted.topic, "reason": wanted.reason, "offset": wanted.offset, "days": days}
    what = "; ".join(f"{name}={value}" for name, value in said.items() if value)
    audit(target=wanted.topic, what=what)
    since = state.clock() - (int(days) if days.isdigit() and 0 < int(days) <= 90 else 1) * DAY_MS
    done, left = await returned(state, wanted, since)
    audit(what=f"{what}; {done} put back")
    text = f"{done} record{'' if done == 1 else 's'} put back."
    if left:
        text += f" Left out: {'; '.join(left[:5])}"
    return state.page(request, "part_said.html", identity, text=text)


async def returned(state: State, wanted: Wanted, since_ms: int) -> tuple[int, list[str]]:
    """How many records are back on their topics, and why others are not. Raises `Unavailable`."""
    kafka, topic = state.settings.kafka, state.settings.topics.deadletters
    try:
        consumer = aiokafka.AIOKafkaConsumer(**kafka_options(kafka), enable_auto_commit=False)
        await consumer.start()
        try:
            await consumer.topics()
            homes = [
                aiokafka.TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic) or ())
            ]
            found = await read_letters(consumer, homes, wanted, since_ms, MOST_BACK) if homes else None
        finally:
            await consumer.stop()
        if found is None:
            raise HTTPException(404, f"Kafka has no topic {topic}")
        back, left = returns(found.letters)
        return (await put_back(kafka, back) if back else 0), left
    except (KafkaError, OSError) as error:
        raise Unavailable("Kafka", f"{type(error).__name__}: {error}") from error


@router.get("/pipeline/series")
async def search(
    request: Request, state: Shared, identity: Reads, service: Text = "", q: Text = ""
) -> HTMLResponse:
    """Series of which samples are kept."""
    domains = identity.domains or None
    found = await state.store.ask(
        lambda reader: history.series_like(reader, service, "", q, 100, domains=domains)
    )
    picks = [(row, choices(row.series)) for row in found]
    return state.page(
        request,
        "pipeline_series.html",
        identity,
        picks=picks,
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
    end = until if until is not None else state.clock()
    begin = end - RANGES[range]
    domains = identity.domains or None

    def ask(reader: Reader) -> tuple[list[history.SeriesRow], Explored | None]:
        sources = history.source_of(reader, fingerprint, domains)
        raw = history.raw_of(reader, fingerprint, begin - RANGES["1h"], end, domains)
        return sources, explore(raw, fingerprint, state.settings.detect) if sources else None

    sources, found = await state.store.ask(ask)
    if not sources:
        raise HTTPException(404, f"no samples of series {fingerprint} are kept, see history in the settings")
    drawn = [msgspec.json.encode(one).decode() for one in explored(found, begin)] if found else []
    return state.page(
        request,
        "pipeline_explore.html",
        identity,
        sources=sources,
        found=found,
        charts=drawn,
        says=said(found) if found else [],
        fingerprint=fingerprint,
        range=range,
        ranges=RANGES,
    )


def explored(found: Explored, begin: int) -> list[dict[str, Any]]:
    """Charts of the values with what is usual, and of the score."""
    rows = (found.ts_ms >= begin).nonzero()[0]
    if len(rows) > MOST_POINTS:
        rows = thinned(rows, found.score[rows], MOST_POINTS)
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


def said(found: Explored) -> list[dict[str, Any]]:
    """Of the worst samples, what each component said: bits of surprise, the loudest first."""
    places = {int(ts): at for at, ts in enumerate(found.ts_ms.tolist())}
    rows = []
    for one in found.worst:
        at = places[one.ts_ms]
        bits = sorted(zip(found.says[at].tolist(), found.components, strict=True), reverse=True)
        loud = [(name, round(value, 1)) for value, name in bits if value >= 1]
        value = float(found.value[at])
        rows.append({"ts_ms": one.ts_ms, "score": one.score, "text": one.text, "value": value, "loud": loud})
    return rows
