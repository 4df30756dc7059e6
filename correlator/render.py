"""A group as the incident people and sinks see, and the message that carries it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from correlator import lifecycle, titles
from correlator.group import Group, Held
from correlator.incident import Incident, ServiceRole, TimelineEntry
from correlator.memory import ChangeBook
from streams.records.messages import Change

SOURCE = "tocsin/correlate"
CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
HEADERS = (("content-type", CONTENT_TYPE),)
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode

# The incident with what is long already encoded: the same fields in the same order.
_Wire: Any = msgspec.defstruct(
    "_Wire",
    [
        (field.name, list[msgspec.Raw] if field.name in ("members", "timeline") else field.type)
        for field in msgspec.structs.fields(Incident)
    ],
    frozen=True,
)


class CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0, structured mode."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Any


class Encoded:
    """What of a group need not be encoded again: members that are the same objects, the timeline as it is."""

    __slots__ = ("members", "timeline", "timeline_of")

    def __init__(self) -> None:
        self.members: list[tuple[Held, msgspec.Raw]] = []
        self.timeline: list[msgspec.Raw] = []
        self.timeline_of: tuple[Any, ...] = ()

    def update(self, group: Group, changes: list[Change]) -> None:
        """Encode what has changed since the last call."""
        known = self.members
        if len(known) > len(group.held):
            known.clear()
        for index, held in enumerate(group.held):
            if index == len(known):
                known.append((held, msgspec.Raw(_encode(held.member()))))
            elif known[index][0] is not held:
                known[index] = (held, msgspec.Raw(_encode(held.member())))
        entries = group.timeline
        of = (len(entries), entries[-1] if entries else None, tuple(changes))
        if of != self.timeline_of:
            self.timeline_of = of
            ordered = sorted(
                [*entries, *map(_entry, changes)], key=lambda e: (e.at_ms, e.kind, e.ref, e.text)
            )
            self.timeline = [msgspec.Raw(_encode(entry)) for entry in ordered]


def cloud_event(group: Group, kind: str, book: ChangeBook, encoded: Encoded) -> bytes:
    """One version of an opened group as a CloudEvent.

    `kind`: opened | updated | acknowledged | resolved | reopened | closed | merged.
    """
    changes = [c for c in map(book.get, sorted(group.changes)) if c is not None]
    encoded.update(group, changes)
    suspect = group.hints[0].service if group.hints else ""
    roles = {s: "suspected cause" if s == suspect else "affected" for s in sorted(group.spans)}
    if suspect:
        roles = {suspect: "suspected cause", **roles}
    data = _Wire(
        id=group.id,
        version=group.version,
        domain=group.domain,
        state=group.state,
        title=group.title,
        category=titles.category(group.traits),
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
        alerts=[h.alert.id for h in group.held],
        members=[raw for _, raw in encoded.members],
        hints=group.hints,
        timeline=encoded.timeline,
        changes=tuple(c.id for c in sorted(changes, key=lambda c: (c.ts, c.id))),
        merged_into=group.merged_into,
        merged_from=tuple(group.merged_from),
        recurrence_of=group.recurrence_of,
        owner="",
        truncated_members=group.truncated,
    )
    when = datetime.fromtimestamp(group.updated_at / 1000, UTC)
    return _encode(
        CloudEvent(
            specversion="1.0",
            id=f"{group.id}/{group.version}",
            source=SOURCE,
            type=f"tocsin.incident.{kind}",
            subject=group.id,
            time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            datacontenttype="application/json",
            data=data,
        )
    )


def _entry(change: Change) -> TimelineEntry:
    what = " ".join(filter(None, (change.kind, change.version, change.summary)))
    return TimelineEntry(change.ts, "change", f"{change.service}: {what}", change.id)
