"""From samples to incidents over the last day: what the pipeline is for, in four numbers."""

from __future__ import annotations

from typing import NamedTuple

from console.access.identity import Identity
from console.state import State
from console.store import Unavailable
from sinks import questions
from sinks.questions import QUESTIONS, Asked

DAY_MS = 86_400_000


class Counted(NamedTuple):
    since: int
    until: int
    samples: int
    alerts: int
    suppressed: int
    incidents: int
    reduction: float | None


async def funnel_of(state: State, identity: Identity, now_ms: int) -> Counted | None:
    """None for whoever may not see all domains, as the question cannot be limited to some; and without
    ClickHouse, as the rest of the pipeline can be told all the same."""
    if identity.domains:
        return None
    asked = Asked(since_ms=now_ms - DAY_MS, until_ms=now_ms)
    try:
        _, rows = await state.store.ask(lambda reader: questions.answer(reader, QUESTIONS["funnel"], asked))
    except Unavailable:
        return None
    return Counted(asked.since_ms, asked.until_ms, **rows[0])
