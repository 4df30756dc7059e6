"""An incident in one sentence, for texts. Pure."""

from __future__ import annotations

from textwrap import shorten

from correlator.incident import Incident
from correlator.when import figure, percent, some, utc


def headline(incident: Incident) -> str:
    """One sentence: what, since when, the likely cause, and where it stands."""
    services = some(len(incident.services), "service")
    size = some(len(incident.alerts) + incident.truncated_members, "alert")
    parts = [f"{size} in {services} since {utc(incident.started_at)} UTC"]
    if incident.hints:
        best = incident.hints[0]
        words = f": {shorten(best.cause, 70, placeholder=' …')}" if best.cause else ""
        parts.append(f"most likely caused by {best.service}, confidence {percent(best.confidence)}{words}")
    else:
        parts.append("no likely cause found")
    if incident.state == "merged":
        parts.append(f"merged into {incident.merged_into}")
    elif incident.resolved_at is not None:
        how = {"auto": "by itself", "human": "by a person"}.get(incident.resolved_by, "")
        parts.append(f"resolved {how} after {figure(incident.resolved_at - incident.started_at)}")
    elif incident.acknowledged_at is not None:
        parts.append(f"acknowledged by {incident.acknowledged_by or 'somebody'}, not resolved")
    else:
        parts.append("nobody has acknowledged it")
    return "; ".join(parts) + "."
