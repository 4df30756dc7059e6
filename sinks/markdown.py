"""Markdown people may have written, as HTML: what is HTML in it is shown, not run."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt


@cache
def renderer() -> MarkdownIt:
    # Images would be fetched from somewhere else, or show nothing.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
