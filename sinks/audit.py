"""Questions about the audit of the console. Times are ms UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from sinks.reader import Reader

COLUMNS = (
    "at", "who", "role", "via", "action", "target", "what", "reason", "outcome", "status", "method", "route",
    "address", "agent", "request_id", "domain", "n", "id",
)  # fmt: skip


class Place(NamedTuple):
    """A record among all, newest first."""

    at: int
    id: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The period [since, until) and what of it is wanted; an empty text lets everything through."""

    since_ms: int
    until_ms: int
    who: str = ""
    action: str = ""
    outcome: str = ""
    target: str = ""
    after: Place | None = None
    """only what is older than this one"""
    domains: Sequence[str] = ()
    """those one may see; none: all, and what is about no domain"""


_WHERE = """at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
      AND at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
      AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
      AND ({who:String} = '' OR who = {who:String})
      AND ({action:String} = '' OR action = {action:String})
      AND ({outcome:String} = '' OR outcome = {outcome:String})
      AND ({target:String} = '' OR target = {target:String})"""
_AFTER = """
      AND at <= fromUnixTimestamp64Milli({after_at:Int64}, 'UTC')
      AND (at < fromUnixTimestamp64Milli({after_at:Int64}, 'UTC') OR id < {after_id:String})"""


def records(reader: Reader, asked: Asked, limit: int) -> list[dict[str, Any]]:
    """Newest first, as a row of `COLUMNS` each."""
    columns = ", ".join(COLUMNS)
    sql = f"""
        SELECT {columns} FROM console_audit
        WHERE {_WHERE}{_AFTER if asked.after else ""}
        ORDER BY at DESC, id DESC LIMIT {{limit:UInt32}}
        """  # noqa: S608
    parameters: dict[str, Any] = {
        "since": asked.since_ms,
        "until": asked.until_ms,
        "who": asked.who,
        "action": asked.action,
        "outcome": asked.outcome,
        "target": asked.target,
        "domains": list(asked.domains),
        "limit": limit,
    }
    if asked.after:
        parameters |= {"after_at": asked.after.at, "after_id": asked.after.id}
    return reader.ask(sql, **parameters)
