"""Incidents, alerts and dead letters as rows of the ClickHouse tables in sinks/migrations. Pure.

Times stay integer ms UTC: clickhouse-connect writes them into DateTime64(3) as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
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
    MAYBE_TIME,
    TIME,
    U32,
    U32_MAX,
    U64_MAX,
    Part,
    Row,
    Table,
    columns_of,
    json,
    made,
    maybe_ms,
    ms,
    of,
    text,
    texts,
    up_to,
    within,
)  # fmt: skip
from sinks.response_rows import RESPONSE_COLUMNS, RESPONSE_ROWS
from streams.records.messages import MAX_MS, DeadLetter

PREVIEW_BYTES = 200

INCIDENT_PARTS = (
    of("id", texts), of("version", U32), of("domain"), of("state"), of("title"), of("category"),
    of("severity"), of("priority"), of("started_at", TIME), of("detected_at", TIME), of("opened_at", TIME),
    of("updated_at", TIME), of("acknowledged_at", MAYBE_TIME), of("mitigated_at", MAYBE_TIME),
    of("resolved_at", MAYBE_TIME), of("closed_at", MAYBE_TIME), of("first_resolved_at", MAYBE_TIME),
    of("active_ms", up_to(I64_MAX)), of("resolved_by"), of("acknowledged_by"), of("reopened", U32),
    made("services.service", lambda i: [s.service for s in i.services]),
    made("services.role", lambda i: [s.role for s in i.services]),
    made("services.owner", lambda i: [s.owner for s in i.services]),
    made("services.tier", lambda i: [within("tier", s.tier, 4) for s in i.services]),
    made("services.runbook", lambda i: [s.runbook for s in i.services]),
    made("services.links", lambda i: [dict(s.links) for s in i.services]),
    made("alerts", lambda i: list(i.alerts)),
    made("members", lambda i: json(i.members)), made("hints", lambda i: json(i.hints)),
    made("timeline", lambda i: json(i.timeline)), made("changes", lambda i: list(i.changes)),
    of("merged_into"), made("merged_from", lambda i: list(i.merged_from)), of("recurrence_of"), of("owner"),
    of("truncated_members", U32), made("calls", lambda i: json(i.calls)), of("signature"),
    made("similar", lambda i: json(i.similar)), of("suggestion"), of("problem"), of("kind"), of("source"),
    of("reported_by"), of("assignee"), of("impact_level"), of("urgency"), of("priority_basis"),
    made("impact", lambda i: json(i.impact)), made("reputation", lambda i: list(i.reputation)),
    of("aware_at", MAYBE_TIME), of("major_at", MAYBE_TIME), made("pauses", lambda i: json(i.pauses)),
    made("filings", lambda i: json(i.filings)), made("edits", lambda i: json(i.edits)), of("cause"),
    of("cause_service"), of("fix"),
)  # fmt: skip
INCIDENTS = Table("incident_versions", tuple(part.column for part in INCIDENT_PARTS))

ALERT_PARTS = (
    of("id", texts), of("version", U32), of("state"), of("kind"), of("fingerprint"), of("service"),
    of("metric"), of("severity"), of("started_at", TIME), of("detected_at", TIME), of("last_seen_at", TIME),
    of("resolved_at", MAYBE_TIME), of("summary"), of("value"), of("expected"), of("lower"), of("upper"),
    of("score"), of("strength"), of("unit"), of("instance"), made("labels", lambda a: dict(a.labels)),
    made("resource", lambda a: dict(a.resource)), made("samples", lambda a: list(a.samples)),
    made("trace_ids", lambda a: list(a.trace_ids)), of("count", up_to(U64_MAX)), of("last_line"),
)  # fmt: skip
ALERTS = Table("alert_versions", tuple(part.column for part in ALERT_PARTS))

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


def _single(parts: Sequence[Part], item: object) -> tuple[Any, ...]:
    return tuple(values[0] for values in columns_of(parts, [item]))


def row_of(item: object) -> Row:
    """The row of one item of `sinks.inbox.Item`. Raises `RowError` when a value does not fit its column."""
    table, values = _ROWS[type(item)]
    return Row(table, values(item))


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
        Incident: (INCIDENTS, lambda i: _single(INCIDENT_PARTS, i)),
        Alert: (ALERTS, lambda a: _single(ALERT_PARTS, a)),
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
COLUMNS: dict[type, tuple[Table, tuple[Part, ...]]] = {
    Incident: (INCIDENTS, INCIDENT_PARTS),
    Alert: (ALERTS, ALERT_PARTS),
    **RESPONSE_COLUMNS,
}
"""what comes in great numbers: columns are made of many items at once"""


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
