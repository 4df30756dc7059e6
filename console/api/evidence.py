"""What an incident rests on, for programs: its timeline, its map, its signals."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel

from console.access.guard import Reads
from console.api.incidents import ERRORS, Id
from console.configuring.known import Knows
from console.gathering import charts_of, map_of
from console.incident.charts import AT_ONCE
from console.incident.course import Entry, course
from console.pages.incident import material_for
from console.state import Shared

router = APIRouter(tags=["incidents"])


class Happened(BaseModel):
    """One line of a timeline; times are ms UTC."""

    at_ms: int
    kind: Literal["alert", "log", "change", "action", "state", "notification", "deadline", "audit"]
    text: str
    service: str
    ref: str
    """id of the alert or change; empty: there is none"""
    over: bool
    """an alert that ended"""


class Timeline(BaseModel):
    total: int
    entries: list[Happened]


@router.get("/incidents/{id}/timeline", responses=ERRORS)
async def timeline(
    id: Id,
    state: Shared,
    identity: Reads,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    most: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
) -> Timeline:
    """Everything that happened, in order; bursts are not folded."""
    entries: list[Entry] = []
    for entry in course(await material_for(state, identity, id)):
        entries += entry.inner or (entry,)
    entries.sort(key=lambda entry: entry.at_ms)
    shown = entries[offset : offset + most]
    fields = Happened.model_fields
    return Timeline(
        total=len(entries),
        entries=[Happened(**{name: getattr(entry, name) for name in fields}) for entry in shown],
    )


class Node(BaseModel):
    id: str
    role: Literal["suspected cause", "affected", "on the way"]
    onset_ms: int | None
    signal: str
    alerts: int


class Call(BaseModel):
    caller: str
    callee: str
    failed: float | None
    """share of calls"""
    per_minute: float | None
    source: Literal["both", "declared", "seen"]
    suspect: bool
    """on the suspected path"""


class Map(BaseModel):
    nodes: list[Node]
    calls: list[Call]
    path: list[str]
    """from where it hurts to the suspected cause"""
    left_out: int
    """services beyond the most that are given"""


@router.get("/incidents/{id}/map", responses=ERRORS)
async def service_map(id: Id, state: Shared, identity: Reads, knows: Knows) -> Map:
    """Services of an incident and the calls between them, with onsets and the suspected path."""
    drawn, _ = await map_of(state, identity, knows, id)
    return Map(**msgspec.to_builtins(drawn))


class Signal(BaseModel):
    """An alert with numbers and, where samples are kept, its series around it."""

    alert: str
    service: str
    metric: str
    kind: str
    severity: str
    unit: str
    summary: str
    started_at: int
    detected_at: int
    resolved_at: int | None
    value: float | None
    """at its worst"""
    expected: float | None
    lower: float | None
    upper: float | None
    odd: str
    """of its oddest sample, in a sentence"""
    chart: dict[str, Any] | None
    """t (ms UTC), series, band, spans, marks; null: no samples are kept"""


class Signals(BaseModel):
    begin: int
    end: int
    more: int
    """signals that are not among these"""
    signals: list[Signal]


@router.get("/incidents/{id}/charts", responses=ERRORS)
async def charts(
    id: Id,
    state: Shared,
    identity: Reads,
    most: Annotated[int, Query(ge=1, le=64)] = AT_ONCE,
    service: Annotated[str, Query(max_length=200)] = "",
) -> Signals:
    """The signals with numbers, the leading ones first, judged again by the code that runs live."""
    found = await charts_of(state, identity, id, most, service)
    of_alert = [name for name in Signal.model_fields if name not in ("alert", "odd", "chart")]
    signals = [
        Signal(
            alert=one.alert.id,
            odd=one.odd,
            chart=msgspec.json.decode(one.spec) if one.spec else None,
            **{name: getattr(one.alert, name) for name in of_alert},
        )
        for one in found.charts
    ]
    return Signals(begin=found.begin, end=found.end, more=found.more, signals=signals)
