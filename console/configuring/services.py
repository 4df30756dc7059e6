"""Services of the catalogue and of telemetry in one list. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from config.catalogue import Service
from correlator.conflicts import Graph

SHOWN = {
    "": "all",
    "listed": "in the catalogue",
    "unlisted": "telemetry, no entry",
    "silent": "entry, never seen",
}
"""which -> in words"""


class Row(NamedTuple):
    """A service in the list."""

    service: str
    entry: Service | None
    seen_at: int | None
    """its telemetry was last seen, ms UTC; None: none of its own"""
    named: bool
    """others have been seen to call it"""
    needs: int
    needed_by: int

    @property
    def words(self) -> str:
        """What a search looks in."""
        one = self.entry
        more = (one.name, one.owner, one.application, one.environment, *one.aliases) if one else ()
        return " ".join((self.service, *more)).lower()


def rows(graph: Graph) -> list[Row]:
    """All services there are, by name."""
    called = {callee for _, callee in graph.learned}
    return [
        Row(
            name,
            graph.catalogue.services.get(name),
            graph.met.get(name),
            name in called,
            len(graph.callees.get(name, ())),
            len(graph.callers.get(name, ())),
        )
        for name in graph.services
    ]


def selected(found: Sequence[Row], q: str, which: str) -> list[Row]:
    """Those in which all words of `q` occur, of the kind `which` (a key of `SHOWN`)."""
    words = q.lower().split()
    return [
        row for row in found if _is(row, which) and (not words or all(word in row.words for word in words))
    ]


def counts(found: Sequence[Row]) -> dict[str, int]:
    """How many of each kind of `SHOWN` there are."""
    return {which: sum(_is(row, which) for row in found) for which in SHOWN}


def _is(row: Row, which: str) -> bool:
    if which == "listed":
        return row.entry is not None
    if which == "unlisted":
        return row.entry is None and row.seen_at is not None
    if which == "silent":
        return row.entry is not None and row.seen_at is None and not row.named
    return True
