"""Incidents of the past: by filter and words, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from correlator.incident import Incident
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


def incidents(
    reader: Reader, wanted: Wanted, *, allowed: Sequence[str] = (), before: tuple[int, str] | None, limit: int
) -> list[Incident]:
    """Newest versions, newest start first.

    `allowed`: domains one may see, none: all; `before`: start (ms UTC) and id of the last of the page before.
    """
    columns = ", ".join(f"`{name}`" for name in INCIDENTS.columns)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM incidents
        WHERE (empty({{states:Array(String)}}) OR has({{states:Array(String)}}, state))
          AND (empty({{severities:Array(String)}}) OR has({{severities:Array(String)}}, severity))
          AND (empty({{priorities:Array(String)}}) OR has({{priorities:Array(String)}}, priority))
          AND (empty({{categories:Array(String)}}) OR has({{categories:Array(String)}}, category))
          AND (empty({{services:Array(String)}}) OR hasAny(`services.service`, {{services:Array(String)}}))
          AND (empty({{teams:Array(String)}})
               OR has({{teams:Array(String)}}, multiIf(assignee != '', assignee, owner != '', owner, '-')))
          AND (empty({{domains:Array(String)}}) OR has({{domains:Array(String)}}, domain))
          AND (empty({{allowed:Array(String)}}) OR has({{allowed:Array(String)}}, domain))
          AND ({{acknowledged:Int8}} = -1 OR (acknowledged_at IS NOT NULL) = {{acknowledged:Int8}})
          AND (incidents.started_at, id)
              < (fromUnixTimestamp64Milli({{before:Int64}}, 'UTC'), {{before_id:String}})
          AND arrayAll(
                word -> positionCaseInsensitiveUTF8(
                    concat(id, ' ', title, ' ', hints, ' ', members, ' ', timeline, ' ', cause, ' ', fix),
                    word) > 0,
                {{words:Array(String)}})
        ORDER BY incidents.started_at DESC, id DESC
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        states=list(wanted.states),
        severities=list(wanted.severities),
        priorities=list(wanted.priorities),
        categories=list(wanted.categories),
        services=list(wanted.services),
        teams=list(wanted.teams),
        domains=list(wanted.domains),
        allowed=list(allowed),
        acknowledged=-1 if wanted.acknowledged is None else int(wanted.acknowledged),
        before=before[0] if before else 9_000_000_000_000,
        before_id=before[1] if before else "",
        words=list(wanted.words),
        limit=limit,
    )
    return [incident_of(row) for row in rows]
