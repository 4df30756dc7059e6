"""Incidents that people report: what they noticed before any detector did, as alerts of kind manual."""

from __future__ import annotations

from typing import NamedTuple

from correlator.group import Told
from correlator.incident import CATEGORIES, IMPACT_FIGURES, KINDS
from correlator.lifecycle import Refusal
from correlator.statements import moment
from detectors.alert import SEVERITIES, Alert
from streams.records.digest import digest_hex
from streams.records.messages import Action

KIND = "manual"
MOST_SERVICES = 20
MOST_TITLE = 300
FIELDS = (
    "title", "services", "category", "severity", "kind", "started_at", "domain", "status", *IMPACT_FIGURES,
    "reputation",
)  # fmt: skip
DISRUPTS = {"critical": "service disruption", "error": "service disruption"}
"""what people report as grave is broken, unless they say otherwise"""
IMPACT = (*IMPACT_FIGURES, "status", "reputation")
"""fields that are an `impact` of their own"""


class Report(NamedTuple):
    """What an incident is opened with."""

    alerts: tuple[Alert, ...]
    """one for each service that is named"""
    told: Told


def report_of(action: Action) -> Report | Refusal:
    """The incident that `report` asks for."""
    said = action.fields
    unknown = sorted(said.keys() - set(FIELDS))
    if unknown:
        return Refusal(f"unknown field {unknown[0]!r} of report: expected {', '.join(FIELDS)}")
    title = " ".join(said.get("title", "").split())
    if not title or len(title) > MOST_TITLE:
        return Refusal(f"title has {len(title)} characters: expected 1 to {MOST_TITLE}")
    for name, choices in (("category", CATEGORIES), ("severity", SEVERITIES), ("kind", KINDS)):
        if said.get(name) and said[name] not in choices:
            return Refusal(f"{name} is {said[name]!r}: expected one of {', '.join(choices)}")
    services = [name.strip() for name in said.get("services", "").split(",") if name.strip()]
    services = list(dict.fromkeys(services)) or ["unknown"]
    if len(services) > MOST_SERVICES:
        return Refusal(f"{len(services)} services: expected at most {MOST_SERVICES}")
    started = action.ts if not said.get("started_at") else moment(said["started_at"])
    if started is None or started > action.ts:
        return Refusal(
            f"started_at is {said['started_at']!r}: expected a time with a zone, not later than the report"
        )
    severity = said.get("severity") or "error"
    alerts = tuple(
        Alert(
            id=digest_hex("manual", action.incident, service),
            version=1,
            state="firing",
            kind=KIND,
            fingerprint=digest_hex("report", action.incident, service),
            service=service,
            metric="report",
            severity=severity,
            started_at=started,
            detected_at=action.ts,
            last_seen_at=action.ts,
            resolved_at=None,
            summary=title,
        )
        for service in services
    )
    told = Told(
        kind=said.get("kind") or "incident",
        source="reported",
        reported_by=action.actor or "somebody",
        title=title,
        category=said.get("category") or DISRUPTS.get(severity, ""),
        severity=said.get("severity", ""),
        aware_at=action.ts,
    )
    return Report(alerts, told)
