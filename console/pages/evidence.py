"""What an incident rests on: map of its services, charts, log lines, everything in order."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse

from console.access.guard import Reads
from console.acting import incident_for
from console.configuring.drawing import WORDS
from console.configuring.known import Knows
from console.gathering import charts_of, map_of
from console.incident.charts import AT_ONCE, around
from console.incident.course import counts, course
from console.incident.headline import headline
from console.incident.logviews import log_views
from console.pages.incident import material_for
from console.state import Shared
from correlator.incident import Incident
from sinks import history
from sinks.alerted import alerts_of
from sinks.reader import Reader

router = APIRouter()
_HEX = re.compile(r"^[0-9a-f]{16}$")
MOST_SPARKS = 100


@router.get("/incidents/sparks")
async def sparks(
    state: Shared,
    identity: Reads,
    alert: Annotated[list[str] | None, Query(max_length=MOST_SPARKS)] = None,
) -> JSONResponse:
    """Values around alerts for the lines of the list: alert -> numbers, null where there are none."""
    wanted = [id for id in alert or () if _HEX.match(id)]
    domains = identity.domains or None

    def ask(reader: Reader) -> dict[str, list[float | None]]:
        found = [one for one in alerts_of(reader, wanted) if _HEX.match(one.fingerprint)]
        drawn = history.sparklines(reader, {one.fingerprint: around(one) for one in found}, domains=domains)
        return {one.id: drawn[one.fingerprint].values for one in found if one.fingerprint in drawn}

    return JSONResponse(await state.store.ask(ask))


@router.get("/incidents/{id}/evidence")
async def evidence(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """All parts on one page, for printing."""
    incident = await incident_for(state, identity, id)
    return state.page(request, "incident_evidence.html", identity, i=incident, headline=headline(incident))


@router.get("/incidents/{id}/map")
async def service_map(
    request: Request, state: Shared, identity: Reads, knows: Knows, id: str
) -> HTMLResponse:
    """The services and their calls, with onsets and the suspected path."""
    drawn, trouble = await map_of(state, identity, knows, id)
    data = msgspec.json.encode(drawn).decode()
    return state.page(
        request, "incident_map.html", identity, drawn=drawn, data=data, trouble=trouble, sources=WORDS
    )


@router.get("/incidents/{id}/timeline")
async def timeline(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """Everything that happened, in order."""
    entries = course(await material_for(state, identity, id))
    return state.page(request, "incident_timeline.html", identity, entries=entries, counts=counts(entries))


@router.get("/incidents/{id}/charts")
async def charts(
    request: Request,
    state: Shared,
    identity: Reads,
    id: str,
    most: Annotated[int, Query(ge=1, le=64)] = AT_ONCE,
    service: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """The signals, the leading ones first, on one axis of time."""
    found = await charts_of(state, identity, id, most, service)
    kept = state.settings.history
    return state.page(
        request,
        "incident_charts.html",
        identity,
        charts=found.charts,
        more=found.more,
        most=most,
        service=service,
        id=id,
        days=kept.days if kept.enabled else 0,
    )


@router.get("/incidents/{id}/logs")
async def logs(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """Kinds of log lines with lines to read."""
    incident: Incident = await incident_for(state, identity, id)
    found = await state.store.ask(lambda reader: alerts_of(reader, incident.alerts))
    return state.page(request, "incident_logs.html", identity, logs=log_views(found))
