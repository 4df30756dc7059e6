"""Incidents that may belong to one, to choose from when merging. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from console.live.row import Row
from correlator.incident import Incident

MOST = 12


def others(rows: Iterable[Row], incident: Incident, most: int = MOST) -> list[Row]:
    """Those of its domain, first those with services of its own, then those that began close to it."""
    mine = {role.service for role in incident.services}
    found = [row for row in rows if row.id != incident.id and row.domain == incident.domain]
    found.sort(key=lambda r: (mine.isdisjoint(r.services), abs(r.started_at - incident.started_at), r.id))
    return found[:most]
