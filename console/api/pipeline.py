"""How the pipeline is, and its dead letters, for programs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from console import pipeline
from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.deadletters import MOST_DAYS, dead_of, returned
from console.funnel import funnel_of
from console.partitions import address_of, places
from console.state import Shared
from streams.agents.reinject import Wanted

router = APIRouter(tags=["pipeline"])
Text = Annotated[str, Query(max_length=200)]
ReadsAll = Annotated[Identity, Depends(needs("read", everywhere=True))]
"""raw records have no domain"""
AdminOfAll = Annotated[Identity, Depends(needs("reinject", everywhere=True))]


class Worker(BaseModel):
    address: str
    state: Literal["ready", "not ready", "does not answer"]
    reasons: list[str]
    """why it is not ready, or does not answer"""


class Stage(BaseModel):
    """Over all workers; null: not known yet, or not of this stage."""

    name: str
    partitions: int
    records_per_s: float | None
    rows_per_s: float | None
    lag: int
    """records"""
    behind_s: float | None
    """event time decided, behind the clock; the worst partition"""
    p50_s: float | None
    """from a record's time until its effect is safe"""
    p99_s: float | None
    unsaved_s: float | None
    queued: int
    in_flight: int


class Partition(BaseModel):
    worker: str
    """its address; empty: no worker answers, the lag is Kafka's"""
    stage: str
    topic: str
    partition: int
    lag: int
    watermark_at: int | None
    """ms UTC, event time up to which all is decided; null: none there"""
    behind_ms: int | None
    committed: int | None
    """offset, where the lag is Kafka's"""


class LeftOut(BaseModel):
    what: str
    """dead letters, late rows, dropped rows, evictions, sink retries"""
    stage: str
    which: str
    per_s: float | None
    total: int
    """since the workers started"""


class Funnel(BaseModel):
    """Of the last 24 hours; times are ms UTC."""

    since: int
    until: int
    samples: int
    alerts: int
    suppressed: int
    incidents: int
    reduction: float | None


class Pipeline(BaseModel):
    at_ms: int
    """when the workers were asked"""
    wrong: list[str]
    """what is wrong and what to do, the worst first"""
    series: int
    """watched by the detectors"""
    workers: list[Worker]
    stages: list[Stage]
    lag_from: Literal["workers", "kafka"]
    lag_trouble: str
    """why Kafka, asked in place of the workers, says nothing"""
    partitions_total: int
    partitions: list[Partition]
    """largest lag first"""
    left_out: list[LeftOut]
    funnel: Funnel | None
    """null: one may not see all domains, or ClickHouse does not answer"""


@router.get("/pipeline")
async def pipeline_now(
    state: Shared, identity: Reads, most: Annotated[int, Query(ge=1, le=10_000)] = 1_000
) -> Pipeline:
    """Workers, stages, lag, watermarks, and what was left out, as on the page."""
    seen = await state.watch.seen()
    kafka, at_ms = state.watch.kafka, state.watch.at_ms
    now_ms = state.clock()
    partitions = [
        Partition(
            worker=one.worker,
            stage=one.stage,
            topic=one.topic,
            partition=one.partition,
            lag=one.lag,
            watermark_at=one.watermark_ms,
            behind_ms=None if one.watermark_ms is None else now_ms - one.watermark_ms,
            committed=None,
        )
        for one in places(seen, at_ms)
    ]
    if kafka is not None:
        partitions += [
            Partition(worker="", watermark_at=None, behind_ms=None, **one._asdict()) for one in kafka.rows
        ]
    counted = await funnel_of(state, identity, now_ms)
    return Pipeline(
        at_ms=at_ms,
        wrong=pipeline.wrong(seen),
        series=state.watch.series,
        workers=[
            Worker(
                address=address_of(one.url),
                state="does not answer" if one.now is None else "not ready" if one.reasons else "ready",
                reasons=[one.error] if one.now is None else list(one.reasons),
            )
            for one in seen.workers
        ],
        stages=[
            Stage(
                name=row.name,
                partitions=row.partitions,
                records_per_s=row.records,
                rows_per_s=row.rows,
                lag=row.lag,
                behind_s=row.delay_s,
                p50_s=row.p50_s,
                p99_s=row.p99_s,
                unsaved_s=row.checkpoint_s,
                queued=row.queued,
                in_flight=row.in_flight,
            )
            for row in seen.stages
        ],
        lag_from="workers" if kafka is None else "kafka",
        lag_trouble=kafka.trouble if kafka is not None else "",
        partitions_total=len(partitions),
        partitions=partitions[:most],
        left_out=[
            LeftOut(what=what, stage=stage, which=which, per_s=rate, total=int(total))
            for what, stage, which, rate, total in seen.trouble
        ],
        funnel=Funnel(**counted._asdict()) if counted is not None else None,
    )


class Reason(BaseModel):
    topic: str
    reason: str
    n: int
    last_at: int


class DeadLetter(BaseModel):
    """A record that could not be used, or not wholly; times are ms UTC."""

    topic: str
    partition: int
    offset: int
    at: int
    reason: str
    detail: str
    preview: str
    """its first bytes"""
    value_bytes: int
    rows: int
    """of it that were refused"""


class DeadLetters(BaseModel):
    total: int
    """of the filter"""
    reasons: list[Reason]
    """counts by topic and reason, whatever the filter"""
    letters: list[DeadLetter]
    """newest first"""


@router.get("/deadletters")
async def dead_letters(
    state: Shared,
    identity: ReadsAll,
    topic: Text = "",
    reason: Text = "",
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 1,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    most: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> DeadLetters:
    """What could not be read in the last days, by reason, and the newest."""
    found = await dead_of(state, topic, reason, days, offset, most)
    return DeadLetters(
        total=found.total,
        reasons=[Reason(**row) for row in found.counts],
        letters=[DeadLetter(**row) for row in found.newest],
    )


class Again(BaseModel):
    """Which dead letters; a field left out means any."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[str, Field(max_length=200)] = ""
    """they came from"""
    reason: Annotated[str, Field(max_length=200)] = ""
    place: Annotated[str, Field(max_length=300)] = ""
    """topic/partition/offset of one record"""
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 1
    """how far back"""


class PutBack(BaseModel):
    put_back: int
    left_out: int
    why: list[str]
    """of those left out, the first hundred"""


@router.post("/deadletters/reinject", responses={404: {"description": "Kafka has no topic of dead letters"}})
async def reinject(asked: Again, state: Shared, identity: AdminOfAll) -> PutBack:
    """Put back every record of a filter, whole, on the topic it came from, where it is read once more."""
    audit("reinject")
    done, left = await returned(state, Wanted(asked.reason, asked.topic, asked.place), asked.days)
    return PutBack(put_back=done, left_out=len(left), why=left[:100])
