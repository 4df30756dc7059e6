"""What keeps coming back, and what is known of causes and fixes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.forms import form_of
from console.state import Shared, State
from correlator.past import Problem
from sinks import past
from streams.records.digest import digest_hex
from streams.records.messages import Action

router = APIRouter()
PAGE = "/configuration/problems"
VERBS = {
    "workaround": "Write down the workaround",
    "resolve": "The cause is gone",
    "close": "Close it",
    "reopen": "Open it again",
}
"""verb -> what its button says"""
MOST = 200
MOST_NOTE = 4_000

Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Manages = Annotated[Identity, Depends(needs("problem"))]


@router.get(PAGE)
async def problems(request: Request, state: Shared, identity: Reads, every: bool = False) -> HTMLResponse:
    """Those that are not over; with `every` the others, too."""
    found = await state.store.ask(
        lambda reader: past.problems(reader, every=every, domains=identity.domains, limit=MOST)
    )
    return state.page(
        request, "configuration_problems.html", identity, problems=found, every=every, most=MOST
    )


@router.get(f"{PAGE}/{{id}}")
async def problem(request: Request, state: Shared, identity: Reads, id: Id) -> HTMLResponse:
    """One, with its incidents and what may be done."""
    return await _one(request, state, identity, id)


async def _one(
    request: Request, state: State, identity: Identity, id: str, refused: str = "", status: int = 200
) -> HTMLResponse:
    audit(reason=refused)
    found = await _problem(state, identity, id)
    incidents = await state.store.ask(lambda reader: past.titled(reader, found.incidents))
    live = found.state in past.LIVE
    verbs = [
        verb
        for verb, possible in (
            ("workaround", True),
            ("resolve", live),
            ("close", found.state != "closed"),
            ("reopen", not live),
        )
        if possible
    ]
    return state.page(
        request,
        "configuration_problem.html",
        identity,
        status,
        problem=found,
        incidents=incidents,
        verbs=verbs,
        words=VERBS,
        refused=refused,
    )


@router.post(f"{PAGE}/{{id}}")
async def act(request: Request, state: Shared, identity: Manages, id: Id) -> Response:
    """Write down a workaround, resolve, close or reopen, by the actions topic."""
    fields = await form_of(request)
    verb, note = fields.get("verb", ""), fields.get("note", "").strip()
    audit(verb if verb in VERBS else "", target=f"problem/{id}", what="note" if note else "")
    found = await _problem(state, identity, id)
    audit(domain=found.domain)
    if verb not in VERBS:
        return await _one(request, state, identity, id, f"expected one of {', '.join(VERBS)}", 422)
    if len(note) > MOST_NOTE:
        return await _one(request, state, identity, id, f"expected at most {MOST_NOTE} characters", 422)
    at_ms = state.clock()
    key = digest_hex("problem action", found.id, verb, identity.name, note, str(at_ms))
    action = Action(
        id=key, ts=at_ms, incident="", action=verb, actor=identity.name, note=note, problem=found.id
    )
    result = await state.bus.act(action, found.id)
    if result is None:
        raise HTTPException(504, f"sent as {key}, but no answer yet: is a worker running that correlates?")
    if not result.applied:
        return await _one(request, state, identity, id, result.reason, 409)
    return RedirectResponse(f"{PAGE}/{found.id}", 303)


async def _problem(state: State, identity: Identity, id: str) -> Problem:
    """Raises 404 also for those of domains one may not see."""
    found = await state.store.ask(lambda reader: past.problems_like(reader, id))
    if not found or not identity.sees(found[0].domain):
        raise HTTPException(404, f"no problem {id}")
    return found[0]


@router.get("/configuration/knowledge")
async def knowledge(
    request: Request,
    state: Shared,
    identity: Reads,
    q: Annotated[str, Query(max_length=200)] = "",
    service: Annotated[str, Query(max_length=300)] = "",
) -> HTMLResponse:
    """Recorded causes and fixes in which all the words occur."""
    found = await state.store.ask(
        lambda reader: past.knowledge(reader, q.split(), service, identity.domains, limit=MOST)
    )
    return state.page(
        request, "configuration_knowledge.html", identity, found=found, q=q, service=service, most=MOST
    )
