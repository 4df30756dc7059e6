"""A review as one HTML page that needs nothing else: Markdown rendered with HTML switched off. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cli.output import figure
from correlator.afterwards import Review
from correlator.incident import Incident
from correlator.when import utc
from sinks.markdown import renderer

_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\b")
"""broken between date and time at most"""


class Phase(NamedTuple):
    """A part of the incident's course."""

    name: str
    words: str
    share: int
    """of the bar's width, out of 1000 or so"""
    took: str


def page(incident: Incident, markdown: str, edited: Review | None = None) -> str:
    """`markdown`: text people may have written; HTML in it is shown, not run."""
    body = renderer().render(markdown)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    body = _TIME.sub(r"<time><span>\1</span> <span>\2</span></time>", body)
    template = _environment().get_template("review.html.j2")
    # Markup: made by the renderer, which escapes whatever came in.
    return template.render(i=incident, body=Markup(body), course=course(incident), edited=edited)  # noqa: S704


def course(i: Incident) -> list[Phase]:
    """From the first sample to the close, each part as wide as the root of its time, so that all are seen."""
    marks = (
        ("unseen", "not noticed", i.started_at, i.detected_at),
        ("unheard", "nobody on it", i.detected_at, i.acknowledged_at),
        ("worked", "worked on", i.acknowledged_at, i.mitigated_at),
        ("eased", "contained", i.mitigated_at, i.resolved_at),
        ("watched", "verified", i.resolved_at, i.closed_at),
    )
    end = next((at for at in (i.closed_at, i.resolved_at) if at is not None), i.updated_at)
    phases: list[Phase] = []
    for index, (name, words, begin, until) in enumerate(marks):
        if begin is None:
            continue
        if until is None:
            until = next((m[3] for m in marks[index + 1 :] if m[3] is not None), end)
        if until <= begin:
            continue
        phases.append(Phase(name, words, max(1, round((until - begin) ** 0.5)), figure(until - begin)))
    return phases


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("cli", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    made.filters["utc"] = utc
    return made
