"""Which records of the audit are asked for: the same for the page, the file and the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Query

from console.access.audit import ALWAYS
from console.access.guard import needs
from console.access.identity import PERMISSIONS, Identity
from console.state import Shared
from sinks.audit import Asked, Place
from streams.records.audit import NAME
from streams.records.messages import MAX_MS

DAY_MS = 86_400_000
DAYS = (1, 7, 30, 90, 365, 1_095)
ACTIONS = sorted(
    {*PERMISSIONS, *ALWAYS, "expire", "other", "preview", "refused", "workaround"}
    - {"read", "audit", "problem"}
)
"""for choosing"""

Admin = Annotated[Identity, Depends(needs("audit"))]
Name = Annotated[str, Query(max_length=NAME)]
Moment = Annotated[str, Query(max_length=40, description="ms UTC, or ISO 8601, without a zone in UTC")]


class Chosen(NamedTuple):
    """As it stands in the address."""

    asked: Asked
    days: int
    since: str
    until: str
    query: dict[str, Any]
    """of the address, without the place"""

    def address(self, **changes: Any) -> str:
        """The query of a link to the same with some of it changed."""
        return urlencode({name: one for name, one in {**self.query, **changes}.items() if one != ""})


def chosen(
    state: Shared,
    identity: Admin,
    who: Annotated[Name, Query(description="name of a person or program")] = "",
    action: Annotated[
        Name, Query(description="login, token_refused, acknowledge, silence, refused, ...")
    ] = "",
    outcome: Literal["", "done", "refused", "failed"] = "",
    target: Annotated[Name, Query(description="id of an incident, problem/ID, silence/NAME")] = "",
    days: Annotated[int, Query(ge=1, le=3_650, description="the last so many, without since")] = 30,
    since: Moment = "",
    until: Moment = "",
    before: Annotated[
        str,
        Query(pattern=r"^([0-9]{1,15}-[0-9a-f]{1,60})?$", description="older than this: `next` of an answer"),
    ] = "",
) -> Chosen:
    """Raises 422 for times that are none."""
    begin = moment("since", since)
    end = moment("until", until)
    at, _, id = before.partition("-")
    asked = Asked(
        since_ms=max(0, state.clock() - days * DAY_MS) if begin is None else begin,
        until_ms=MAX_MS if end is None else end,
        who=who,
        action=action,
        outcome=outcome,
        target=target,
        after=Place(min(int(at), MAX_MS), id) if before else None,
        domains=identity.domains,
    )
    period = {"since": since} if since else {"days": days}
    query = {"who": who, "action": action, "outcome": outcome, "target": target, **period, "until": until}
    return Chosen(asked, days, since, until, query)


Wanted = Annotated[Chosen, Depends(chosen)]


def moment(name: str, text: str) -> int | None:
    """None: not given. Raises 422."""
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            found = int(text)
        else:
            when = datetime.fromisoformat(text)
            found = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        found = -1
    if not 0 <= found <= MAX_MS:
        raise HTTPException(422, f"{name} is {text!r}: expected ms UTC or a time like 2027-01-31T12:00")
    return found


def place_of(row: dict[str, Any]) -> str:
    """`before` for what is older than this record."""
    return f"{row['at']}-{row['id']}"
