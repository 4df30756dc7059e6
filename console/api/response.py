"""What an incident asks of people, for programs: deadlines, who is on call, what helped before."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from console.access.guard import Reads
from console.acting import incident_for
from console.api.incidents import ERRORS, Id
from console.incident.view import view
from console.pages.incident import material_for
from console.state import Shared

router = APIRouter(tags=["incidents"])


class Clock(BaseModel):
    """A deadline; times are ms UTC."""

    id: str
    version: int
    name: str
    kind: Literal["sla", "customer", "regulatory"]
    state: str
    """running, paused, warned, missed, met, cancelled"""
    started_at: int
    warn_at: int
    due_at: int
    """pauses so far included"""
    stopped_at: int | None
    """when what it waits for happened"""
    paused_ms: int
    basis: str
    """which rule set it and what it counts from"""
    spent: float
    """share of the time allowed that has gone, 0 to 1"""


@router.get("/incidents/{id}/clocks", responses=ERRORS)
async def clocks(id: Id, state: Shared, identity: Reads) -> list[Clock]:
    """Deadlines of an incident, the most urgent first."""
    found = await material_for(state, identity, id)
    shown = view(found.incident, found.clocks, state.clock()).clocks
    own = [name for name in Clock.model_fields if name != "spent"]
    return [Clock(spent=one.spent, **{name: getattr(one.clock, name) for name in own}) for one in shown]


class Duty(BaseModel):
    """Whose it is, and how far it has been escalated; times are ms UTC."""

    known: bool
    """false: it has not been routed yet"""
    team: str
    reason: str
    """why this team"""
    on_call: list[str]
    policy: str
    level: int
    """tier reached, from 1; 0: no policy"""
    levels: int
    next_at: int | None
    """when the next tier is asked unless somebody acknowledges before"""
    acknowledged: bool
    predicted_team: str
    predicted_confidence: float
    predicted_accuracy: float | None
    predicted_n: int
    runbook: str
    containment: list[str]
    assignee: str
    """whom people gave it to; empty: nobody in particular"""
    acknowledged_by: str


@router.get("/incidents/{id}/duty", responses=ERRORS)
async def duty(id: Id, state: Shared, identity: Reads) -> Duty:
    """Who is on call for an incident, and who has it."""
    found = await material_for(state, identity, id)
    one, incident = found.duty, found.incident
    return Duty(
        known=one is not None,
        team=(one.team if one else "") or incident.owner,
        reason=one.reason if one else "",
        on_call=list(one.on_call) if one else [],
        policy=one.policy if one else "",
        level=one.level if one and one.policy else 0,
        levels=one.levels if one else 0,
        next_at=one.next_at if one and not one.acknowledged else None,
        acknowledged=incident.acknowledged_at is not None,
        predicted_team=one.predicted_team if one else "",
        predicted_confidence=one.predicted_confidence if one else 0.0,
        predicted_accuracy=one.predicted_accuracy if one else None,
        predicted_n=one.predicted_n if one else 0,
        runbook=one.runbook if one else "",
        containment=list(one.containment) if one else [],
        assignee=incident.assignee,
        acknowledged_by=incident.acknowledged_by,
    )


class Similar(BaseModel):
    """A past incident with much the same symptoms; times are ms UTC."""

    id: str
    similarity: float
    why: str
    """the symptoms both have"""
    closed_at: int
    same: bool
    """it has the same signature"""
    cause: str
    cause_service: str
    fix: str
    runbook: str


@router.get("/incidents/{id}/similar", responses=ERRORS)
async def similar(id: Id, state: Shared, identity: Reads) -> list[Similar]:
    """Past incidents like it, with what people found out about them; the most similar first."""
    found = await incident_for(state, identity, id)
    return [Similar(**{name: getattr(one, name) for name in Similar.model_fields}) for one in found.similar]
