"""Who calls whom: declared, learned, and where the two disagree."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from console.access.guard import Reads
from console.configuring.drawing import MOST_NODES, WORDS, Around, drawing
from console.configuring.known import Knows
from console.state import Shared
from correlator.conflicts import KINDS, conflicts

router = APIRouter()
WEEK_MS = 7 * 86_400_000
MOST_CONFLICTS = 200

Kind = Literal["", "reversed", "undeclared", "unseen", "unlisted", "silent", "cycle"]


@router.get("/configuration/topology")
async def topology(
    request: Request,
    state: Shared,
    identity: Reads,
    knows: Knows,
    service: Annotated[str, Query(max_length=300)] = "",
    depth: Annotated[int, Query(ge=1, le=3)] = 1,
    kind: Kind = "",
) -> HTMLResponse:
    """The graph around a service, or all of it, as a drawing and as a table."""
    seen = await knows.seen()
    graph = seen.graph
    disagree = [] if seen.trouble else conflicts(graph, state.clock() - WEEK_MS)
    services = graph.services
    chosen = graph.catalogue.canonical(service)
    unknown = bool(service) and chosen not in services
    around = Around(chosen, depth) if service and not unknown else None
    drawn = drawing(graph, disagree, around)
    return state.page(
        request,
        "configuration_topology.html",
        identity,
        drawn=drawn,
        data=msgspec.json.encode(drawn).decode(),
        words=WORDS,
        services=services,
        service=service,
        unknown=unknown,
        depth=depth,
        kind=kind,
        kinds=KINDS,
        counts={name: sum(c.kind == name for c in disagree) for name in KINDS},
        conflicts=[c for c in disagree if not kind or c.kind == kind][:MOST_CONFLICTS],
        most_nodes=MOST_NODES,
        trouble=seen.trouble,
        declared=bool(graph.catalogue),
    )
