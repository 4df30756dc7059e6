"""Silences and maintenance windows: what is in force, making one with a preview, ending one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.configuring.duties import local
from console.configuring.known import Knows
from console.configuring.preview import preview
from console.configuring.silenceform import FIELDS, Asked, asked
from console.forms import form_of
from console.silencing import add, expire, visible
from console.state import Shared, State
from correlator.silencing import occurrences, spoken, standing

router = APIRouter()
PAGE = "/configuration/silences"
MOST_OVER = 50
"""silences that are over, on the page"""
RULES = {
    "FREQ=DAILY": "every day",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": "Monday to Friday",
    "FREQ=WEEKLY;BYDAY=SA,SU": "at weekends",
    "FREQ=MONTHLY;BYDAY=1SU": "first Sunday of the month",
    "FREQ=MONTHLY;BYDAY=-1SU": "last Sunday of the month",
    "FREQ=MONTHLY;BYMONTHDAY=1": "first day of the month",
}
ZONES = sorted(available_timezones())

Silences = Annotated[Identity, Depends(needs("silence"))]


@router.get(PAGE)
async def silences(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """The page; what is in force follows."""
    typed = {name: request.query_params.get(name, "")[:2_000] for name in FIELDS}
    return _page(request, state, identity, typed)


def _page(
    request: Request, state: State, identity: Identity, typed: dict[str, str], status: int = 200, **more: Any
) -> HTMLResponse:
    return state.page(
        request,
        "configuration_silences.html",
        identity,
        status,
        typed=typed,
        rules=RULES,
        zones=ZONES,
        **{"wrong": {}, "refused": "", **more},
    )


@router.get("/configuration/part/silences")
async def listed(request: Request, state: Shared, identity: Reads) -> HTMLResponse:
    """Those of run time and those of the file."""
    now_ms = state.clock()
    correlate = state.settings.correlate
    found = [(row, row.window, standing(row.state, row.window, now_ms)) for row in
             await visible(state, identity, every=True)]  # fmt: skip
    over = [one for one in found if one[2] in ("expired", "over")]
    declared = [
        (kind, f"correlate.{key}[{i}]", one, standing("active", one, now_ms))
        for kind, key, rules in (
            ("silence", "silences", correlate.silences),
            ("maintenance", "maintenance", correlate.maintenance),
        )
        for i, one in enumerate(rules)
    ]
    return state.page(
        request,
        "configuration_silences_list.html",
        identity,
        running=[one for one in found if one not in over],
        over=over[:MOST_OVER],
        left_out=max(0, len(over) - MOST_OVER),
        declared=declared,
        spoken=spoken,
        occurrences=lambda window: occurrences(window, now_ms, 3),
        local=local,
        counted=not identity.domains,
    )


@router.post(f"{PAGE}/preview")
async def tried(request: Request, state: Shared, identity: Reads, knows: Knows) -> HTMLResponse:
    """What the silence in the form would have held back. Changes nothing, so that whoever reads may ask."""
    audit("preview")
    fields = await form_of(request)
    now_ms = state.clock()
    form = asked(fields, identity.domains, now_ms, tried=True)
    found = None
    audit(reason=_said(form))
    if not form.wrong:
        label = state.settings.correlate.domain_label
        day = (await knows.day()).of(identity, label)
        found = await asyncio.to_thread(preview, form.silence, day, state.settings.correlate, now_ms)
    return state.page(
        request,
        "configuration_preview.html",
        identity,
        422 if form.wrong else 200,
        form=form,
        wrong=_by_field(form),
        fields=FIELDS,
        found=found,
        local=local,
        spoken=spoken,
    )


@router.post(PAGE)
async def made(request: Request, state: Shared, identity: Silences) -> Response:
    """Put it in force."""
    sent = await form_of(request)
    fields = {name: sent.get(name, "") for name in FIELDS}
    form = asked(fields, identity.domains, state.clock(), tried=False)
    if form.wrong:
        audit("silence", reason=_said(form))
        return _page(request, state, identity, fields, 422, wrong=_by_field(form))
    try:
        await add(state, identity, form.silence, replace=False)
    except HTTPException as error:
        audit(reason=str(error.detail))
        return _page(request, state, identity, fields, error.status_code, refused=str(error.detail))
    return RedirectResponse(f"{PAGE}#in-force", 303)


@router.post(f"{PAGE}/expire")
async def ended(request: Request, state: Shared, identity: Silences) -> Response:
    """End one now; its name is in the form, as it may hold anything."""
    name = (await form_of(request)).get("name", "")
    await expire(state, identity, name)
    return RedirectResponse(f"{PAGE}#in-force", 303)


def _said(form: Asked) -> str:
    return "; ".join(f"{field}: {text}" for field, text in form.wrong)


def _by_field(form: Asked) -> dict[str, str]:
    said: dict[str, list[str]] = {}
    for field, text in form.wrong:
        said.setdefault(field, []).append(text)
    return {field: "; ".join(texts) for field, texts in said.items()}
