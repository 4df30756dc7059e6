"""Lines of the list as HTML, rendered once a version for all who look at it."""

from __future__ import annotations

from markupsafe import Markup

from console.live.board import Entry
from console.render import Pages


class Lines:
    """Keeps at most `most` lines; those not asked for lately go first."""

    def __init__(self, pages: Pages, most: int = 5_000) -> None:
        self._pages = pages
        self._most = most
        self._kept: dict[str, tuple[str, str]] = {}

    def __call__(self, entry: Entry, now_ms: int) -> Markup:
        """The line, for a template."""
        return Markup(self.html(entry, now_ms))  # noqa: S704 - rendered with escaping

    def html(self, entry: Entry, now_ms: int) -> str:
        """The line. Ages in it are of when it was rendered; the browser keeps them up to date."""
        id, stamp = entry.row.id, entry.stamp
        known = self._kept.pop(id, None)
        if known is None or known[0] != stamp:
            html = self._pages.render("incident_row.html", entry=entry, now_ms=now_ms)
            known = (stamp, html)
        self._kept[id] = known
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return known[1]
