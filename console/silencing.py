"""Silences made and ended by people: may they, is it theirs, and what became of it."""

from __future__ import annotations

from fastapi import HTTPException

from config.suppression import Silence
from console.access.identity import Identity
from console.access.noting import audit
from console.state import State
from console.store import Unavailable
from correlator.silencing import action_of, confined, foreign
from sinks.suppressed import SilenceRow, silences
from streams.records.messages import ActionResult


async def visible(state: State, identity: Identity, *, every: bool = False) -> list[SilenceRow]:
    """Silences of run time that may concern what they may see. Raises `Unavailable`.

    What was held back is counted over all domains, so that only those who may see all are told.
    """
    found = await state.store.ask(lambda reader: silences(reader, every=every))
    return [row for row in found if not foreign(row.matchers, identity.domains)]


async def add(state: State, identity: Identity, silence: Silence, *, replace: bool) -> ActionResult:
    """Put in force a silence that `running_problems` has nothing against.

    Raises 409 (there is one of that name, or refused with the reason), 504 and `Unavailable`.
    """
    _noted("silence", silence.name, "; ".join(silence.matchers))
    known: SilenceRow | None = None
    try:
        known = await _named(state, silence.name)
    except Unavailable:
        if identity.domains:  # it might be somebody else's that is replaced
            raise
    if known is not None and not confined(known.matchers, identity.domains):
        raise HTTPException(409, f"the name {silence.name!r} is taken: choose another")
    if known is not None and not replace:
        raise HTTPException(409, f"silence {silence.name!r} is in force: expire it, or choose another name")
    return await _send(state, identity, "add", silence)


async def expire(state: State, identity: Identity, name: str) -> ActionResult:
    """End one now.

    Raises 403 when it holds for domains they may not see, too, 404, 409, 504 and `Unavailable`.
    """
    _noted("expire", name)
    known = await _named(state, name)
    if known is None or foreign(known.matchers, identity.domains):
        raise HTTPException(404, f"no silence {name!r} is in force")
    if not confined(known.matchers, identity.domains):
        raise HTTPException(403, "this silence holds for other domains, too")
    return await _send(state, identity, "expire", Silence(name=name))


def _noted(action: str, name: str, what: str = "") -> None:
    audit(action, target=f"silence/{name}", what=what)


async def _named(state: State, name: str) -> SilenceRow | None:
    found = await state.store.ask(silences)
    return next((row for row in found if row.name == name), None)


async def _send(state: State, identity: Identity, verb: str, silence: Silence) -> ActionResult:
    action = action_of(verb, silence, identity.name, state.clock())
    result = await state.bus.act(action, f"silence/{silence.name}")
    if result is None:
        raise HTTPException(
            504, f"sent as {action.id}, but no answer yet: is a worker running that correlates?"
        )
    if not result.applied:
        raise HTTPException(409, result.reason)
    return result
