"""Incidents, alerts and dead letters as rows of the ClickHouse tables in sinks/migrations. Pure.

Times stay integer ms UTC: clickhouse-connect writes them into DateTime64(3) as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from correlator.atlas import ServiceSeen
from correlator.incident import Incident, ServiceRole
from correlator.past import Knowledge, Problem
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from sinks.columns import (
    I32_MAX,
    I64_MAX,
    U32_MAX,
    U64_MAX,
    Row,
    Table,
    json,
    maybe_ms,
    ms,
    text,
    within,
)
from sinks.response_rows import RESPONSE_ROWS
from streams.records.messages import MAX_MS, DeadLetter

PREVIEW_BYTES = 200

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
        "kind", "source", "reported_by", "assignee", "impact_level", "urgency", "priority_basis", "impact",
        "reputation", "aware_at", "major_at", "pauses", "filings", "edits", "cause", "cause_service", "fix",
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

_ROWS: dict[type, tuple[Table, Callable[[Any], tuple[Any, ...]]]] = {}
"""how each type becomes a row; filled below"""


def row_of(item: object) -> Row:
    """The row of one item of `sinks.inbox.Item`. Raises `RowError` when a value does not fit its column."""
    table, values = _ROWS[type(item)]
    return Row(table, values(item))


def _incident(i: Incident) -> tuple[Any, ...]:
    return (
        text("id", i.id), within("version", i.version, U32_MAX), i.domain, i.state, i.title, i.category,
        i.severity, i.priority,
        ms("started_at", i.started_at), ms("detected_at", i.detected_at),
        ms("opened_at", i.opened_at), ms("updated_at", i.updated_at),
        maybe_ms("acknowledged_at", i.acknowledged_at), maybe_ms("mitigated_at", i.mitigated_at),
        maybe_ms("resolved_at", i.resolved_at), maybe_ms("closed_at", i.closed_at),
        maybe_ms("first_resolved_at", i.first_resolved_at),
        within("active_ms", i.active_ms, I64_MAX), i.resolved_by, i.acknowledged_by,
        within("reopened", i.reopened, U32_MAX),
        [s.service for s in i.services], [s.role for s in i.services], [s.owner for s in i.services],
        [within("tier", s.tier, 4) for s in i.services], [s.runbook for s in i.services],
        [dict(s.links) for s in i.services], list(i.alerts),
        json(i.members), json(i.hints), json(i.timeline),
        list(i.changes), i.merged_into, list(i.merged_from), i.recurrence_of, i.owner,
        within("truncated_members", i.truncated_members, U32_MAX), json(i.calls),
        i.signature, json(i.similar), i.suggestion, i.problem,
        i.kind, i.source, i.reported_by, i.assignee, i.impact_level, i.urgency, i.priority_basis,
        json(i.impact), list(i.reputation), maybe_ms("aware_at", i.aware_at),
        maybe_ms("major_at", i.major_at), json(i.pauses), json(i.filings), json(i.edits),
        i.cause, i.cause_service, i.fix,
    )  # fmt: skip


def _alert(a: Alert) -> tuple[Any, ...]:
    return (
        text("id", a.id), within("version", a.version, U32_MAX), a.state, a.kind, a.fingerprint,
        a.service, a.metric, a.severity,
        ms("started_at", a.started_at), ms("detected_at", a.detected_at),
        ms("last_seen_at", a.last_seen_at), maybe_ms("resolved_at", a.resolved_at), a.summary,
        a.value, a.expected, a.lower, a.upper, a.score, a.strength, a.unit, a.instance,
        dict(a.labels), dict(a.resource), list(a.samples), list(a.trace_ids),
        within("count", a.count, U64_MAX), a.last_line,
    )  # fmt: skip


def _suppression(s: Suppression) -> tuple[Any, ...]:
    return (
        text("alert", s.alert), within("version", s.version, U32_MAX), s.state, s.outcome, s.kind, s.rule,
        s.rule_version, s.reason, s.by, s.domain,
        ms("from_ms", s.from_ms), maybe_ms("until_ms", s.until_ms), ms("at_ms", s.at_ms),
        s.service, s.metric, s.severity, s.fingerprint, ms("started_at", s.started_at), s.summary,
    )  # fmt: skip


def _silence(r: SilenceRecord) -> tuple[Any, ...]:
    s = r.silence
    return (
        text("name", r.name), within("version", r.version, I64_MAX), r.state, r.rule_version,
        list(s.matchers), s.from_, s.until, s.rrule, s.duration, s.to, s.zone, s.comment, r.actor,
        ms("at_ms", r.at_ms),
    )  # fmt: skip


def _service(s: ServiceSeen) -> tuple[Any, ...]:
    return (
        text("service", s.service), ms("at_ms", s.at_ms), s.at_ms,
        maybe_ms("seen_ms", s.seen_ms if s.seen_ms >= 0 else None),
        [c.callee for c in s.calls], [ms("first_ms", c.first_ms) for c in s.calls],
        [ms("last_ms", c.last_ms) for c in s.calls], [c.per_minute for c in s.calls],
        [c.failed for c in s.calls], [list(c.places) for c in s.calls],
        within("truncated", s.truncated, U32_MAX), int(s.gone),
    )  # fmt: skip


def _problem(p: Problem) -> tuple[Any, ...]:
    return (
        text("id", p.id), within("version", p.version, U32_MAX), p.domain, p.state, p.signature, p.title,
        ms("opened_at", p.opened_at), ms("updated_at", p.updated_at), ms("first_seen", p.first_seen),
        ms("last_seen", p.last_seen), within("count", p.count, U32_MAX), list(p.incidents),
        [ms("starts", start) for start in p.starts], list(p.services),
        within("interval_ms", p.interval_ms, I64_MAX), within("reopened", p.reopened, U32_MAX),
        maybe_ms("resolved_at", p.resolved_at), maybe_ms("closed_at", p.closed_at), p.owner, p.workaround,
        p.cause, p.cause_service, p.fix, p.runbook, p.actor, p.note,
    )  # fmt: skip


def _knowledge(k: Knowledge) -> tuple[Any, ...]:
    return (
        text("incident", k.incident), within("version", k.version, U32_MAX), k.domain, k.title,
        ms("started_at", k.started_at), list(k.services), k.cause, k.cause_service, k.fix, k.runbook,
        k.actor, ms("at_ms", k.at_ms),
    )  # fmt: skip


def _dead_letter(d: DeadLetter) -> tuple[Any, ...]:
    return (
        d.topic, within("partition", d.partition, I32_MAX), within("offset", d.offset, I64_MAX),
        d.reason,
        # The broker says -1 where it has no time; a dead letter must not be refused for that.
        min(max(d.timestamp_ms, 0), MAX_MS),
        d.detail, within("rows", d.rows, U32_MAX),
        len(d.key or b""), len(d.value or b"") + d.cut, _preview(_start(d)),
    )  # fmt: skip


_ROWS.update(
    {
        Incident: (INCIDENTS, _incident),
        Alert: (ALERTS, _alert),
        Suppression: (SUPPRESSIONS, _suppression),
        SilenceRecord: (SILENCES, _silence),
        Problem: (PROBLEMS, _problem),
        Knowledge: (KNOWLEDGE, _knowledge),
        ServiceSeen: (SERVICES, _service),
        DeadLetter: (DEAD_LETTERS, _dead_letter),
        **RESPONSE_ROWS,
    }
)
TABLES = tuple(table for table, _ in _ROWS.values())


_ENCODED = ("members", "hints", "timeline", "calls", "similar", "impact", "pauses", "filings", "edits")
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
