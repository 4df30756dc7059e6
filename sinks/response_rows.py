"""Rows of what follows from incidents: clocks, duty, notices, notifications, what people write and do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from correlator.afterwards import ActionItem, Review, StatusUpdate
from correlator.response import Clock, Duty, Notice
from sinks.columns import (
    I64_MAX,
    MAYBE_TIME,
    TIME,
    U16_MAX,
    U32,
    U32_MAX,
    Part,
    Table,
    columns_of,
    maybe_ms,
    ms,
    of,
    text,
    texts,
    up_to,
    within,
)  # fmt: skip
from sinks.notification import Notification
from streams.records.audit import AuditRecord
from streams.records.messages import ActionResult

CLOCK_PARTS = (
    of("id", texts), of("version", U32), of("incident"), of("domain"), of("name"), of("kind"), of("state"),
    of("started_at", TIME), of("warn_at", TIME), of("due_at", TIME), of("stopped_at", MAYBE_TIME),
    of("paused_ms", up_to(I64_MAX)), of("at_ms", TIME, "changed_at"), of("basis"), of("severity"),
    of("owner"),
)  # fmt: skip
CLOCKS = Table("clock_versions", tuple(part.column for part in CLOCK_PARTS))

DUTIES = Table(
    "duty_versions",
    (
        "incident", "version", "domain", "team", "reason", "on_call", "level", "levels", "policy", "next_at",
        "acknowledged", "predicted_team", "predicted_confidence", "predicted_accuracy", "predicted_n",
        "runbook", "containment", "changed_at",
    ),
)  # fmt: skip

NOTICES = Table(
    "notice_records",
    ("id", "incident", "domain", "kind", "severity", "title", "body", "recipients", "at", "clock"),
)

NOTIFICATIONS = Table(
    "notification_versions",
    (
        "target", "kind", "dedup_key", "incident", "about", "version", "incident_version", "state",
        "attempts", "queued_at", "at", "external_id", "url", "status", "error", "open",
    ),
)  # fmt: skip

ITEMS = Table(
    "action_item_versions",
    (
        "id", "version", "incident", "text", "owner", "state", "due", "created_at", "changed_at", "actor",
        "note", "done_at",
    ),
)  # fmt: skip

REVIEWS = Table("review_versions", ("incident", "version", "text", "actor", "changed_at"))

UPDATES = Table(
    "status_update_versions",
    (
        "id", "version", "incident", "audience", "about", "state", "title", "text", "actor", "changed_at",
        "sent_at",
    ),
)  # fmt: skip


ACTIONS = Table(
    "action_records",
    (
        "id", "incident", "problem", "silence", "action", "actor", "at", "note", "applied", "reason", "state",
    ),
)  # fmt: skip

AUDIT = Table(
    "audit_records",
    (
        "id", "at", "who", "role", "via", "action", "target", "what", "reason", "outcome", "status", "method",
        "route", "address", "agent", "request_id", "domain", "n",
    ),
)  # fmt: skip


def _action(a: ActionResult) -> tuple[Any, ...]:
    return (
        text("id", a.id), a.incident, a.problem, a.silence, a.action, a.actor, ms("ts", a.ts), a.note,
        int(a.applied), a.reason, a.state,
    )  # fmt: skip


def _audit(a: AuditRecord) -> tuple[Any, ...]:
    return (
        text("id", a.id), ms("at", a.at), a.who, a.role, a.via, a.action, a.target, a.what, a.reason,
        a.outcome, within("status", a.status, U16_MAX), a.method, a.route, a.address,
        a.agent, a.request_id, a.domain, within("n", a.n, U32_MAX),
    )  # fmt: skip


def _clock(c: Clock) -> tuple[Any, ...]:
    return tuple(values[0] for values in columns_of(CLOCK_PARTS, [c]))


def _duty(d: Duty) -> tuple[Any, ...]:
    return (
        text("incident", d.incident), within("version", d.version, U32_MAX), d.domain, d.team, d.reason,
        list(d.on_call), within("level", d.level, U32_MAX), within("levels", d.levels, U32_MAX), d.policy,
        maybe_ms("next_at", d.next_at), int(d.acknowledged), d.predicted_team, d.predicted_confidence,
        d.predicted_accuracy, within("predicted_n", d.predicted_n, U32_MAX), d.runbook, list(d.containment),
        ms("at_ms", d.at_ms),
    )  # fmt: skip


def _notice(n: Notice) -> tuple[Any, ...]:
    return (
        text("id", n.id), n.incident, n.domain, n.kind, n.severity, n.title, n.text, list(n.to),
        ms("at_ms", n.at_ms), n.clock,
    )  # fmt: skip


def _notification(n: Notification) -> tuple[Any, ...]:
    return (
        text("target", n.target), n.kind, text("dedup_key", n.dedup_key), n.incident, n.about,
        within("version", n.version, U32_MAX), within("incident_version", n.incident_version, U32_MAX),
        n.state, within("attempts", n.attempts, U32_MAX), ms("queued_at", n.queued_at), ms("at_ms", n.at_ms),
        n.external_id, n.url, within("status", n.status, U16_MAX), n.error, int(n.open),
    )  # fmt: skip


def _item(i: ActionItem) -> tuple[Any, ...]:
    return (
        text("id", i.id), within("version", i.version, U32_MAX), i.incident, i.text, i.owner, i.state, i.due,
        ms("created_at", i.created_at), ms("at_ms", i.at_ms), i.actor, i.note, maybe_ms("done_at", i.done_at),
    )  # fmt: skip


def _review(r: Review) -> tuple[Any, ...]:
    version = within("version", r.version, U32_MAX)
    return text("incident", r.incident), version, r.text, r.actor, ms("at_ms", r.at_ms)


def _update(u: StatusUpdate) -> tuple[Any, ...]:
    return (
        text("id", u.id), within("version", u.version, U32_MAX), u.incident, u.audience, u.about, u.state,
        u.title, u.text, u.actor, ms("at_ms", u.at_ms), maybe_ms("sent_at", u.sent_at),
    )  # fmt: skip


RESPONSE_ROWS: dict[type, tuple[Table, Callable[[Any], tuple[Any, ...]]]] = {
    Clock: (CLOCKS, _clock),
    Duty: (DUTIES, _duty),
    Notice: (NOTICES, _notice),
    Notification: (NOTIFICATIONS, _notification),
    ActionItem: (ITEMS, _item),
    Review: (REVIEWS, _review),
    StatusUpdate: (UPDATES, _update),
    ActionResult: (ACTIONS, _action),
    AuditRecord: (AUDIT, _audit),
}
RESPONSE_COLUMNS: dict[type, tuple[Table, tuple[Part, ...]]] = {Clock: (CLOCKS, CLOCK_PARTS)}
