"""Silences for programs: list, try, make and end."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from config.suppression import Silence
from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.configuring.known import Knows
from console.configuring.preview import Preview, preview
from console.configuring.silenceform import Wrong, wrong_of
from console.silencing import add, expire, visible
from console.state import Shared
from correlator.silencing import name_for, standing, within_domains

router = APIRouter(tags=["configuration"])
Silences = Annotated[Identity, Depends(needs("silence"))]
Short = Annotated[str, Field(max_length=200)]
Line = Annotated[str, Field(max_length=2_000)]
ACTING: dict[int | str, dict[str, Any]] = {
    409: {"description": "refused, with the reason"},
    504: {"description": "sent, but not answered yet: it is in the topic and will be applied once"},
}


def _needs_matchers(schema: dict[str, Any]) -> None:
    """Said in the schema and checked with everything else, so that all problems are told at once."""
    schema["required"] = ["matchers"]
    schema["properties"]["matchers"]["minItems"] = 1


def _needs_an_end(schema: dict[str, Any]) -> None:
    _needs_matchers(schema)
    schema["anyOf"] = [
        {"required": [name], "properties": {name: {"minLength": 1}}} for name in ("until", "rrule")
    ]


class Fields(BaseModel):
    """Of a silence; times as in the settings file (docs/suppression.md)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Short = ""
    """empty: a few digits"""
    matchers: Annotated[list[Line], Field(max_length=100)] = []
    """service="db", severity!="critical", path=~"/api/.*"; all must hold"""
    from_: Annotated[str, Field(alias="from", max_length=100)] = ""
    until: Annotated[str, Field(max_length=100)] = ""
    rrule: Annotated[str, Field(max_length=500)] = ""
    duration: Annotated[str, Field(max_length=50)] = ""
    to: Annotated[str, Field(max_length=20)] = ""
    zone: Annotated[str, Field(max_length=100)] = "UTC"
    comment: Annotated[str, Field(max_length=2_000)] = ""


class Given(Fields):
    """A silence to be tried."""

    model_config = ConfigDict(json_schema_extra=_needs_matchers)


class Made(Fields):
    """A silence to be put in force."""

    model_config = ConfigDict(json_schema_extra=_needs_an_end)

    replace: bool = False
    """one of the same name that is in force is replaced"""


class Listed(Fields):
    """As it is now; times ending in _at are ms UTC."""

    state: str
    """in force | waiting | over | expired"""
    actor: str
    """who changed it last; empty: its time was over, or it stands in the file"""
    made_by: str
    changed_at: int
    alerts: int | None
    """it has held back, in all domains; null: one may not see all of them"""
    held: int | None
    """it holds back now"""
    declared: bool
    """in the settings file; it cannot be ended here"""


@router.get("/silences", response_model_by_alias=True)
async def silences(
    state: Shared,
    identity: Reads,
    every: Annotated[bool, Query(description="also those that are over")] = False,
    most: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> list[Listed]:
    """Of run time, newest first, then those of the settings file."""
    now_ms = state.clock()
    counted = not identity.domains
    found = [
        Listed(
            name=row.name,
            matchers=list(row.matchers),
            comment=row.comment,
            state=standing(row.state, row.window, now_ms),
            actor=row.actor,
            made_by=row.made_by,
            changed_at=row.changed_at,
            alerts=row.alerts if counted else None,
            held=row.held if counted else None,
            declared=False,
            **msgspec.structs.asdict(row.window),
        )
        for row in await visible(state, identity, every=every)
    ]
    found += [
        Listed(
            **{**msgspec.structs.asdict(one), "matchers": list(one.matchers)},
            state=standing("active", one, now_ms),
            actor="",
            made_by="",
            changed_at=0,
            alerts=None,
            held=None,
            declared=True,
        )
        for one in state.settings.correlate.silences
    ]
    return found[:most]


class Example(BaseModel):
    id: str
    service: str
    severity: str
    metric: str
    summary: str
    detected_at: int
    resolved_at: int | None


class Incident(BaseModel):
    id: str
    title: str
    state: str
    severity: str
    matched: int
    """of its alerts"""
    alerts: int


class Holds(BaseModel):
    start: int
    end: int | None


class Tried(BaseModel):
    """What it would have held back, had it been in force all day; times are ms UTC."""

    since: int
    until: int
    alerts: int
    matched: int
    firing: int
    services: dict[str, int]
    severities: dict[str, int]
    examples: list[Example]
    incidents: list[Incident]
    """open ones of whose alerts some would have been held back; what belongs to them stays there"""
    holds: list[Holds]
    """when it holds, from now on"""
    truncated: bool
    """only the newest alerts of the day were looked at"""


@router.post("/silences/preview", response_model=Tried)
async def try_out(given: Given, state: Shared, identity: Reads, knows: Knows) -> Any:
    """What a silence would match in the last 24 hours. Changes nothing: whoever may read may ask."""
    audit("preview")
    silence = _silence(given, identity, "tried")
    now_ms = state.clock()
    wrong = wrong_of(silence, now_ms, tried=True, lines=len(given.matchers))
    if wrong:
        return _refused(wrong)
    correlate = state.settings.correlate
    day = (await knows.day()).of(identity, correlate.domain_label)
    return _tried(await asyncio.to_thread(preview, silence, day, correlate, now_ms))


class Done(BaseModel):
    name: str
    id: str
    """of the action"""
    state: str
    alerts: int
    """held back, or when it is ended: those that still fire and go on from here"""


@router.post("/silences", responses=ACTING, response_model=Done)
async def make(given: Made, state: Shared, identity: Silences) -> Any:
    """Put one in force. It must end, or recur."""
    audit("silence")
    now_ms = state.clock()
    silence = _silence(given, identity, name_for(given.matchers, now_ms))
    wrong = wrong_of(silence, now_ms, tried=False, lines=len(given.matchers))
    if wrong:
        return _refused(wrong)
    result = await add(state, identity, silence, replace=given.replace)
    return Done(name=silence.name, id=result.id, state=result.state, alerts=result.alerts)


@router.delete(
    "/silences/{name:path}", responses={404: {"description": "none of that name is in force"}, **ACTING}
)
async def end(
    name: Annotated[str, Path(min_length=1, max_length=200)], state: Shared, identity: Silences
) -> Done:
    """End one now. What it holds back and still fires goes on into correlation."""
    result = await expire(state, identity, name)
    return Done(name=name, id=result.id, state=result.state, alerts=result.alerts)


def _silence(given: Fields, identity: Identity, otherwise: str) -> Silence:
    return Silence(
        name=given.name or otherwise,
        matchers=within_domains(given.matchers, identity.domains),
        comment=given.comment,
        from_=given.from_,
        until=given.until,
        rrule=given.rrule,
        duration=given.duration,
        to=given.to,
        zone=given.zone,
    )


def _refused(wrong: list[Wrong]) -> JSONResponse:
    said = "; ".join(f"{one.field}: {one.text}" for one in wrong)
    audit(reason=said)
    return JSONResponse({"detail": said, "problems": [one._asdict() for one in wrong]}, 422)


def _tried(found: Preview) -> Tried:
    return Tried(
        since=found.since_ms,
        until=found.until_ms,
        alerts=found.alerts,
        matched=found.matched,
        firing=found.firing,
        services=dict(found.services),
        severities=dict(found.severities),
        examples=[
            Example(
                id=one.id,
                service=one.service,
                severity=one.severity,
                metric=one.metric,
                summary=one.summary,
                detected_at=one.detected_at,
                resolved_at=one.resolved_at,
            )
            for one in found.examples
        ],
        incidents=[
            Incident(
                id=one.id,
                title=one.title,
                state=one.state,
                severity=one.severity,
                matched=one.matched,
                alerts=one.alerts,
            )
            for one in found.incidents
        ],
        holds=[Holds(start=span.start, end=span.end) for span in found.spans],
        truncated=found.truncated,
    )
