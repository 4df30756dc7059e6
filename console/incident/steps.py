"""What may be done to an incident now, by whom, and if not, why not. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from console.access.identity import PERMISSIONS, Identity
from correlator.incident import Incident
from correlator.lifecycle import LEGAL, Refusal, after
from correlator.people import LATER

LABELS: Mapping[str, str] = {
    "acknowledge": "Acknowledge",
    "mitigate": "Contained",
    "resolve": "Resolve",
    "reopen": "Reopen",
    "close": "Close",
    "assign": "Assign",
    "note": "Note",
    "classify": "Classify",
    "impact": "Impact",
    "edit": "Correct times",
    "pause": "Pause clocks",
    "resume": "Resume clocks",
    "submit": "Report handed in",
    "record": "Record cause and fix",
    "merge": "Merge others in",
    "split": "Split off",
    "undo": "Undo merge",
}
"""verb -> what its button says, in the order of a menu"""
NEXT = {
    "open": "acknowledge",
    "reopened": "acknowledge",
    "acknowledged": "mitigate",
    "mitigated": "resolve",
    "resolved": "close",
}
"""state -> the step that usually follows"""
_LIVE = ("open", "acknowledged", "mitigated", "reopened")


class Step(msgspec.Struct, frozen=True):
    verb: str
    label: str
    why_not: str
    """empty: it may be done"""
    first: bool
    """the step that usually follows now"""


def steps(incident: Incident, identity: Identity) -> list[Step]:
    """All verbs, each with why it may not be done now."""
    return [
        Step(verb, label, why_not(verb, incident, identity), NEXT.get(incident.state) == verb)
        for verb, label in LABELS.items()
    ]


def why_not(verb: str, incident: Incident, identity: Identity) -> str:
    """What the correlator or the console would say; empty: it may be done."""
    if not identity.may(verb):
        return f"needs the role {PERMISSIONS.get(verb, 'admin')}, yours is {identity.role}"
    if verb in LEGAL:
        if verb == "merge":
            return (
                "" if incident.state in _LIVE else f"cannot merge into an incident that is {incident.state}"
            )
        following = after(incident.state, verb)
        return following.reason if isinstance(following, Refusal) else ""
    if verb == "undo":
        merged = incident.state == "merged" or bool(incident.merged_from)
        return "" if merged else "nothing was merged into it"
    if incident.state == "merged":
        return f"merged into {incident.merged_into}"
    if verb == "split":
        if incident.state not in _LIVE:
            return f"cannot split an incident that is {incident.state}"
        return "" if len(incident.members) > 1 else "it has one alert only"
    paused = any(pause.until_ms is None for pause in incident.pauses)
    if verb == "pause" and paused:
        return "its clocks are paused"
    if verb == "resume" and not paused:
        return "its clocks run"
    if incident.state == "closed" and verb not in LATER:
        return "it is closed"
    return ""
