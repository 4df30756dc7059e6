"""The web application: routes, middleware, and what runs beside them."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from config.settings import Settings
from console.access.audit import Audited, Paths
from console.access.control import Control
from console.access.gate import Gate
from console.access.guard import local_identity
from console.access.identify import Identify
from console.access.identity import Identity
from console.access.noting import audit
from console.allowed import allowed
from console.api import analytics as api_analytics
from console.api import audit as api_audit
from console.api import configuration as api_configuration
from console.api import evidence as api_evidence
from console.api import incidents as api_incidents
from console.api import pipeline as api_pipeline
from console.api import response as api_response
from console.api import series as api_series
from console.api import silences as api_silences
from console.api.refused import REFUSALS
from console.bus import Bus
from console.grouplag import group_lags
from console.headers import SecurityHeaders
from console.live.board import Board
from console.live.feed import Feed
from console.live.filters import BadFilter
from console.live.lines import Lines
from console.live.streams import Streams
from console.pages import analytics as page_analytics
from console.pages import audit as page_audit
from console.pages import configuration as page_configuration
from console.pages import evidence as page_evidence
from console.pages import incident as page_incident
from console.pages import incidents as page_incidents
from console.pages import login as page_login
from console.pages import oidc as page_oidc
from console.pages import pipeline as page_pipeline
from console.pages import problems as page_problems
from console.pages import review as page_review
from console.pages import silences as page_silences
from console.pages import status as page_status
from console.pages import topology as page_topology
from console.render import Pages
from console.state import State
from console.store import Store, Unavailable
from console.trail import Trail
from console.watching import Watch

log = logging.getLogger(__name__)

PAGES = (
    page_incidents,
    page_evidence,
    page_review,
    page_incident,
    page_analytics,
    page_pipeline,
    page_configuration,
    page_topology,
    page_silences,
    page_problems,
    page_audit,
    page_status,
    page_login,
    page_oidc,
)
API = (
    api_incidents,
    api_analytics,
    api_evidence,
    api_response,
    api_configuration,
    api_silences,
    api_pipeline,
    api_series,
    api_audit,
)
MOUNTED = [
    *(("", module.router.routes) for module in PAGES),
    *(("/api/v1", module.router.routes) for module in API),
]


def wall_ms() -> int:
    """Now, ms UTC."""
    return time.time_ns() // 1_000_000


def create_app(settings: Settings, clock: Callable[[], int] = wall_ms, source: str = "") -> FastAPI:
    """The application for these settings, which stand in the file `source`. Connects once it starts."""
    board = Board(settings.console.max_incidents)
    store = Store(settings.clickhouse)
    feed = Feed(settings, board, store, clock)
    bus = Bus(settings)
    watch = Watch(settings.console.workers, clock, partial(group_lags, settings))
    trail = Trail(bus, settings.topics.audit, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await feed.start()
        await bus.start()
        await trail.start()
        try:
            yield
        finally:
            await watch.stop()
            await trail.stop()
            await bus.stop()
            await feed.stop()
            await store.close()

    app = FastAPI(
        title="Tocsin",
        summary="Incidents, why they are incidents, and what people do about them.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    pages = Pages()
    app.state.trail = trail
    identity = local_identity()
    access = settings.console.access
    control = app.state.control = Control(access, settings.console.public_url, clock) if access else None

    async def who(request: Request) -> Identity | None:
        if hasattr(request.app.state, "who"):
            replaced: Identity | None = request.app.state.who
            return replaced
        return await control.who(request) if control else identity

    app.state.console = State(
        settings, board, feed, Streams(feed), store, bus, pages, Lines(pages), watch, clock, who, source
    )
    app.add_middleware(
        Gate,
        public_url=settings.console.public_url,
        open_to_all=access is None,
        answer=_answer,
    )
    app.add_middleware(Identify, who=who, control=control, answer=_answer)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Audited, paths=_paths(), clock=clock, keep=trail.keep)
    for module in PAGES:
        app.include_router(module.router, include_in_schema=False)
    for module in API:
        app.include_router(module.router, prefix="/api/v1", responses=REFUSALS)
    app.mount("/static", StaticFiles(directory=str(files("console") / "static")), name="static")
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(BadFilter, _bad_filter)
    app.add_exception_handler(Exception, _broken)
    return app


def _paths() -> Paths:
    return Paths(
        (prefix + route.path, route.methods or ())
        for prefix, modules in (("", PAGES), ("/api/v1", API))
        for module in modules
        for route in module.router.routes
        if isinstance(route, APIRoute)
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == 401 and not request.url.path.startswith("/api/"):
        return _to_login(request)
    headers = dict(error.headers or {})
    if error.status_code == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status_code == 405:
        headers["Allow"] = allowed(MOUNTED, request.url.path)
    return _answer(request, error.status_code, str(error.detail), headers)


def _to_login(request: Request) -> Response:
    """People are shown the way; a part of a page takes its whole page there."""
    audit(reason="nobody is logged in", status=401)
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"hx-redirect": "/login"})
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    on = f"?next={quote(here)}" if request.method == "GET" else ""
    return RedirectResponse(f"/login{on}", 303)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    said = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return _answer(request, 422, said)


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)  # noqa: S101
    answer = _answer(request, 503, f"{error.service} is not there: {error.detail}", {"retry-after": "5"})
    # Not the detail: it may have an address as it stands in the settings.
    audit(reason=f"{error.service} is not there")
    return answer


async def _bad_filter(request: Request, error: Exception) -> Response:
    return _answer(request, 400, str(error))


async def _broken(request: Request, error: Exception) -> Response:
    """A fault of ours. It is raised on, so that the server logs it; this answer is outside all middleware."""
    id = request.state.request_id
    return _answer(request, 500, f"a fault of the console: its log has more ({id})", {"x-request-id": id})


def _answer(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """JSON for programs, a page for people, a line for a part of a page."""
    audit(reason=detail)
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": detail}, status, headers)
    console: State = request.app.state.console
    identity = getattr(request.state, "identity", None) or Identity("", "viewer", via="")
    part = request.headers.get("hx-request") == "true"
    page = console.page(
        request,
        "part_error.html" if part else "error.html",
        identity,
        status,
        code=status,
        detail=detail,
    )
    page.headers.update(headers or {})
    return page
