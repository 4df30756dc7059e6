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
from console.live.filters import CHOICES, SORTS, Filter, filter_of
from console.past import PLACE, following, past
from console.state import Shared, State

router = APIRouter()

PAGE = 100
MOST = 1_000
EVERY_S = 0.4
"""changes of the list are sent together, so often at most"""
BEAT_S = 15.0
"""without changes something is sent all the same, so that both ends know the other is there"""

Before = Annotated[str, Query(pattern=PLACE)]
Most = Annotated[int, Query(ge=1, le=MOST)]


@router.get("/")
async def root() -> RedirectResponse:
    return RedirectResponse("/incidents")


@router.get("/incidents")
async def incidents(
    request: Request, state: Shared, identity: Reads, most: Most = PAGE, before: Before = ""
) -> HTMLResponse:
    """The page: what is going on from memory, what is over from ClickHouse."""
    given = filter_of(request.query_params.multi_items())
    wanted = given.applied
    if wanted.past:
        found = await past(state, identity, wanted, before, most)
    else:
        found = state.board.select(wanted, identity.domains, most)
    return state.page(
        request,
        "incidents.html",
        identity,
        wanted=wanted,
        found=found,
        line=state.lines,
        passed_over=given.passed_over,
        older=following(found, most) if wanted.past else "",
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
        seen = state.feed.changes
        troubles = state.troubles()
        found = state.board.select(wanted, identity.domains, most)
        rows = {
            entry.row.id: state.lines.html(entry, state.clock())
            for entry in found.entries
            if sent.get(entry.row.id) != entry.stamp
        }
        here = {entry.row.id for entry in found.entries}
        for id in sent.keys() - here:
            # It leaves the list, or its first lines: whoever still looks at it sees how it stands.
            entry = state.board.get(id)
            if entry is not None:
                rows[id] = state.lines.html(entry, state.clock())
        now = ([entry.row.id for entry in found.entries], found.total, found.counts, troubles)
        if rows or now != last:
            sent = {entry.row.id: entry.stamp for entry in found.entries}
            last = now
            said = {"order": now[0], "rows": rows, "total": found.total, "counts": found.counts}
            yield _event("list", said)
            yield _event("status", {"html": state.pages.render("troubles.html", troubles=troubles)})
            await asyncio.sleep(EVERY_S)
        if await state.feed.change(seen, BEAT_S) == seen:
            yield b": still here\n\n"


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
