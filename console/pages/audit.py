"""Who did what at the console, when and from where; as a page and as a file."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from console.access.noting import audit
from console.analytics import as_csv
from console.auditing import ACTIONS, DAYS, Admin, Wanted, place_of
from console.state import Shared
from console.trail import Trail
from sinks.audit import COLUMNS, records
from streams.records.audit import OUTCOMES

router = APIRouter()
PAGE = 100
MOST_ROWS = 50_000
"""of a file"""


@router.get("/configuration/audit")
async def page(request: Request, state: Shared, identity: Admin, wanted: Wanted) -> HTMLResponse:
    """The newest first, a page at a time."""
    found = await state.store.ask(lambda reader: records(reader, wanted.asked, PAGE + 1))
    shown = found[:PAGE]
    trail: Trail = request.app.state.trail
    return state.page(
        request,
        "configuration_audit.html",
        identity,
        wanted=wanted,
        records=[(row, link_of(row["target"])) for row in shown],
        older=wanted.address(before=place_of(shown[-1])) if len(found) > PAGE else "",
        actions=ACTIONS,
        outcomes=OUTCOMES,
        days=DAYS,
        most=MOST_ROWS,
        trail=trail,
    )


@router.get("/configuration/audit.csv")
async def download(state: Shared, identity: Admin, wanted: Wanted) -> Response:
    """The same as a file, which is itself in the audit."""
    audit("download", target="audit", what=wanted.address())
    found = await state.store.ask(lambda reader: records(reader, wanted.asked, MOST_ROWS))
    return Response(
        as_csv(("time", *COLUMNS), [{"time": written(row["at"]), **row} for row in found]),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="tocsin-audit.csv"'},
    )


def written(at_ms: int) -> str:
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def link_of(target: str) -> str:
    """Where what a record is about can be seen; empty: nowhere. Of nothing but our own digits."""
    kind, _, name = target.rpartition("/")
    plain = len(name) == 16 and set(name) <= set("0123456789abcdef")
    if kind == "silence" or target.startswith("silence/"):
        return "/configuration/silences#in-force"
    if not plain or kind not in ("", "problem"):
        return ""
    return f"/configuration/problems/{name}" if kind else f"/incidents/{name}"
