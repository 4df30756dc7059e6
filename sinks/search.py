"""Incidents of the past: by filter and words, a page at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from correlator.incident import Incident
from detectors.alert import SEVERITIES
from sinks.reader import Reader
from sinks.rows import INCIDENTS, incident_of


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """All parts must hold; within one part, any value. An empty part lets everything through."""

    states: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    """`-`: those without one"""
    domains: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """all must occur in title, causes, signals, timeline, recorded cause or fix; case does not matter"""
    acknowledged: bool | None = None


_WHERE = """
    (empty({states:Array(String)}) OR has({states:Array(String)}, state))
    AND (empty({severities:Array(String)}) OR has({severities:Array(String)}, severity))
    AND (empty({priorities:Array(String)}) OR has({priorities:Array(String)}, priority))
    AND (empty({categories:Array(String)}) OR has({categories:Array(String)}, category))
    AND (empty({services:Array(String)}) OR hasAny(`services.service`, {services:Array(String)}))
    AND (empty({teams:Array(String)})
         OR has({teams:Array(String)}, multiIf(assignee != '', assignee, owner != '', owner, '-')))
    AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
    AND (empty({allowed:Array(String)}) OR has({allowed:Array(String)}, domain))
    AND ({acknowledged:Int8} = -1 OR (acknowledged_at IS NOT NULL) = {acknowledged:Int8})"""
_WORDS = """
    AND arrayAll(
        word -> positionCaseInsensitiveUTF8(
            concat(id, ' ', title, ' ', hints, ' ', members, ' ', timeline, ' ', cause, ' ', fix),
            word) > 0,
        {words:Array(String)})"""
"""only where there are words: it reads the largest columns"""
EVER_MS = 9_000_000_000_000
"""later than any incident starts"""


def incidents(
    reader: Reader,
    wanted: Wanted,
    *,
    allowed: Sequence[str] = (),
    before: tuple[int, str] | None,
    limit: int,
    oldest: bool = False,
) -> list[Incident]:
    """Newest versions, newest start first, or oldest.

    `allowed`: domains one may see, none: all; `before`: start (ms UTC) and id of the last of the page before.
    """
    columns = ", ".join(f"`{name}`" for name in INCIDENTS.columns)
    follows, order = (">", "ASC") if oldest else ("<", "DESC")
    at_ms, id = before or (0 if oldest else EVER_MS, "")
    where, parameters = _matching(wanted, allowed)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM incidents
        WHERE {where}
          AND (incidents.started_at, id)
              {follows} (fromUnixTimestamp64Milli({{before:Int64}}, 'UTC'), {{before_id:String}})
        ORDER BY incidents.started_at {order}, id {order}
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        before=min(at_ms, EVER_MS),
        before_id=id,
        limit=limit,
        **parameters,
    )
    return [incident_of(row) for row in rows]


def counts(reader: Reader, wanted: Wanted, *, allowed: Sequence[str] = ()) -> Counter[str]:
    """How many there are of each severity, whatever the page."""
    where, parameters = _matching(wanted, allowed)
    each = ", ".join(f"countIf(severity = '{name}') AS {name}" for name in SEVERITIES)
    (row,) = reader.ask(f"SELECT {each} FROM incidents WHERE {where}", **parameters)  # noqa: S608
    return Counter({name: n for name, n in row.items() if n})


def _matching(wanted: Wanted, allowed: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The condition, and its parameters."""
    parameters: dict[str, Any] = {
        "states": list(wanted.states),
        "severities": list(wanted.severities),
        "priorities": list(wanted.priorities),
        "categories": list(wanted.categories),
        "services": list(wanted.services),
        "teams": list(wanted.teams),
        "domains": list(wanted.domains),
        "allowed": list(allowed),
        "acknowledged": -1 if wanted.acknowledged is None else int(wanted.acknowledged),
    }
    if not wanted.words:
        return _WHERE, parameters
    return _WHERE + _WORDS, {**parameters, "words": list(wanted.words)}
