"""What is going on now, for those who then follow the topics."""

from __future__ import annotations

import msgspec

from correlator.incident import Incident
from correlator.response import Clock
from sinks.reader import OPEN_STATES, Reader
from sinks.response_rows import CLOCKS
from sinks.rows import INCIDENTS, incident_of

RECENT_DAYS = 1


def incidents_active(reader: Reader, limit: int = 20_000) -> list[Incident]:
    """Newest versions of all that are active, and of those resolved within a day, newest first."""
    columns = ", ".join(f"`{name}`" for name in INCIDENTS.columns)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM incidents
        WHERE state IN {{states:Array(String)}}
           OR (state = 'resolved' AND updated_at > now() - INTERVAL {{days:UInt32}} DAY)
        ORDER BY updated_at DESC, id
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        states=list(OPEN_STATES),
        days=RECENT_DAYS,
        limit=limit,
    )
    return [incident_of(row) for row in rows]


def clocks_running(reader: Reader, limit: int = 100_000) -> list[Clock]:
    """Deadlines that nothing has stopped yet, the latest first."""
    columns = ", ".join(f"`{name}`" for name in CLOCKS.columns)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM clock_facts FINAL
        WHERE stopped_at IS NULL AND state != 'cancelled'
        ORDER BY due_at DESC
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        limit=limit,
    )
    return [msgspec.convert({"type": "clock", **row, "at_ms": row["changed_at"]}, Clock) for row in rows]
