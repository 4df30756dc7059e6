"""An action of a person on an incident: may they, is it theirs to see, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from fastapi import HTTPException

from console.access.identity import PERMISSIONS, Identity
from console.access.noting import audit
from console.state import State
from correlator.incident import Incident
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult

PLAIN = frozenset(
    {"to", "category", "severity", "kind", "impact_level", "urgency", "priority", "major", "name", "op", "at"}
)
"""fields of actions whose values the audit has (docs/lifecycle.md)"""


async def incident_for(state: State, identity: Identity, id: str) -> Incident:
    """The newest version there is. Raises 404 also for incidents of domains one may not see."""
    stored = await state.store.ask(lambda reader: reader.incident(id))
    found = state.feed.recent.newer(id, stored)
    if found is None or not identity.sees(found.domain):
        raise HTTPException(404, f"no incident {id}")
    return found


async def domain_of(state: State, identity: Identity, id: str) -> str:
    """The domain of an incident one may see, from the board if it is there. Raises 404."""
    entry = state.board.get(id)
    if entry is None:
        return (await incident_for(state, identity, id)).domain
    if not identity.sees(entry.row.domain):
        raise HTTPException(404, f"no incident {id}")
    return entry.row.domain


async def act(
    state: State,
    identity: Identity,
    verb: str,
    incident: str,
    *,
    note: str = "",
    targets: tuple[str, ...] = (),
    found: Mapping[str, str] = {},
    fields: Mapping[str, str] = {},
) -> ActionResult:
    """Send an action and return its answer. `found`: cause, cause_service, fix, runbook.

    Raises 403, 404, 409 (refused, with the reason), 504 (sent, no answer yet) and `Unavailable`.
    """
    audit(
        verb if verb in PERMISSIONS else "", target=incident, what=changed(note, targets, {**found, **fields})
    )
    if not identity.may(verb):
        raise HTTPException(403, f"{identity.role} may not {verb}")
    if verb != "report":
        audit(domain=await domain_of(state, identity, incident))
    elif not identity.sees(fields.get("domain", "")):
        raise HTTPException(403, "this domain is not yours")
    else:
        audit(domain=fields.get("domain", ""))
    for other in targets if verb == "merge" else ():
        await domain_of(state, identity, other)
    at_ms = state.clock()
    said = [text for pair in sorted({**found, **fields}.items()) for text in pair]
    id = digest_hex("action", incident, verb, identity.name, note, str(at_ms), *targets, *said)
    action = Action(
        id=id,
        ts=at_ms,
        incident=incident,
        action=verb,
        actor=identity.name,
        note=note,
        targets=targets,
        fields=dict(fields),
    )
    action = msgspec.structs.replace(action, **found)
    result = await state.bus.act(action, incident)
    if result is None:
        raise HTTPException(504, f"sent as {id}, but no answer yet: is a worker running that correlates?")
    if not result.applied:
        raise HTTPException(409, result.reason)
    return result


def changed(note: str, targets: Sequence[str], fields: Mapping[str, str]) -> str:
    """For the audit: values of fields that are short and no prose, names of the others."""
    said = [
        f"{name}={value}" if name in PLAIN or name.endswith("_at") else name
        for name, value in sorted(fields.items())
    ]
    if targets:
        said.append(f"with {', '.join(targets)}")
    if note:
        said.append("note")
    return "; ".join(said)
