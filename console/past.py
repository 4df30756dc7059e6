"""Incidents that may be over for long: a page of them from ClickHouse, and how many there are."""

from __future__ import annotations

from console.access.identity import Identity
from console.live.board import Entry, Selection
from console.live.filters import Filter
from console.live.row import row_of
from console.state import State
from sinks import search
from sinks.reader import Reader

PLACE = "^([0-9]{1,15}-[0-9a-f]{16})?$"
"""start and id of the last incident of the page before"""


async def past(state: State, identity: Identity, wanted: Filter, before: str, most: int) -> Selection:
    """Counts are of all of the filter, not of the page. Raises `Unavailable`."""
    at, _, id = before.partition("-")
    place = (int(at), id) if before else None
    asked = wanted.wanted()

    def ask(reader: Reader) -> Selection:
        found = search.incidents(
            reader,
            asked,
            allowed=identity.domains,
            before=place,
            limit=most,
            oldest=wanted.sort == "oldest",
        )
        counts = search.counts(reader, asked, allowed=identity.domains)
        rows = [row_of(incident) for incident in found]
        entries = [Entry(row, known.due if (known := state.board.get(row.id)) else None) for row in rows]
        return Selection(entries, counts.total(), counts)

    return await state.store.ask(ask)


def following(found: Selection, most: int) -> str:
    """The place of the next page; empty: this is the last."""
    if len(found.entries) < most:
        return ""
    last = found.entries[-1].row
    return f"{last.started_at}-{last.id}"
