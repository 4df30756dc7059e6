"""A group as the incident people and sinks see, and the message that carries it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from correlator import lifecycle, titles
from correlator.group import Group
from correlator.incident import Incident, ServiceRole, TimelineEntry
from streams.records.messages import Change

SOURCE = "tocsin/correlate"
CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
HEADERS = (("content-type", CONTENT_TYPE),)
_encoder = msgspec.json.Encoder()


class CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0, structured mode."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Incident


def incident(group: Group, change: Callable[[str], Change | None]) -> Incident:
    """One version of an opened group. `change` finds a change record by id."""
    alerts = [h.alert for h in group.held]
    suspect = group.hints[0].service if group.hints else ""
    roles = {s: "suspected cause" if s == suspect else "affected" for s in sorted(group.spans)}
    if suspect:
        roles = {suspect: "suspected cause", **roles}
    changes = [c for c in map(change, sorted(group.changes)) if c is not None]
    timeline = sorted(
        [*group.timeline, *map(_entry, changes)], key=lambda e: (e.at_ms, e.kind, e.ref, e.text)
    )
    return Incident(
        id=group.id,
        version=group.version,
        domain=group.domain,
        state=group.state,
        title=titles.title(alerts, group.hints),
        category=titles.category(alerts),
        severity=group.severity,
        priority=titles.priority(group.severity, len(group.spans)),
        started_at=group.started_at,
        detected_at=group.detected_at,
        opened_at=group.anchor,
        updated_at=group.updated_at,
        acknowledged_at=group.acknowledged_at,
        mitigated_at=group.mitigated_at,
        resolved_at=group.resolved_at,
        closed_at=group.closed_at,
        first_resolved_at=group.first_resolved_at,
        active_ms=lifecycle.active_ms(group),
        resolved_by=group.resolved_by,
        acknowledged_by=group.acknowledged_by,
        reopened=group.reopened,
        services=tuple(ServiceRole(service, role) for service, role in roles.items()),
        alerts=tuple(a.id for a in alerts),
        members=tuple(h.member() for h in group.held),
        hints=group.hints,
        timeline=tuple(timeline),
        changes=tuple(c.id for c in sorted(changes, key=lambda c: (c.ts, c.id))),
        merged_into=group.merged_into,
        merged_from=tuple(group.merged_from),
        recurrence_of=group.recurrence_of,
        split_from=group.split_from,
        truncated_members=group.truncated,
    )


def _entry(change: Change) -> TimelineEntry:
    what = " ".join(filter(None, (change.kind, change.version, change.summary)))
    return TimelineEntry(change.ts, "change", f"{change.service}: {what}", change.id)


def cloud_event(version: Incident, kind: str) -> bytes:
    """`kind`: opened | updated | acknowledged | resolved | reopened | closed | merged."""
    when = datetime.fromtimestamp(version.updated_at / 1000, UTC)
    return _encoder.encode(
        CloudEvent(
            specversion="1.0",
            id=f"{version.id}/{version.version}",
            source=SOURCE,
            type=f"tocsin.incident.{kind}",
            subject=version.id,
            time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            datacontenttype="application/json",
            data=version,
        )
    )
