"""A group as the incident people and sinks see, and the message that carries it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress, count
from operator import is_not
from typing import Any

import msgspec

from config.settings import Level
from correlator import impact, lifecycle, titles
from correlator.directory import Directory
from correlator.group import Group, Held
from correlator.incident import Incident, TimelineEntry
from correlator.memory import ChangeBook
from streams.records.messages import Change

SOURCE = "tocsin/correlate"
CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
HEADERS = (("content-type", CONTENT_TYPE),)
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode

_Placed = tuple[int, str, str, str, int, msgspec.Raw]
"""a timeline entry encoded, behind what it is sorted by"""

# The incident with what is long already encoded: the same fields in the same order.
_Wire: Any = msgspec.defstruct(
    "_Wire",
    [
        (field.name, list[msgspec.Raw])
        if field.name in ("members", "timeline")
        else (field.name, field.type, *([] if field.required else [field.default]))
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
    """What of a group need not be encoded again: members and timeline entries that are the same objects."""

    __slots__ = ("_entries", "_held", "_ordered", "_timeline", "ids", "members")

    def __init__(self) -> None:
        self.members: list[msgspec.Raw] = []
        self.ids: list[str] = []
        """of the alerts"""
        self._held: list[Held] = []
        self._entries: list[TimelineEntry] = []
        self._ordered: list[_Placed] = []
        self._timeline: list[msgspec.Raw] = []

    def update(self, held: list[Held]) -> None:
        """Encode the members that have changed since the last call."""
        known = self._held
        if len(known) > len(held):
            for kept in (known, self.members, self.ids):
                kept.clear()
        for index in compress(count(), map(is_not, known, held)):
            known[index] = one = held[index]
            self.ids[index] = one.alert.id
            self.members[index] = msgspec.Raw(_encode(one.member()))
        new = held[len(known) :]
        known += new
        self.ids += [one.alert.id for one in new]
        self.members += [msgspec.Raw(_encode(one.member())) for one in new]

    def timeline(self, entries: list[TimelineEntry], changes: list[Change]) -> list[msgspec.Raw]:
        """The timeline in order; what is written down once stays as it is."""
        known = self._entries
        if known != entries:
            if known != entries[: len(known)]:
                known.clear()
                self._ordered.clear()
            new = entries[len(known) :]
            self._ordered += [_placed(entry, len(known) + n) for n, entry in enumerate(new)]
            self._ordered.sort()  # mostly in order already
            self._timeline = [placed[-1] for placed in self._ordered]
            known += new
        if not changes:
            return self._timeline
        first = len(entries)
        also = [_placed(_entry(change), first + n) for n, change in enumerate(changes)]
        return [placed[-1] for placed in sorted([*self._ordered, *also])]


def _placed(entry: TimelineEntry, number: int) -> _Placed:
    return entry.at_ms, entry.kind, entry.ref, entry.text, number, msgspec.Raw(_encode(entry))


def cloud_event(
    group: Group,
    kind: str,
    book: ChangeBook,
    encoded: Encoded,
    directory: Directory,
    matrix: Mapping[Level, Sequence[str]],
) -> bytes:
    """One version of an opened group as a CloudEvent.

    `matrix`: priorities by impact and urgency.
    `kind`: opened | updated | acknowledged | resolved | reopened | closed | merged.
    """
    changes = [c for c in map(book.get, sorted(group.changes)) if c is not None]
    encoded.update(group.held)
    suspect = group.hints[0].service if group.hints else ""
    roles = {s: "suspected cause" if s == suspect else "affected" for s in sorted(group.spans)}
    if suspect:
        roles = {suspect: "suspected cause", **roles}
    told = group.told
    category = told.category or titles.category(group.traits)
    severity = told.severity or group.severity
    entries = directory.entries(group.spans)
    active_ms = lifecycle.active_ms(group)
    standing = impact.stand(severity, len(group.spans), entries, told, matrix)
    figures = impact.estimates(entries, (h.alert for h in group.held), category, active_ms, told)
    finding = group.finding
    data = _Wire(
        id=group.id,
        version=group.version,
        domain=group.domain,
        state=group.state,
        title=told.title or group.title,
        category=category,
        severity=severity,
        priority=standing.priority,
        started_at=group.began_at,
        detected_at=group.noticed_at,
        opened_at=group.anchor,
        updated_at=group.updated_at,
        acknowledged_at=group.acknowledged_at,
        mitigated_at=group.mitigated_at,
        resolved_at=group.resolved_at,
        closed_at=group.closed_at,
        first_resolved_at=group.first_resolved_at,
        active_ms=active_ms,
        resolved_by=group.resolved_by,
        acknowledged_by=group.acknowledged_by,
        reopened=group.reopened,
        services=tuple(directory.role(s, role, s == suspect) for s, role in roles.items()),
        alerts=encoded.ids,
        members=encoded.members,
        hints=group.hints,
        timeline=encoded.timeline(group.timeline, changes),
        changes=tuple(c.id for c in sorted(changes, key=lambda c: (c.ts, c.id))),
        merged_into=group.merged_into,
        merged_from=tuple(group.merged_from),
        recurrence_of=group.recurrence_of,
        owner=_owner(roles, suspect, directory),
        truncated_members=group.truncated,
        calls=group.drawn_calls,
        signature=group.signature,
        similar=group.similar,
        suggestion=group.suggestion,
        problem=group.problem,
        kind=told.kind,
        source=told.source,
        reported_by=told.reported_by,
        assignee=told.assignee,
        impact_level=standing.impact,
        urgency=standing.urgency,
        priority_basis=standing.basis,
        impact=figures,
        reputation=told.reputation,
        aware_at=told.aware_at,
        major_at=told.major_at,
        pauses=tuple(told.pauses),
        filings=tuple(told.filings),
        edits=tuple(told.edits),
        cause=finding.cause if finding else "",
        cause_service=finding.cause_service if finding else "",
        fix=finding.fix if finding else "",
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


def _owner(services: Iterable[str], suspect: str, directory: Directory) -> str:
    """Who owns the suspected cause, or all that is owned."""
    owners = {owner for owner in map(directory.owner, services) if owner}
    return directory.owner(suspect) or (owners.pop() if len(owners) == 1 else "")


def _entry(change: Change) -> TimelineEntry:
    what = " ".join(filter(None, (change.kind, change.version, change.summary)))
    return TimelineEntry(change.ts, "change", f"{change.service}: {what}", change.id)
