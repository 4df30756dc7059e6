"""Views for analysts: each column says what it is; figures follow newer versions and merges."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from correlator.incident import Edit, Figure
from correlator.response import Clock, Duty, Notice
from sinks import schema
from sinks.columns import RowError
from sinks.notification import Notification
from sinks.rows import row_of
from streams.records.messages import ActionResult
from tests.sinks.make import DAY, HOUR, MINUTE, T0, alert, incident, resolved
from tests.sinks.store import store

VIEWS = (
    "incident_timings",
    "mtta_mttr_daily",
    "sla_compliance",
    "clock_status",
    "noise_reduction",
    "recurrence",
    "team_load",
    "hint_accuracy",
)


def rows(client: Client, sql: str) -> list[dict[str, Any]]:
    return list(client.query(sql, query_formats={"DateTime64": "int"}).named_results())


def clock(**more: Any) -> Clock:
    plain: dict[str, Any] = {
        "id": "c1",
        "version": 6,
        "incident": "00000000000000aa",
        "domain": "",
        "name": "sla respond",
        "kind": "sla",
        "state": "running",
        "started_at": T0,
        "warn_at": T0 + 12 * MINUTE,
        "due_at": T0 + 15 * MINUTE,
        "stopped_at": None,
        "paused_ms": 0,
        "at_ms": T0,
        "basis": "15 min",
        "severity": "critical",
        "owner": "pay",
    }
    return Clock(**(plain | more))


def test_every_column_of_every_analytics_view_says_what_it_is(client: Client) -> None:
    """An analyst reads them with DESCRIBE or in any client."""
    for view in VIEWS:
        described = client.query(f"DESCRIBE TABLE {view}").result_rows
        assert described
        assert [name for name, _, _, _, comment, *_ in described if not comment] == [], view


def test_migrating_twice_leaves_figures_as_they_are(client: Client) -> None:
    """Rows that were copied into the narrow tables count once."""
    store(client, incident(**resolved(30)), alert())
    schema.migrate(client)
    for migration in schema.MIGRATIONS[6:]:
        for statement in migration.statements:
            client.command(statement)
    assert rows(client, "SELECT n FROM mtta_mttr_daily") == [{"n": 1}]
    assert rows(client, "SELECT alerts, incidents FROM noise_reduction") == [{"alerts": 1, "incidents": 1}]


def test_compliance_counts_what_was_met_and_missed_by_its_newest_version(client: Client) -> None:
    """A missed clock that turns out to have been met counts once, as met; cancelled ones do not count."""
    store(
        client,
        clock(state="missed", version=9),
        clock(state="met", version=16, stopped_at=T0 + MINUTE),
        clock(id="c2", state="missed", version=9),
        clock(id="c3", state="running"),
        clock(id="c4", state="cancelled"),
        clock(id="c5", kind="regulatory", name="dora initial"),
    )
    (row,) = rows(client, "SELECT team, n, met, missed, open, compliance FROM sla_compliance")
    assert row == {"team": "pay", "n": 2, "met": 1, "missed": 1, "open": 1, "compliance": 0.5}
    left = rows(client, "SELECT name, state, left_ms IS NULL AS over FROM clock_status ORDER BY id")
    assert [(r["state"], r["over"]) for r in left] == [
        ("met", 1),
        ("missed", 1),
        ("running", 0),
        ("cancelled", 1),
        ("running", 0),
    ]


def test_service_requests_are_in_no_figure(client: Client) -> None:
    """They are listed with the incidents and counted nowhere."""
    store(client, incident(**resolved(30), kind="service request", signature="s"))
    for view in ("incident_timings", "mtta_mttr_daily", "team_load", "recurrence"):
        assert rows(client, f"SELECT count() AS n FROM {view}") == [{"n": 0}], view  # noqa: S608
    assert rows(client, "SELECT kind FROM incidents") == [{"kind": "service request"}]


def test_hints_are_held_against_the_recorded_cause(client: Client) -> None:
    """Right first, right among three, wrong, and without a hint."""
    hint = incident().hints[0]
    wrong = tuple(type(hint)(service=s, confidence=0.3, evidence=()) for s in ("a", "b", "c"))
    for number, hints in enumerate(((hint,), (*wrong[:2], hint), wrong, ())):
        store(client, incident(id=f"{number:016x}", hints=hints, cause_service="payment"))
    store(client, incident(id="f" * 16))
    (row,) = rows(client, "SELECT n, top1, top3, unknown, top1_share FROM hint_accuracy")
    assert row == {"n": 4, "top1": 1, "top3": 2, "unknown": 1, "top1_share": 0.25}


def test_what_keeps_coming_back_is_one_row(client: Client) -> None:
    """With how often and how far apart; what was there once is not in it."""
    for number in range(3):
        start = T0 + number * DAY
        one = incident(
            id=f"{number:016x}",
            signature="s",
            problem="p",
            started_at=start,
            recurrence_of="x" if number else "",
        )
        store(client, one)
    store(client, incident(id="f" * 16, signature="other"))
    (row,) = rows(client, "SELECT signature, problem, n, recurred, interval_ms FROM recurrence")
    assert row == {"signature": "s", "problem": "p", "n": 3, "recurred": 2, "interval_ms": DAY}


def test_load_is_that_of_who_has_it(client: Client) -> None:
    """Whom a person assigned it to, else the owner; by week, with nights apart."""
    store(
        client,
        incident(id="1" * 16, owner="pay", priority="P1"),
        incident(id="2" * 16, owner="pay", assignee="ann", opened_at=T0 + 13 * HOUR),
        incident(id="3" * 16, owner="pay", opened_at=T0 + 7 * DAY, **resolved(30)),
    )
    found = rows(
        client, "SELECT team, opened, urgent, at_night, still_open FROM team_load ORDER BY week, team"
    )
    assert [tuple(row.values()) for row in found] == [
        ("ann", 1, 1, 1, 1),
        ("pay", 1, 1, 0, 1),
        ("pay", 1, 1, 0, 0),
    ]


def test_an_undone_merge_counts_again(client: Client) -> None:
    """The newest version of the other one decides."""
    store(client, incident(id="1" * 16, **resolved(60)))
    store(
        client, incident(id="2" * 16, version=2, state="merged", merged_into="1" * 16, started_at=T0 - HOUR)
    )
    (merged,) = rows(client, "SELECT mttr_ms, merged FROM incident_timings")
    assert merged == {"mttr_ms": 2 * HOUR, "merged": 1}
    store(client, incident(id="2" * 16, version=3, started_at=T0 - HOUR))
    apart = rows(client, "SELECT id, mttr_ms, merged FROM incident_timings ORDER BY id")
    assert [(r["mttr_ms"], r["merged"]) for r in apart] == [(HOUR, 0), (None, 0)]


def test_impact_and_audit_are_rows(client: Client) -> None:
    """Of the newest version."""
    figure = Figure("customers", 12, "customers", "confirmed", "counted", "ann", T0)
    edit = Edit(T0, "ann", "started_at", "a", "b", "called", "x1")
    store(client, incident(), incident(version=2, impact=(figure,), edits=(edit,)))
    assert rows(client, "SELECT name, value, status, stated_by FROM incident_impact") == [
        {"name": "customers", "value": 12.0, "status": "confirmed", "stated_by": "ann"}
    ]
    assert rows(client, "SELECT field, before, after, reason, action FROM incident_audit") == [
        {"field": "started_at", "before": "a", "after": "b", "reason": "called", "action": "x1"}
    ]


def test_what_follows_from_incidents_is_kept_by_its_newest_version(client: Client) -> None:
    """Duty, notices, notifications, actions; delivered twice they count once."""
    duty = Duty(
        incident="i",
        version=2,
        domain="",
        team="pay",
        reason="r",
        on_call=("ann",),
        level=1,
        levels=2,
        policy="p",
        next_at=T0,
        acknowledged=False,
        at_ms=T0,
    )
    notice = Notice(
        id="n",
        incident="i",
        domain="",
        kind="escalation",
        severity="error",
        title="t",
        text="x",
        to=("ann",),
        at_ms=T0,
    )
    told = Notification(
        target="pager",
        kind="pagerduty",
        dedup_key="i",
        incident="i",
        about="opened",
        version=1,
        incident_version=0,
        state="retrying",
        attempts=1,
        queued_at=T0,
        at_ms=T0,
        error="HTTP 500",
    )
    sent = Notification(
        target="pager",
        kind="pagerduty",
        dedup_key="i",
        incident="i",
        about="opened",
        version=2,
        incident_version=3,
        state="sent",
        attempts=0,
        queued_at=T0,
        at_ms=T0 + 1,
        open=True,
    )
    answer = ActionResult("a", "i", False, "cannot", "closed", action="resolve", actor="ann", ts=T0)
    store(client, duty, duty, notice, notice, sent, told, answer, answer)
    assert rows(client, "SELECT team, on_call, level FROM duty") == [
        {"team": "pay", "on_call": ["ann"], "level": 1}
    ]
    assert rows(client, "SELECT recipients FROM notices") == [{"recipients": ["ann"]}]
    assert rows(client, "SELECT state, open FROM notifications") == [{"state": "sent", "open": 1}]
    assert rows(client, "SELECT action, actor, applied, reason FROM actions") == [
        {"action": "resolve", "actor": "ann", "applied": 0, "reason": "cannot"}
    ]


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (clock(id=""), "id is empty"),
        (clock(due_at=-1), "due_at is -1, expected 0 to"),
        (clock(version=2**40), "version is"),
        (ActionResult("", "i", True, "applied"), "id is empty"),
    ],
)
def test_what_fits_no_column_is_refused_with_its_name(item: Any, named: str) -> None:
    """Before ClickHouse sees it."""
    with pytest.raises(RowError, match=named):
        row_of(item)
