"""Whether the console itself is well: for probes, and for the banner of pages."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from console.access.guard import Reads
from console.state import Shared

router = APIRouter()


@router.get("/healthz")
async def healthz(state: Shared) -> JSONResponse:
    """200 also without Kafka or ClickHouse: restarting the console would not bring them back."""
    return JSONResponse({"status": "ok", "missing": [service for service, _ in state.troubles()]})


@router.get("/status")
async def status(state: Shared, identity: Reads) -> HTMLResponse:
    """What is missing, as the banner of a page."""
    return HTMLResponse(state.pages.render("troubles.html", troubles=state.troubles()))
