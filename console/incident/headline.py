"""An incident in one sentence: what is broken, for whom, since when, why we think so. Pure."""

from __future__ import annotations

import re

import msgspec

from correlator.incident import Incident

VERBS = {
    "service disruption": "fails",
    "performance degradation": "is slow",
    "security incident": "has a security incident",
    "operational issue": "has trouble",
}
_FIRST = re.compile(r"[;,](?=\s)")
_WHEN = re.compile(r"\s+(?:at )?\d\d:\d\d(?::\d\d)?(?: UTC)?(?: to \d\d:\d\d(?::\d\d)?(?: UTC)?)?$")
_CLOCK = re.compile(r"^\d\d:\d\d(?::\d\d)?(?: UTC)? ")
MOST_CHARS = 160


class Headline(msgspec.Struct, frozen=True):
    """Parts of the sentence; times are shown in the reader's zone."""

    what: str
    """checkout fails"""
    whom: str
    """for about 1,200 customers, region eu; empty: not known"""
    since: int
    cause: str
    """inventory store locks; empty: not known yet"""
    change: str
    """deployment 81c2; empty: none in evidence"""
    changed_at: int | None


def headline(incident: Incident, where: str = "") -> Headline:
    """The sentence of a version. `where`: what its alerts share, `region eu` (`console.incident.segment`)."""
    hint = incident.hints[0] if incident.hints else None
    change = next((one for one in hint.evidence if one.kind == "change"), None) if hint else None
    cause = ""
    if hint is not None:
        words = clause(hint.cause)
        cause = words if words.startswith(hint.service) or not hint.service else f"{hint.service}, {words}"
        cause = cause.rstrip(", ")
    said = clause(change.text) if change else ""
    if said in cause or (cause and cause.partition(", ")[2] in said and ", " in cause):
        said = ""  # the change is the cause
    return Headline(
        what=f"{symptom(incident)} {VERBS.get(incident.category, 'has trouble')}",
        whom=_whom(incident, where),
        since=incident.started_at,
        cause=cause,
        change=said,
        changed_at=change.at_ms if change and said else None,
    )


def symptom(incident: Incident) -> str:
    """The service where it hurts: affected, and called by none of the other affected ones.

    Of several, the one with the highest tier and then by name; without such a one the suspected cause.
    """
    names = {role.service for role in incident.services}
    called = {callee for caller, callee, _ in incident.calls if caller in names}
    roles = sorted(
        incident.services,
        key=lambda role: (role.role != "affected", role.service in called, role.tier or 9, role.service),
    )
    return roles[0].service if roles else "something"


def clause(text: str) -> str:
    """The first clause of a cause, without the times that stand beside it anyway."""
    first = _FIRST.split(text.strip(), maxsplit=1)[0]
    first = _WHEN.sub("", _CLOCK.sub("", first))
    return first if len(first) <= MOST_CHARS else first[: MOST_CHARS - 1].rstrip() + "…"


def _whom(incident: Incident, where: str) -> str:
    for figure in incident.impact:
        if figure.name == "customers" and figure.value > 0:
            about = "" if figure.status == "confirmed" else "about "
            return ", ".join(filter(None, (f"for {about}{figure.value:,.0f} customers", where)))
    for figure in incident.impact:
        if figure.name == "customer_share" and figure.value > 0:
            share = figure.value * 100 if figure.value <= 1 and figure.unit != "%" else figure.value
            return ", ".join(filter(None, (f"for about {share:.0f} % of customers", where)))
    return f"for {where}" if where else ""
