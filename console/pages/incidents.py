"""The live list of incidents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from console.access.guard import Reads
from console.access.identity import Identity
from console.listing import PLACE, listing
from console.live.filters import CHOICES, SORTS, Filter, filter_of
from console.live.streams import event
from console.state import Shared, State

router = APIRouter()

PAGE = 100
MOST = 1_000

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
    wanted, found, older = await listing(state, identity, given, before, most)
    return state.page(
        request,
        "incidents.html",
        identity,
        wanted=wanted,
        found=found,
        line=state.lines,
        passed_over=given.passed_over,
        older=older,
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
    return state.streams.answer(request, identity, state.who, _looking(state, identity, wanted, most))


def _looking(state: State, identity: Identity, wanted: Filter, most: int) -> Callable[[], bytes]:
    """What the list looks like first, then what changes of it."""
    sent: dict[str, str] = {}
    last: Any = None

    def look() -> bytes:
        nonlocal sent, last
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
        if not rows and now == last:
            return b""
        sent = {entry.row.id: entry.stamp for entry in found.entries}
        last = now
        said = {"order": now[0], "rows": rows, "total": found.total, "counts": found.counts}
        status = {"html": state.pages.render("troubles.html", troubles=troubles)}
        return event("list", said) + event("status", status)

    return look
