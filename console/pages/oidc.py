"""To the provider and back, where people log in by OpenID Connect."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from console.access.control import Control
from console.access.noting import audit
from console.access.oidc import KEPT_MS, LoginFailed, Provider
from console.access.origin import safe_next
from console.pages.login import control_of, login_page
from console.state import Shared

router = APIRouter()
COOKIE = "tocsin-login"


def provider_of(control: Control) -> Provider:
    """Raises 404 where there is none."""
    if control.provider is None:
        raise HTTPException(404, "no provider is set (console.access.oidc)")
    return control.provider


@router.get("/login/sso")
async def begin(request: Request, state: Shared) -> Response:
    """On to the provider."""
    control = control_of(request)
    on = safe_next(request.query_params.get("next", ""))
    try:
        there, cookie = await provider_of(control).begin(request, on)
    except LoginFailed as failed:
        return login_page(request, state, on, str(failed), failed.status)
    response = RedirectResponse(there, 302)
    control.set_cookie(request, response, COOKIE, cookie, KEPT_MS // 1000)
    return response


@router.get("/login/callback")
async def back(request: Request, state: Shared) -> Response:
    """Back from it: a session for whom it vouches for; one that was open here ends."""
    control = control_of(request)
    provider = provider_of(control)
    try:
        who, on = await provider.end(request, control.cookie(request, COOKIE))
    except LoginFailed as failed:
        page = login_page(request, state, "/incidents", str(failed), failed.status)
        control.drop_cookie(request, page, COOKIE)
        return page
    audit("login", by=who)
    response = RedirectResponse(safe_next(on), 303)
    control.take(request, response)
    control.drop_cookie(request, response, COOKIE)
    control.give(request, response, control.sessions.start(provider.holder, who))
    return response
