"""The live list of incidents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from console.access.guard import Reads
from console.access.identity import Identity
from console.live.board import Entry
from console.live.filters import CHOICES, SORTS, Filter, filter_of
from console.state import Shared, State

router = APIRouter()

PAGE = 100
MOST = 1_000
EVERY_S = 0.4
"""changes of the list are sent together, so often at most"""
BEAT_S = 15.0
"""without changes something is sent all the same, so that both ends know the other is there"""

Most = Annotated[int, Query(ge=1, le=MOST)]


@router.get("/")
async def root() -> RedirectResponse:
    return RedirectResponse("/incidents")


@router.get("/incidents")
async def incidents(request: Request, state: Shared, identity: Reads, most: Most = PAGE) -> HTMLResponse:
    """The page."""
    wanted = filter_of(request.query_params.multi_items())
    found = state.board.select(wanted, identity.domains, most)
    return state.page(
        request,
        "incidents.html",
        identity,
        wanted=wanted,
        found=found,
        most=most,
        page=PAGE,
        choices={**CHOICES, **state.board.names(identity.domains)},
        sorts=SORTS,
        views=state.settings.console.views,
    )


@router.get("/incidents/live")
async def live(request: Request, state: Shared, identity: Reads, most: Most = PAGE) -> StreamingResponse:
    """The same as a stream of changes: server-sent events named `list` and `status`."""
    wanted = filter_of(request.query_params.multi_items())
    return StreamingResponse(_changes(request, state, identity, wanted, most), media_type="text/event-stream")


async def _changes(
    request: Request, state: State, identity: Identity, wanted: Filter, most: int
) -> AsyncIterator[bytes]:
    """What the list looks like first, then what changes of it."""
    sent: dict[str, str] = {}
    last: Any = None
    yield b"retry: 1000\n\n"
    while not await request.is_disconnected():
        troubles = state.troubles()
        found = state.board.select(wanted, identity.domains, most)
        rows = {
            entry.row.id: _row(state, entry)
            for entry in found.entries
            if sent.get(entry.row.id) != entry.stamp
        }
        now = ([entry.row.id for entry in found.entries], found.total, found.counts, troubles)
        if rows or now != last:
            sent = {entry.row.id: entry.stamp for entry in found.entries}
            last = now
            said = {"order": now[0], "rows": rows, "total": found.total, "counts": found.counts}
            yield _event("list", said)
            yield _event("status", {"html": state.pages.render("troubles.html", troubles=troubles)})
            await asyncio.sleep(EVERY_S)
        if not await state.feed.change(BEAT_S):
            yield b": still here\n\n"


def _row(state: State, entry: Entry) -> str:
    return state.pages.render("incident_row.html", entry=entry, now_ms=state.clock())


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
