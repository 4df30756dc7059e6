"""Questions about action items, reviews and status updates; what a review is made of. Times are ms UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from correlator.afterwards import ActionItem, Review, StatusUpdate
from correlator.incident import Incident
from correlator.response import Clock, Duty
from sinks.notification import Notification
from sinks.past import KnowledgeRow, known_of
from sinks.reader import Reader, Timing
from sinks.response_rows import CLOCKS, DUTIES, ITEMS, NOTIFICATIONS, UPDATES
from sinks.suppressed import SuppressionRow

LIVE_ITEMS = ("open", "in progress")
MOST_ROWS = 200
"""suppressed alerts and notifications in one review"""


class Material(msgspec.Struct, frozen=True):
    """Everything a review says, as it is stored."""

    incident: Incident
    timing: Timing | None
    known: KnowledgeRow | None
    suppressed: tuple[SuppressionRow, ...]
    suppressed_total: int
    clocks: tuple[Clock, ...]
    duty: Duty | None
    notifications: tuple[Notification, ...]
    items: tuple[ActionItem, ...]
    updates: tuple[StatusUpdate, ...]
    earlier: int
    """incidents with the same signature that began before this one"""
    before: tuple[tuple[str, int, str], ...]
    """the newest of them: id, start, title"""


def material(reader: Reader, id: str) -> Material | None:
    """What is known of one incident; None if there is none."""
    incident = reader.incident(id)
    if incident is None:
        return None
    suppressed, total = _suppressed(reader, incident)
    before, earlier = _before(reader, incident)
    return Material(
        incident=incident,
        timing=reader.timing(id),
        known=known_of(reader, id),
        suppressed=suppressed,
        suppressed_total=total,
        clocks=_clocks(reader, id),
        duty=_duty(reader, id),
        notifications=_notifications(reader, id),
        items=tuple(items(reader, incident=id)),
        updates=tuple(updates(reader, incident=id)),
        earlier=earlier,
        before=before,
    )


def items(
    reader: Reader,
    *,
    incident: str = "",
    states: Sequence[str] = (),
    owner: str = "",
    due_before: str = "",
    limit: int = 1_000,
) -> list[ActionItem]:
    """Those that are due first come first, those without a date last. `due_before`: a date, exclusive."""
    rows = reader.ask(
        f"""
        SELECT {_columns(ITEMS.columns)} FROM action_items
        WHERE ({{incident:String}} = '' OR incident = {{incident:String}})
          AND (empty({{states:Array(String)}}) OR has({{states:Array(String)}}, state))
          AND ({{owner:String}} = '' OR lowerUTF8(owner) = lowerUTF8({{owner:String}}))
          AND ({{due:String}} = '' OR (due != '' AND due < {{due:String}}))
        ORDER BY due = '', due, action_items.created_at, id
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        incident=incident,
        states=list(states),
        owner=owner,
        due=due_before,
        limit=limit,
    )
    return [msgspec.convert({"type": "action_item", **_times(row)}, ActionItem) for row in rows]


def items_like(reader: Reader, prefix: str) -> list[ActionItem]:
    """Items whose id begins with `prefix`."""
    rows = reader.ask(
        f"SELECT {_columns(ITEMS.columns)} FROM action_items"  # noqa: S608
        " WHERE startsWith(id, {prefix:String}) ORDER BY id LIMIT 6",
        prefix=prefix,
    )
    return [msgspec.convert({"type": "action_item", **_times(row)}, ActionItem) for row in rows]


def updates(
    reader: Reader, *, incident: str = "", states: Sequence[str] = (), limit: int = 200
) -> list[StatusUpdate]:
    """Newest last."""
    rows = reader.ask(
        f"""
        SELECT * FROM
        (
            SELECT {_columns(UPDATES.columns)} FROM status_updates
            WHERE ({{incident:String}} = '' OR incident = {{incident:String}})
              AND (empty({{states:Array(String)}}) OR has({{states:Array(String)}}, state))
            ORDER BY status_updates.changed_at DESC, audience, id
            LIMIT {{limit:UInt32}}
        ) ORDER BY changed_at, audience, id
        """,  # noqa: S608
        incident=incident,
        states=list(states),
        limit=limit,
    )
    return [msgspec.convert({"type": "status_update", **_times(row)}, StatusUpdate) for row in rows]


def updates_like(reader: Reader, prefix: str) -> list[StatusUpdate]:
    """Updates whose id begins with `prefix`."""
    rows = reader.ask(
        f"SELECT {_columns(UPDATES.columns)} FROM status_updates"  # noqa: S608
        " WHERE startsWith(id, {prefix:String}) ORDER BY id LIMIT 6",
        prefix=prefix,
    )
    return [msgspec.convert({"type": "status_update", **_times(row)}, StatusUpdate) for row in rows]


def review(reader: Reader, incident: str) -> Review | None:
    """The review as people have edited it last."""
    rows = reader.ask(
        "SELECT incident, version, text, actor, changed_at FROM reviews WHERE incident = {incident:String}",
        incident=incident,
    )
    return msgspec.convert({"type": "review", **_times(rows[0])}, Review) if rows else None


def _clocks(reader: Reader, incident: str) -> tuple[Clock, ...]:
    rows = reader.ask(
        f"""
        SELECT {_columns(CLOCKS.columns)} FROM clock_versions FINAL
        WHERE incident = {{incident:String}} ORDER BY version DESC LIMIT 1 BY id
        """,  # noqa: S608
        incident=incident,
    )
    found = (msgspec.convert({"type": "clock", **_times(row)}, Clock) for row in rows)
    return tuple(sorted(found, key=lambda c: (c.started_at, c.due_at, c.name)))


def _duty(reader: Reader, incident: str) -> Duty | None:
    rows = reader.ask(
        f"""
        SELECT {_columns(DUTIES.columns)} FROM duty_versions FINAL
        WHERE incident = {{incident:String}} ORDER BY version DESC LIMIT 1
        """,  # noqa: S608
        incident=incident,
    )
    return msgspec.convert({"type": "duty", **_times(rows[0])}, Duty, strict=False) if rows else None


def _notifications(reader: Reader, incident: str) -> tuple[Notification, ...]:
    """How each thing that was to be told ended: its newest version."""
    rows = reader.ask(
        f"""
        SELECT * FROM
        (
            SELECT {_columns(NOTIFICATIONS.columns)} FROM notification_versions FINAL
            WHERE incident = {{incident:String}}
            ORDER BY version DESC LIMIT 1 BY target, dedup_key, about, incident_version
        ) ORDER BY at, target, version LIMIT {MOST_ROWS}
        """,  # noqa: S608
        incident=incident,
    )
    return tuple(msgspec.convert({**row, "at_ms": row["at"]}, Notification, strict=False) for row in rows)


def _suppressed(reader: Reader, incident: Incident) -> tuple[tuple[SuppressionRow, ...], int]:
    """What was held back of its services while it lasted: a service of the same name elsewhere is another."""
    columns = ", ".join(SuppressionRow.__struct_fields__)
    until = incident.resolved_at if incident.resolved_at is not None else incident.updated_at
    rows = reader.ask(
        f"""
        SELECT {columns}, count() OVER () AS total FROM suppressions
        WHERE has({{services:Array(String)}}, service) AND domain = {{domain:String}}
          AND toUnixTimestamp64Milli(suppressions.since) <= {{until:Int64}}
          AND (suppressions.until IS NULL OR state = 'active'
               OR toUnixTimestamp64Milli(assumeNotNull(suppressions.until)) >= {{from:Int64}})
        ORDER BY suppressions.since, alert LIMIT {MOST_ROWS}
        """,  # noqa: S608
        services=[role.service for role in incident.services],
        domain=incident.domain,
        until=until,
        **{"from": incident.started_at},
    )
    found = tuple(msgspec.convert(row, SuppressionRow) for row in rows)
    return found, rows[0]["total"] if rows else 0


def _before(reader: Reader, incident: Incident) -> tuple[tuple[tuple[str, int, str], ...], int]:
    """Incidents of the same kind that began sooner, the newest five, and how many there are."""
    if not incident.signature:
        return (), 0
    rows = reader.ask(
        """
        SELECT id, started_at, title, count() OVER () AS total FROM incidents
        WHERE signature = {signature:String} AND domain = {domain:String} AND id != {id:String}
          AND state != 'merged' AND toUnixTimestamp64Milli(incidents.started_at) < {start:Int64}
        ORDER BY incidents.started_at DESC, id LIMIT 5
        """,
        signature=incident.signature,
        domain=incident.domain,
        id=incident.id,
        start=incident.started_at,
    )
    return tuple((r["id"], r["started_at"], r["title"]) for r in rows), rows[0]["total"] if rows else 0


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _times(row: dict[str, Any]) -> dict[str, Any]:
    """The messages call it `at_ms`."""
    return {**row, "at_ms": row["changed_at"]}
