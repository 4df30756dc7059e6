"""Services, topology and who is on call, for programs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from console.access.guard import Reads
from console.configuring.duties import on_duty
from console.configuring.known import Knows
from console.configuring.services import rows, selected
from console.state import Shared
from correlator.conflicts import conflicts
from correlator.oncall import Shift

router = APIRouter(tags=["configuration"])
WEEK_MS = 7 * 86_400_000
MOST_DEPTH = 3
MOST_AROUND = 1_000


class Service(BaseModel):
    """A service of the catalogue or of telemetry; times are ms UTC."""

    service: str
    listed: bool
    """has an entry in the catalogue"""
    seen_at: int | None
    """its own telemetry"""
    needs: int
    needed_by: int
    entry: dict[str, Any] | None
    """as it stands in the catalogue (docs/catalogue.md)"""


class Services(BaseModel):
    total: int
    services: list[Service]
    trouble: str
    """why nothing is known of telemetry; empty: it is"""


@router.get("/services")
async def services(
    identity: Reads,
    knows: Knows,
    q: Annotated[str, Query(max_length=200)] = "",
    show: Literal["", "listed", "unlisted", "silent"] = "",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    most: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> Services:
    """By name. `q`: words in names, aliases and owners."""
    seen = await knows.seen()
    found = selected(rows(seen.graph), q, show)
    return Services(
        total=len(found),
        services=[
            Service(
                service=row.service,
                listed=row.entry is not None,
                seen_at=row.seen_at,
                needs=row.needs,
                needed_by=row.needed_by,
                entry=msgspec.to_builtins(row.entry) if row.entry is not None else None,
            )
            for row in found[offset : offset + most]
        ],
        trouble=seen.trouble,
    )


class Call(BaseModel):
    """Times are ms UTC."""

    caller: str
    callee: str
    declared: bool
    seen_in: list[str]
    per_minute: float | None
    failed: float | None
    """share"""
    first_at: int | None
    last_at: int | None


class Conflict(BaseModel):
    kind: str
    service: str
    other: str
    text: str
    at_ms: int | None


class Topology(BaseModel):
    service: str
    """the one it is about; empty: all"""
    services: list[str]
    calls: list[Call]
    conflicts: list[Conflict]
    left_out: int
    """calls and conflicts beyond `most`"""
    trouble: str


@router.get(
    "/topology",
    responses={404: {"description": "neither the catalogue nor telemetry names the service"}},
)
async def topology(
    state: Shared,
    identity: Reads,
    knows: Knows,
    service: Annotated[str, Query(max_length=300)] = "",
    depth: Annotated[int, Query(ge=1, le=MOST_DEPTH)] = 1,
    most: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Topology:
    """Declared and learned calls, all or around a service, and where the two disagree."""
    seen = await knows.seen()
    graph = seen.graph
    name = graph.catalogue.canonical(service) if service else ""
    names = graph.services
    if service:
        if name not in names:
            raise HTTPException(404, f"no service {service!r}")
        names = sorted(graph.around(name, depth, MOST_AROUND))
    inside = set(names)
    calls = [(a, b) for a, b in graph.calls if a in inside and b in inside]
    disagree = [] if seen.trouble else conflicts(graph, state.clock() - WEEK_MS)
    disagree = [c for c in disagree if not service or c.service in inside]
    left_out = sum(max(0, len(one) - most) for one in (names, calls, disagree))
    return Topology(
        service=name,
        services=names[:most],
        calls=[Call(**graph.facts(a, b)) for a, b in calls[:most]],
        conflicts=[Conflict(**c._asdict()) for c in disagree[:most]],
        left_out=left_out,
        trouble=seen.trouble,
    )


class Turn(BaseModel):
    """Somebody's turn; times are ms UTC, null: not known."""

    person: str
    from_ms: int | None
    until_ms: int | None


class OnCall(BaseModel):
    schedule: str
    zone: str
    on_call: list[Turn]
    until_ms: int | None
    """next hand-over"""
    then: list[Turn]
    overrides: list[Turn]
    trouble: str
    """why it is not known; empty: it is"""


@router.get("/oncall")
async def oncall(state: Shared, identity: Reads) -> list[OnCall]:
    """Who is on call now, by schedule."""
    found = await asyncio.to_thread(on_duty, state.settings.respond, state.clock())
    return [
        OnCall(
            schedule=one.name,
            zone=one.zone,
            on_call=_turns(one.duty.shifts if one.duty else ()),
            until_ms=one.duty.until_ms if one.duty else None,
            then=_turns(one.duty.then if one.duty else ()),
            overrides=_turns(tuple(one.overrides)),
            trouble=one.trouble,
        )
        for one in found
    ]


def _turns(shifts: tuple[Shift, ...]) -> list[Turn]:
    return [Turn(**shift._asdict()) for shift in shifts]
