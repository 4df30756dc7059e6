"""Incidents, alerts and dead letters as rows of the ClickHouse tables in schema.sql. Pure.

Times stay integer ms UTC: clickhouse-connect writes them into DateTime64(3) as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from correlator.atlas import ServiceSeen
from correlator.incident import Incident, ServiceRole
from correlator.past import Knowledge, Problem
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from streams.records.messages import MAX_MS, DeadLetter

PREVIEW_BYTES = 200
U32_MAX = 2**32 - 1
I32_MAX = 2**31 - 1
I64_MAX = 2**63 - 1
U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the columns the sink fills, in order."""

    name: str
    columns: tuple[str, ...]


class Row(NamedTuple):
    """Values in the order of `table.columns`."""

    table: Table
    values: tuple[Any, ...]


class RowError(ValueError):
    """A value no column can hold; the message names the field, the value and what was expected."""


INCIDENTS = Table(
    "incident_versions",
    (
        "id", "version", "domain", "state", "title", "category", "severity", "priority",
        "started_at", "detected_at", "opened_at", "updated_at",
        "acknowledged_at", "mitigated_at", "resolved_at", "closed_at", "first_resolved_at",
        "active_ms", "resolved_by", "acknowledged_by", "reopened",
        "services.service", "services.role", "services.owner", "services.tier", "services.runbook",
        "services.links", "alerts", "members", "hints", "timeline",
        "changes", "merged_into", "merged_from", "recurrence_of", "owner", "truncated_members", "calls",
        "signature", "similar", "suggestion", "problem",
    ),
)  # fmt: skip

ALERTS = Table(
    "alert_versions",
    (
        "id", "version", "state", "kind", "fingerprint", "service", "metric", "severity",
        "started_at", "detected_at", "last_seen_at", "resolved_at", "summary",
        "value", "expected", "lower", "upper", "score", "strength", "unit", "instance",
        "labels", "resource", "samples", "trace_ids", "count", "last_line",
    ),
)  # fmt: skip

DEAD_LETTERS = Table(
    "dead_letter_records",
    ("topic", "partition", "offset", "reason", "at", "detail", "rows", "key_bytes", "value_bytes", "preview"),
)

SUPPRESSIONS = Table(
    "suppression_versions",
    (
        "alert", "version", "state", "outcome", "kind", "rule", "rule_version", "reason", "by_alert",
        "domain", "since", "until", "changed_at", "service", "metric", "severity", "fingerprint",
        "started_at", "summary",
    ),
)  # fmt: skip

SILENCES = Table(
    "silence_versions",
    (
        "name", "version", "state", "rule_version", "matchers", "starts", "ends", "rrule", "duration",
        "ends_at", "zone", "comment", "actor", "changed_at",
    ),
)  # fmt: skip

SERVICES = Table(
    "service_records",
    (
        "service", "version", "at", "seen_at", "calls.callee", "calls.first_at", "calls.last_at",
        "calls.per_minute", "calls.failed", "calls.seen_in", "truncated", "gone",
    ),
)  # fmt: skip

PROBLEMS = Table(
    "problem_versions",
    (
        "id", "version", "domain", "state", "signature", "title", "opened_at", "updated_at", "first_seen",
        "last_seen", "count", "incidents", "starts", "services", "interval_ms", "reopened", "resolved_at",
        "closed_at", "owner", "workaround", "cause", "cause_service", "fix", "runbook", "actor",
        "note",
    ),
)  # fmt: skip

KNOWLEDGE = Table(
    "knowledge_versions",
    (
        "incident", "version", "domain", "title", "started_at", "services", "cause", "cause_service", "fix",
        "runbook", "actor", "recorded_at",
    ),
)  # fmt: skip

TABLES = (INCIDENTS, ALERTS, SUPPRESSIONS, SILENCES, PROBLEMS, KNOWLEDGE, SERVICES, DEAD_LETTERS)


def row_of(
    item: Incident | Alert | Suppression | SilenceRecord | Problem | Knowledge | ServiceSeen | DeadLetter,
) -> Row:
    """The row of one item. Raises `RowError` when a number or time does not fit its column."""
    if isinstance(item, Incident):
        return Row(INCIDENTS, _incident(item))
    if isinstance(item, Alert):
        return Row(ALERTS, _alert(item))
    if isinstance(item, Suppression):
        return Row(SUPPRESSIONS, _suppression(item))
    if isinstance(item, SilenceRecord):
        return Row(SILENCES, _silence(item))
    if isinstance(item, ServiceSeen):
        return Row(SERVICES, _service(item))
    if isinstance(item, Problem):
        return Row(PROBLEMS, _problem(item))
    if isinstance(item, Knowledge):
        return Row(KNOWLEDGE, _knowledge(item))
    return Row(DEAD_LETTERS, _dead_letter(item))


def _incident(i: Incident) -> tuple[Any, ...]:
    return (
        _text("id", i.id), _within("version", i.version, U32_MAX), i.domain, i.state, i.title, i.category,
        i.severity, i.priority,
        _ms("started_at", i.started_at), _ms("detected_at", i.detected_at),
        _ms("opened_at", i.opened_at), _ms("updated_at", i.updated_at),
        _maybe_ms("acknowledged_at", i.acknowledged_at), _maybe_ms("mitigated_at", i.mitigated_at),
        _maybe_ms("resolved_at", i.resolved_at), _maybe_ms("closed_at", i.closed_at),
        _maybe_ms("first_resolved_at", i.first_resolved_at),
        _within("active_ms", i.active_ms, I64_MAX), i.resolved_by, i.acknowledged_by,
        _within("reopened", i.reopened, U32_MAX),
        [s.service for s in i.services], [s.role for s in i.services], [s.owner for s in i.services],
        [_within("tier", s.tier, 4) for s in i.services], [s.runbook for s in i.services],
        [dict(s.links) for s in i.services], list(i.alerts),
        _json(i.members), _json(i.hints), _json(i.timeline),
        list(i.changes), i.merged_into, list(i.merged_from), i.recurrence_of, i.owner,
        _within("truncated_members", i.truncated_members, U32_MAX), _json(i.calls),
        i.signature, _json(i.similar), i.suggestion, i.problem,
    )  # fmt: skip


def _alert(a: Alert) -> tuple[Any, ...]:
    return (
        _text("id", a.id), _within("version", a.version, U32_MAX), a.state, a.kind, a.fingerprint,
        a.service, a.metric, a.severity,
        _ms("started_at", a.started_at), _ms("detected_at", a.detected_at),
        _ms("last_seen_at", a.last_seen_at), _maybe_ms("resolved_at", a.resolved_at), a.summary,
        a.value, a.expected, a.lower, a.upper, a.score, a.strength, a.unit, a.instance,
        dict(a.labels), dict(a.resource), list(a.samples), list(a.trace_ids),
        _within("count", a.count, U64_MAX), a.last_line,
    )  # fmt: skip


def _suppression(s: Suppression) -> tuple[Any, ...]:
    return (
        _text("alert", s.alert), _within("version", s.version, U32_MAX), s.state, s.outcome, s.kind, s.rule,
        s.rule_version, s.reason, s.by, s.domain,
        _ms("from_ms", s.from_ms), _maybe_ms("until_ms", s.until_ms), _ms("at_ms", s.at_ms),
        s.service, s.metric, s.severity, s.fingerprint, _ms("started_at", s.started_at), s.summary,
    )  # fmt: skip


def _silence(r: SilenceRecord) -> tuple[Any, ...]:
    s = r.silence
    return (
        _text("name", r.name), _within("version", r.version, I64_MAX), r.state, r.rule_version,
        list(s.matchers), s.from_, s.until, s.rrule, s.duration, s.to, s.zone, s.comment, r.actor,
        _ms("at_ms", r.at_ms),
    )  # fmt: skip


def _service(s: ServiceSeen) -> tuple[Any, ...]:
    return (
        _text("service", s.service), _ms("at_ms", s.at_ms), s.at_ms,
        _maybe_ms("seen_ms", s.seen_ms if s.seen_ms >= 0 else None),
        [c.callee for c in s.calls], [_ms("first_ms", c.first_ms) for c in s.calls],
        [_ms("last_ms", c.last_ms) for c in s.calls], [c.per_minute for c in s.calls],
        [c.failed for c in s.calls], [list(c.places) for c in s.calls],
        _within("truncated", s.truncated, U32_MAX), int(s.gone),
    )  # fmt: skip


def _problem(p: Problem) -> tuple[Any, ...]:
    return (
        _text("id", p.id), _within("version", p.version, U32_MAX), p.domain, p.state, p.signature, p.title,
        _ms("opened_at", p.opened_at), _ms("updated_at", p.updated_at), _ms("first_seen", p.first_seen),
        _ms("last_seen", p.last_seen), _within("count", p.count, U32_MAX), list(p.incidents),
        [_ms("starts", start) for start in p.starts], list(p.services),
        _within("interval_ms", p.interval_ms, I64_MAX), _within("reopened", p.reopened, U32_MAX),
        _maybe_ms("resolved_at", p.resolved_at), _maybe_ms("closed_at", p.closed_at), p.owner, p.workaround,
        p.cause, p.cause_service, p.fix, p.runbook, p.actor, p.note,
    )  # fmt: skip


def _knowledge(k: Knowledge) -> tuple[Any, ...]:
    return (
        _text("incident", k.incident), _within("version", k.version, U32_MAX), k.domain, k.title,
        _ms("started_at", k.started_at), list(k.services), k.cause, k.cause_service, k.fix, k.runbook,
        k.actor, _ms("at_ms", k.at_ms),
    )  # fmt: skip


def _dead_letter(d: DeadLetter) -> tuple[Any, ...]:
    return (
        d.topic, _within("partition", d.partition, I32_MAX), _within("offset", d.offset, I64_MAX),
        d.reason,
        # The broker says -1 where it has no time; a dead letter must not be refused for that.
        min(max(d.timestamp_ms, 0), MAX_MS),
        d.detail, _within("rows", d.rows, U32_MAX),
        len(d.key or b""), len(d.value or b"") + d.cut, _preview(_start(d)),
    )  # fmt: skip


_ENCODED = ("members", "hints", "timeline", "calls", "similar")
"""columns that hold JSON"""


def incident_of(row: dict[str, Any]) -> Incident:
    """The incident a row of `incidents` holds (columns by name, times as ms): the inverse of `row_of`.

    Raises `msgspec.ValidationError` when the row is not one the sink wrote.
    """
    plain = {
        name: value
        for name, value in row.items()
        if name in Incident.__struct_fields__ and name not in ("services", *_ENCODED)
    }
    for name in _ENCODED:
        plain[name] = msgspec.json.decode(row[name] or "[]")  # empty: a row from before there was the column
    columns = [f"services.{name}" for name in ServiceRole.__struct_fields__]
    plain["services"] = [
        dict(zip(ServiceRole.__struct_fields__, values, strict=True))
        | {"links": tuple(dict(values[-1]).items())}
        for values in zip(*(row[name] for name in columns), strict=True)
    ]
    return msgspec.convert(plain, Incident)


def alert_of(row: dict[str, Any]) -> Alert:
    """The alert a row of `alerts` holds (columns by name, times as ms): the inverse of `row_of`.

    Raises `msgspec.ValidationError` when the row is not one the sink wrote.
    """
    pairs = {name: tuple(sorted(dict(row[name]).items())) for name in ("labels", "resource")}
    return msgspec.convert({name: row[name] for name in ALERTS.columns} | pairs, Alert)


def _json(items: Iterable[Any]) -> str:
    return msgspec.json.encode(items).decode()


def _start(d: DeadLetter) -> bytes:
    """The first bytes of the refused record, also of one that was kept compressed."""
    if d.encoding != "zlib":
        return (d.value or b"")[:PREVIEW_BYTES]
    try:
        return zlib.decompressobj().decompress(d.value or b"", PREVIEW_BYTES)
    except zlib.error:
        return b""


def _preview(value: bytes) -> str:
    """Readable in any terminal: controls and broken UTF-8 are escaped."""
    text = value.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _text(name: str, value: str) -> str:
    if not value:
        raise RowError(f"{name} is empty, an identifier was expected")
    return value


def _within(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise RowError(f"{name} is {value}, expected 0 to {most}")
    return value


def _ms(name: str, value: int) -> int:
    return _within(name, value, MAX_MS)


def _maybe_ms(name: str, value: int | None) -> int | None:
    return None if value is None else _within(name, value, MAX_MS)
