"""Templates: escaped by default, with the few filters all pages share. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

_TIME = '<time datetime="{iso}" data-ms="{ms}" data-form="{form}">{text}</time>'


class Pages:
    """Renders the templates of this package."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(str(files("console") / "templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "time": time_of,
            "age": age_of,
            "duration": duration,
            "percent": lambda share: "–" if share is None else f"{100 * share:.0f} %",
            "number": number,
        }

        self._environment.globals["static"] = static

    def render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(**values)

    def block(self, template: str, name: str, **values: Any) -> str:
        """One block of a template, for a part of a page."""
        found = self._environment.get_template(template)
        return "".join(found.blocks[name](found.new_context(values)))


@cache
def static(name: str) -> str:
    """Address of a file under static/, with a digest of its contents, so that browsers may keep it."""
    content = (files("console") / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def time_of(at_ms: int | None, form: str = "minute") -> Markup:
    """A moment, as UTC in the page; the browser shows it in the zone the reader chose.

    `form`: minute, second or day.
    """
    if at_ms is None:
        return Markup("–")
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    text = when.strftime({"minute": "%Y-%m-%d %H:%M UTC", "second": "%H:%M:%S UTC", "day": "%Y-%m-%d"}[form])
    iso = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup(_TIME.format(iso=iso, ms=int(at_ms), form=escape(form), text=text))  # noqa: S704 - no input in it


def age_of(at_ms: int | None, now_ms: int) -> Markup:
    """How long ago, kept up to date by the browser."""
    if at_ms is None:
        return Markup("–")
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    iso = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup(  # noqa: S704 - no input in it
        _TIME.format(iso=iso, ms=int(at_ms), form="age", text=duration(now_ms - at_ms))
    )


def duration(ms: float | None) -> str:
    """In the two largest units that say something: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if ms is None:
        return "–"
    seconds = round(abs(ms) / 1000)
    sign = "-" if ms < 0 and seconds else ""
    if seconds < 60:
        return f"{sign}{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{sign}{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{sign}{hours} h {minutes} min" if minutes else f"{sign}{hours} h"
    days, hours = divmod(hours, 24)
    return f"{sign}{days} d {hours} h" if hours else f"{sign}{days} d"


def number(value: float | None) -> str:
    """With at most three digits that matter, thousands apart."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
