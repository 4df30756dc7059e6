"""Incidents for programs: list, one whole, and actions on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from console.access.guard import Reads
from console.acting import act, incident_for
from console.api.refused import Said
from console.listing import PLACE, listing
from console.live.filters import filter_of
from console.state import Shared
from correlator import people, writing
from streams.records.digest import digest_hex

router = APIRouter(tags=["incidents"])

ACTIONS = tuple(sorted((*people.VERBS, *writing.VERBS)))
"""on an incident there is; what else people may do has routes of its own"""
Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="incident id, 16 hex digits")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
State = Literal["open", "acknowledged", "mitigated", "resolved", "closed", "reopened", "merged"]
Words = Annotated[list[Word], Query(default_factory=list, max_length=50)]
Text = Annotated[str, Field(max_length=4_000)]
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "no such incident, or of a domain one may not see", "model": Said}
}
"""beside what any route may answer (`REFUSALS`)"""


class Listed(BaseModel):
    """An incident in a list; times are ms UTC."""

    id: str
    version: int
    domain: str
    state: str
    priority: str
    severity: str
    category: str
    title: str
    started_at: int
    detected_at: int
    acknowledged_at: int | None
    resolved_at: int | None
    updated_at: int
    services: list[str]
    owner: str
    acknowledged_by: str
    alerts: int
    cause_service: str
    cause: str
    confidence: float
    due_name: str | None = None
    due_state: str | None = None
    due_at: int | None = None


_OF_ROW = [name for name in Listed.model_fields if not name.startswith("due_")]


class Listing(BaseModel):
    total: int
    counts: dict[str, int]
    """by severity"""
    incidents: list[Listed]
    older: str
    """of those that are over: `before` of the next page (with sort=oldest: of later ones); empty: none"""
    passed_over: list[str]
    """at_risk, sort: what was asked for and does not apply to those that are over"""


@router.get("/incidents")
async def list_incidents(
    request: Request,
    state: Shared,
    identity: Reads,
    severity: Annotated[
        list[Literal["info", "warning", "error", "critical"]], Query(default_factory=list, max_length=50)
    ],
    priority: Annotated[list[Literal["P1", "P2", "P3", "P4"]], Query(default_factory=list, max_length=50)],
    service: Words,
    team: Words,
    domain: Words,
    states: Annotated[list[State], Query(alias="state", default_factory=list, max_length=50)],
    at_risk: bool = False,
    unacknowledged: bool = False,
    q: Annotated[str, Query(max_length=200)] = "",
    sort: Literal["urgency", "newest", "oldest", "due", "updated"] = "urgency",
    most: Annotated[int, Query(ge=1, le=1_000)] = 100,
    before: Annotated[str, Query(pattern=PLACE)] = "",
) -> Listing:
    """Those that are active now, or with `state` those that are over, as on the page."""
    given = filter_of(request.query_params.multi_items())
    _, found, older = await listing(state, identity, given, before, most)
    listed = []
    for row, due in found.entries:
        values: dict[str, Any] = {name: getattr(row, name) for name in _OF_ROW}
        if due is not None:
            values |= {"due_name": due.name, "due_state": due.state, "due_at": due.due_at}
        listed.append(Listed(**values))
    return Listing(
        total=found.total,
        counts=dict(found.counts),
        incidents=listed,
        older=older,
        passed_over=given.passed_over,
    )


@router.get("/incidents/{id}", responses=ERRORS)
async def one_incident(id: Id, state: Shared, identity: Reads) -> dict[str, Any]:
    """The newest version, whole, as on the incident topic (docs/schemas.md)."""
    found = await incident_for(state, identity, id)
    whole: dict[str, Any] = msgspec.to_builtins(found)
    return whole


def _verb(word: str) -> str:
    if word not in ACTIONS:
        raise ValueError(f"expected one of {', '.join(ACTIONS)}")
    return word


Verb = Annotated[str, Field(json_schema_extra={"enum": list(ACTIONS)}), AfterValidator(_verb)]


class Asked(BaseModel):
    """An action; what each takes: docs/lifecycle.md."""

    model_config = ConfigDict(extra="forbid")

    action: Verb
    note: Text = ""
    targets: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=2_000)] = []
    cause: Text = ""
    cause_service: Annotated[str, Field(max_length=200)] = ""
    fix: Text = ""
    runbook: Text = ""
    fields: Annotated[dict[str, Text], Field(max_length=40)] = {}


class Reported(BaseModel):
    """What people noticed first; the fields of `report` in docs/lifecycle.md."""

    model_config = ConfigDict(extra="forbid")

    note: Text = ""
    fields: Annotated[dict[str, Text], Field(max_length=40)]


class Opened(BaseModel):
    id: str
    """of the action"""
    incident: str


class Answer(BaseModel):
    id: str
    applied: bool
    reason: str
    state: str


@router.post(
    "/incidents/{id}/actions",
    responses={
        409: {"description": "refused, with the reason"},
        504: {"description": "sent, but not answered yet: it is in the topic and will be applied once"},
        **ERRORS,
    },
)
async def act_on(id: Id, asked: Asked, state: Shared, identity: Reads) -> Answer:
    """Do something: acknowledge, assign, mitigate, resolve, close, reopen, merge, split, undo, note, ..."""
    found = {
        name: value
        for name in ("cause", "cause_service", "fix", "runbook")
        if (value := getattr(asked, name))
    }
    result = await act(
        state,
        identity,
        asked.action,
        id,
        note=asked.note,
        targets=tuple(asked.targets),
        found=found,
        fields=asked.fields,
    )
    return Answer(id=result.id, applied=result.applied, reason=result.reason, state=result.state)


@router.post(
    "/incidents",
    responses={
        409: {"description": "refused, with the reason"},
        504: {"description": "sent, but not answered yet: it is in the topic and will be applied once"},
    },
)
async def report(asked: Reported, state: Shared, identity: Reads) -> Opened:
    """Open an incident that people noticed first."""
    said = [text for pair in sorted(asked.fields.items()) for text in pair]
    incident = digest_hex("report", identity.name, asked.note, str(state.clock()), *said)
    result = await act(state, identity, "report", incident, note=asked.note, fields=asked.fields)
    return Opened(id=result.id, incident=result.incident)
