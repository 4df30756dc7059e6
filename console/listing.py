"""A page of the list: what is active from memory, what may be over for long from ClickHouse."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from console.access.identity import Identity
from console.live.board import Entry, Selection
from console.live.filters import Filter
from console.live.row import row_of
from console.state import State
from correlator.incident import Incident
from sinks import search
from sinks.reader import Reader

PLACE = "^([0-9]{1,15}-[0-9a-f]{16})?$"
"""start and id of the last incident of the page before"""


class Listing(NamedTuple):
    """What a filter lets through."""

    wanted: Filter
    """what of the filter holds"""
    found: Selection
    older: str
    """of those that are over: the place of the next page; empty: this is the last"""


async def listing(state: State, identity: Identity, given: Filter, before: str, most: int) -> Listing:
    """The first `most`, or those after the place `before`. Raises `Unavailable`."""
    wanted = given.applied
    if not wanted.past:
        return Listing(wanted, state.board.select(wanted, identity.domains, most), "")
    found = await _past(state, identity, wanted, before, most)
    last = found.entries[-1].row if len(found.entries) == most else None
    return Listing(wanted, found, f"{last.started_at}-{last.id}" if last else "")


async def _past(state: State, identity: Identity, wanted: Filter, before: str, most: int) -> Selection:
    """Counts are of all of the filter, not of the page."""
    at, _, id = before.partition("-")
    place = (int(at), id) if before else None
    asked = wanted.wanted()

    def ask(reader: Reader) -> tuple[list[Incident], Counter[str]]:
        oldest = wanted.sort == "oldest"
        found = search.incidents(
            reader, asked, allowed=identity.domains, before=place, limit=most, oldest=oldest
        )
        return found, search.counts(reader, asked, allowed=identity.domains)

    incidents, counts = await state.store.ask(ask)
    rows = [row_of(incident) for incident in incidents]
    entries = [Entry(row, known.due if (known := state.board.get(row.id)) else None) for row in rows]
    return Selection(entries, counts.total(), counts)
