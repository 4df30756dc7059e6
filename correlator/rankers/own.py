"""Rankers of what is its own: its signals, its logs, its silence, and what the past knows of it."""

from __future__ import annotations

from correlator.rankers.protocol import Field
from correlator.suspect import RESOURCES, take_signals


class OwnSignals:
    """Strength against its own normal, its resources, its logs, its silence, and what callers see of it."""

    name, weight = "signals", RESOURCES

    def look(self, field: Field) -> None:
        measured = (a for a in field.scene.alerts if a.kind != "log")
        first = min(measured, key=lambda a: (a.started_at, a.id), default=None)
        longest = max((s.lost for suspect in field.suspects for s in suspect.signals), default=0.0)
        for suspect in field.suspects:
            take_signals(suspect, first, longest)


class Remembered:
    """Its trouble was the cause before, when much the same was seen (`correlator.knowledge`)."""

    name, weight = "similar", 0.30

    def look(self, field: Field) -> None:
        suspects = {suspect.service: suspect for suspect in field.suspects}
        for service, cause, evidence in field.scene.past:
            suspect = suspects[service]
            suspect.evidence.append(evidence)
            suspect.cause = suspect.cause or cause
