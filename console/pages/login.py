"""Logging in and out, where there is access control."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from console.access.control import Control
from console.access.identity import Identity
from console.access.noting import audit
from console.access.origin import safe_next
from console.forms import form_of
from console.state import Shared, State

router = APIRouter()
NOBODY = Identity("", "viewer", via="")


def control_of(request: Request) -> Control:
    """Raises 404 where there is none: everybody is in already."""
    control: Control | None = request.app.state.control
    if control is None:
        raise HTTPException(404, "no login is needed here: there is no access control (console.access)")
    return control


@router.get("/login")
async def form(request: Request, state: Shared) -> Response:
    """The form."""
    control_of(request)
    return login_page(request, state, safe_next(request.query_params.get("next", "")))


@router.post("/login")
async def login(request: Request, state: Shared) -> Response:
    """A session for the holder of a token; one that was open here ends."""
    control = control_of(request)
    fields = await form_of(request)
    on = safe_next(fields.get("next", ""))
    known = control.tokens.holder(fields.get("token", "").strip(), state.clock())
    if known is None:
        return login_page(request, state, on, "This token is not known, or it has ended.", 403)
    audit("login", by=known.identity)
    response = RedirectResponse(on, 303)
    control.take(request, response)
    control.give(request, response, control.sessions.start(known.digest))
    return response


@router.post("/logout")
async def logout(request: Request) -> Response:
    """Ends the session, whoever else has its cookie."""
    audit("logout")
    response = RedirectResponse("/login?out", 303)
    control_of(request).take(request, response)
    return response


def login_page(request: Request, state: State, on: str, wrong: str = "", status: int = 200) -> Response:
    """The form, with what went wrong."""
    if wrong:
        audit("login_refused", reason=wrong)
    control = control_of(request)
    return state.page(
        request,
        "login.html",
        NOBODY,
        status,
        next=on,
        wrong=wrong,
        provider=control.provider,
        with_tokens=bool(state.settings.console.access and state.settings.console.access.tokens),
        out="out" in request.query_params,
    )
