"""The post-incident review: the draft, the editor, action items and status updates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from console.access.guard import Reads, needs
from console.access.identity import Identity
from console.access.noting import audit
from console.acting import act, domain_of
from console.forms import form_of
from console.pages.incident import material_for
from console.state import Shared
from sinks import afterwards
from sinks.markdown import renderer
from sinks.reviewtext import fields_of, markdown, without_items

router = APIRouter()


@router.get("/incidents/{id}/review")
async def review(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """The text as people edited it last; before that the draft, made anew each time."""
    material = await material_for(state, identity, id)
    edited = await state.store.ask(lambda reader: afterwards.review(reader, id))
    text = edited.text if edited is not None else without_items(markdown(material))
    return state.page(
        request,
        "incident_review.html",
        identity,
        m=material,
        i=material.incident,
        edited=edited,
        text=text,
        html=rendered(text),
    )


@router.post("/incidents/{id}/review/preview")
async def preview(request: Request, state: Shared, identity: Reads, id: str) -> HTMLResponse:
    """The text of the editor as it will look."""
    audit("preview", target=id)
    audit(domain=await domain_of(state, identity, id))
    form = await form_of(request)
    return HTMLResponse(rendered(form.get("text", "")))


@router.post("/incidents/{id}/review")
async def keep(
    request: Request, state: Shared, identity: Annotated[Identity, Depends(needs("review"))], id: str
) -> HTMLResponse:
    """Keep the text. The correlator refuses it when somebody has kept another one since it was opened:
    what ClickHouse has is seconds behind."""
    form = await form_of(request)
    base = form.get("version") or "0"
    if not (base.isascii() and base.isdecimal()):
        raise HTTPException(422, f"version is {base[:20]!r}: expected that of the text, a number")
    fields = {**fields_of(without_items(form.get("text", ""))), "base": base}
    await act(state, identity, "review", id, fields=fields)
    version = int(base) + 1  # it is the number the correlator holds, or the text would have been refused
    return state.page(
        request, "part_done.html", identity, text=f"Version {version} is kept.", version=version
    )


def rendered(text: str) -> Markup:
    """Markdown as HTML. What is HTML in it is shown, not run."""
    html = renderer().render(text)
    for side, name in (("right", "n"), ("left", "any"), ("center", "any")):
        # Inline styles are refused by the page's policy. In text the quotes are escaped: only tags are met.
        html = html.replace(f' style="text-align:{side}"', f' class="{name}"')
    return Markup(html)  # noqa: S704 - the renderer escapes what comes in
