"""The page of one incident: what, why, who, what to do; and everything people may do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from console.access.guard import Reads
from console.access.identity import Identity
from console.acting import domain_of, incident_for
from console.incident.hushing import shared_matchers
from console.incident.members import SORTS, Asked, Sort
from console.incident.others import others
from console.incident.segment import NAMES, segment
from console.incident.steps import steps
from console.incident.view import view
from console.live.filters import Filter
from console.live.streams import event
from console.state import Shared, State
from correlator.incident import CATEGORIES, FILINGS, IMPACT_FIGURES, KINDS, LEVELS
from correlator.statements import PRIORITIES, TIMES
from detectors.alert import SEVERITIES
from sinks.afterwards import Material, material
from sinks.alerted import known_values, labels_of_alerts
from sinks.reader import Reader

router = APIRouter()

MOST_ACTIVE = 1_000
"""incidents looked at for those that may belong to one"""
_WHOLE = re.compile(r"^[0-9a-f]{16}$")
_PREFIX = re.compile(r"^[0-9a-f]{1,16}$")
CHOICES: dict[str, Any] = {
    "categories": CATEGORIES,
    "severities": SEVERITIES,
    "priorities": PRIORITIES,
    "kinds": KINDS,
    "levels": LEVELS,
    "filings": FILINGS,
    "figures": IMPACT_FIGURES,
    "times": TIMES,
    "member_sorts": tuple(SORTS),
}


def asked(
    alerts: Annotated[str, Query(max_length=200)] = "",
    by: Sort = "active",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Asked:
    """Which alerts the table shows: the address of the page says, so that it can be passed on."""
    return Asked(alerts, by, page)


Table = Annotated[Asked, Depends(asked)]


@router.get("/incidents/new")
async def new(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """The form to report what people noticed first."""
    return state.page(
        request, "incident_new.html", identity, names=state.board.names(identity.domains), **CHOICES
    )


@router.get("/incidents/{id}")
async def incident(request: Request, state: Shared, identity: Reads, id: str, table: Table) -> Response:
    """The page; the first digits of an id will do where only one begins with them."""
    if not _PREFIX.match(id):
        raise HTTPException(404, f"no incident {id[:40]}")
    if not _WHOLE.match(id):
        query = f"?{table.query()}" if table.query() else ""
        return RedirectResponse(f"/incidents/{await _whole(state, identity, id)}{query}")
    found = await material_for(state, identity, id)
    return await _page(request, state, identity, found, table, "incident.html")


@router.get("/incidents/{id}/main")
async def main(request: Request, state: Shared, identity: Reads, id: str, table: Table) -> HTMLResponse:
    """What changes with its versions."""
    found = await material_for(state, identity, id)
    return await _page(request, state, identity, found, table, "incident_main.html")


@router.get("/incidents/{id}/others")
async def mergeable(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """Active ones to choose from when merging."""
    one = await incident_for(state, identity, id)
    active = state.board.select(Filter(), identity.domains, MOST_ACTIVE).entries
    rows = others((entry.row for entry in active), one)
    return state.page(request, "incident_others.html", identity, rows=rows)


@router.get("/incidents/{id}/live")
async def live(request: Request, state: Shared, identity: Reads, id: str) -> StreamingResponse:
    """Server-sent events: its newest version, whenever there is one."""
    await domain_of(state, identity, id)
    return state.streams.answer(request, identity, state.who, _looking(state, id))


async def material_for(state: State, identity: Identity, id: str) -> Material:
    """Everything stored about an incident, with its newest version. Raises 404."""

    def ask(reader: Reader) -> Material | None:
        return material(reader, id)

    found = await state.store.ask(ask)
    newest = state.feed.recent.newer(id, found.incident if found else None)
    if newest is None or not identity.sees(newest.domain):
        raise HTTPException(404, f"no incident {id}")
    if found is None:  # it came in a moment ago: ClickHouse will have it soon
        return Material(newest, None, None, (), 0, (), None, (), (), (), 0, ())
    return msgspec.structs.replace(found, incident=newest)


async def _page(
    request: Request, state: State, identity: Identity, found: Material, table: Asked, template: str
) -> HTMLResponse:
    now_ms = state.clock()
    one = found.incident
    services = [role.service for role in one.services]

    def ask(reader: Reader) -> tuple[list[dict[str, str]], Mapping[str, list[str]]]:
        return labels_of_alerts(reader, one.alerts), known_values(reader, services, NAMES)

    labels, known = await state.store.ask(ask)
    matchers = shared_matchers(labels or [{"service": name} for name in services], one.domain)
    return state.page(
        request,
        template,
        identity,
        m=found,
        i=one,
        view=view(one, found.clocks, now_ms, table, segment(labels, known)),
        steps=steps(one, identity),
        silence=urlencode({"matchers": "\n".join(matchers), "comment": f"for incident {one.id}"}),
        **CHOICES,
    )


async def _whole(state: State, identity: Identity, prefix: str) -> str:
    """The one id that begins with it. Raises 404."""
    found = set(state.board.like(prefix, identity.domains))
    stored = await state.store.ask(lambda reader: reader.ids_like(prefix))
    for id in stored:
        if id not in found:
            try:
                await domain_of(state, identity, id)
            except HTTPException:
                continue
            found.add(id)
    if len(found) != 1:
        several = ", ".join(sorted(found)[:6])
        raise HTTPException(404, f"{prefix} begins {several}" if found else f"no incident {prefix}")
    return found.pop()


def _looking(state: State, id: str) -> Callable[[], bytes]:
    """Its newest version, and the banner."""
    told: Any = None

    def look() -> bytes:
        nonlocal told
        entry = state.board.get(id)
        now = (entry.stamp if entry else "", state.troubles())
        if now == told:
            return b""
        told = now
        html = state.pages.render("troubles.html", troubles=now[1])
        return event("version", {"version": entry.row.version if entry else 0, "troubles": html})

    return look
