"""Series of the history, found and judged once more: for their pages and for programs."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import HTTPException, Path

from console.access.identity import Identity
from console.state import State
from detectors.explore import Explored, choices, explore
from sinks import history
from sinks.history import SeriesRow
from sinks.reader import Reader

DAY_MS = 86_400_000
RANGES = {"15m": 15 * 60_000, "1h": 3_600_000, "6h": 6 * 3_600_000, "1d": DAY_MS, "3d": 3 * DAY_MS}
LEARN_MS = 3_600_000
"""read before what is shown, so that what is usual is known there"""
Fingerprint = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="of a series, 16 hex digits")]


class Pick(NamedTuple):
    """A series as it was sent, and what detectors make of it: fingerprint and metric, the best first."""

    row: SeriesRow
    choices: list[tuple[str, str]]


class Judged(NamedTuple):
    sources: list[SeriesRow]
    """as sent; several where a figure is of many label sets together"""
    found: Explored | None
    """None: there is no sample in this time"""
    begin: int
    end: int
    """ms UTC: what was asked for; `found` begins `LEARN_MS` earlier"""


async def picks(state: State, identity: Identity, service: str, words: str, most: int) -> list[Pick]:
    """Series of which samples are kept, the most recently seen first. Raises `Unavailable`."""
    domains = identity.domains or None
    rows = await state.store.ask(
        lambda reader: history.series_like(reader, service, "", words, most, domains=domains)
    )
    return [Pick(row, choices(row.series)) for row in rows]


async def judged(
    state: State, identity: Identity, fingerprint: str, range: str, until_ms: int | None
) -> Judged:
    """One of them over the `range` before `until_ms` (None: now).

    Raises 404 when nothing of it is kept, or it is of a domain one may not see; and `Unavailable`.
    """
    end = until_ms if until_ms is not None else state.clock()
    begin = end - RANGES[range]
    domains = identity.domains or None

    def ask(reader: Reader) -> Judged:
        sources = history.source_of(reader, fingerprint, domains)
        if not sources:
            return Judged([], None, begin, end)
        raw = history.raw_of(reader, fingerprint, begin - LEARN_MS, end, domains)
        return Judged(sources, explore(raw, fingerprint, state.settings.detect), begin, end)

    answer = await state.store.ask(ask)
    if not answer.sources:
        raise HTTPException(404, f"no samples of series {fingerprint} are kept, see history in the settings")
    return answer
