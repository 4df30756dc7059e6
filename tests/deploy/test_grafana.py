"""The dashboards: every panel's SQL runs on the real engine with our tables, and says what its title says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from correlator.response import Clock
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.notification import Notification
from sinks.rows import row_of
from sinks.schema import create_database, migrate
from tests.sinks.make import DAY, HOUR, MINUTE, T0, alert, dead_letter, incident, resolved
from tests.sinks.store import store

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS: dict[str, dict[str, Any]] = {
    f"{board}: {panel['title']} ({panel['type']})": panel
    for board, content in BOARDS.items()
    for panel in content["panels"]
}
NOW = {
    "deadlines: Clocks that run (stat)",
    "deadlines: Next regulatory deadline (stat)",
}
"""figures of now, whatever the period"""
DAY_SECONDS = DAY // 1000


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Stack(kafka=False) as stack:
        settings = ClickHouse(url=stack.clickhouse)
        first = connect(settings, database="default")
        create_database(first, settings.database)
        first.close()
        client = connect(settings)
        migrate(client)
        store(
            client,
            incident("one", acknowledged_at=T0 + 3 * MINUTE, **resolved(10, by="human")),
            incident("two", **resolved(30)),
            incident("three", severity="critical"),
            incident("four", state="merged", merged_into="three"),
            *(alert(f"a{n}") for n in range(12)),
            dead_letter(1),
            dead_letter(2),
        )
        _store_more(client)
        yield client
        client.close()


def _store_more(client: Client) -> None:
    """Two of a kind two days earlier, clocks of every kind, what was told and what was held back."""
    before = {"signature": "s1", "assignee": "team-pay", "cause_service": "payment", "cause": "pool"}
    for n in (1, 2):
        at = T0 - n * DAY
        ended = resolved(0, resolved_at=at + HOUR, first_resolved_at=at + HOUR, active_ms=HOUR)
        times = {"started_at": at, "detected_at": at + MINUTE, "opened_at": at + MINUTE}
        store(client, incident(f"before{n}", **before, **ended, **times))
    for name, kind, state in (
        ("sla respond", "sla", "met"), ("sla resolve", "sla", "missed"),
        ("customer notice", "customer", "met"),
        ("nis2 early warning", "regulatory", "warned"), ("gdpr notification", "regulatory", "paused"),
    ):  # fmt: skip
        _insert(
            client,
            Clock(
                id=name, version=1, incident="one", domain="", name=name, kind=kind, state=state,
                started_at=T0, warn_at=T0 + 20 * MINUTE, due_at=T0 + 30 * MINUTE, paused_ms=0, at_ms=T0,
                stopped_at=T0 + MINUTE if state == "met" else None, basis="by rule", severity="error",
                owner="team-pay",
            ),
        )  # fmt: skip
    for target, state in (("pager", "sent"), ("chat", "failed"), ("mail", "retrying")):
        _insert(
            client,
            Notification(
                target=target, kind="slack", dedup_key="one", incident="one", about="opened", version=1,
                incident_version=1, state=state, attempts=2, queued_at=T0, at_ms=T0, error="HTTP 500",
            ),
        )  # fmt: skip
    day = datetime.fromtimestamp(T0 / 1000, UTC).date()
    client.insert("suppressed_facts", [[day, "a1"], [day, "a2"]], column_names=["day", "alert"])


def _insert(client: Client, item: object) -> None:
    row = row_of(item)
    client.insert(row.table.name, [row.values], column_names=row.table.columns)


def expanded(sql: str, begin_s: int, end_s: int, interval_s: int = 3600) -> str:
    """The query as the plugin sends it: its macros replaced as its documentation says."""
    sql = re.sub(
        r"\$__timeFilter\(([^)]+)\)", rf"\1 >= toDateTime({begin_s}) AND \1 <= toDateTime({end_s})", sql
    )
    day = "toDate('1970-01-01') + {}"
    between = rf"\1 >= {day.format(begin_s // DAY_SECONDS)} AND \1 <= {day.format(end_s // DAY_SECONDS)}"
    sql = re.sub(r"\$__dateFilter\(([^)]+)\)", between, sql)
    return re.sub(
        r"\$__timeInterval\(([^)]+)\)",
        rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval_s} second)",
        sql,
    )


def rows(
    client: Client, name: str, begin_ms: int = T0 - HOUR, end_ms: int = T0 + HOUR
) -> list[dict[str, Any]]:
    """`name`: of a panel, with its dashboard before it unless that is the one of incidents."""
    name = name if name in PANELS else f"incidents: {name}"
    sql = PANELS[name]["targets"][0]["rawSql"]
    return list(client.query(expanded(sql, begin_ms // 1000, end_ms // 1000)).named_results())


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_answers(client: Client, name: str) -> None:
    """No panel has SQL the engine refuses or a macro we did not replace, and each finds the seeded rows."""
    assert "$__" not in expanded(PANELS[name]["targets"][0]["rawSql"], 0, 1)
    assert rows(client, name, T0 - 40 * DAY)


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_answers_on_an_empty_period(client: Client, name: str) -> None:
    """Nothing in the range: no error, and no figure that is a made-up zero."""
    for row in rows(client, name, T0 - 90 * DAY, T0 - 80 * DAY):
        for column, value in row.items():
            if PANELS[name]["fieldConfig"]["defaults"].get("unit") in ("ms", "percentunit"):
                assert value is None or name in NOW, column


def test_open_incidents_leave_out_resolved_and_merged(client: Client) -> None:
    """One of four is open."""
    assert rows(client, "Open incidents (stat)") == [{"open": 1}]
    assert [row["id"] for row in rows(client, "Open incidents (table)")] == ["three"]


def test_the_figures_are_those_of_the_timing_view(client: Client) -> None:
    """MTTA of the one acknowledged, median MTTR of the two resolved."""
    assert rows(client, "MTTA and MTTR, p50 (stat)") == [{"MTTA p50": 2 * MINUTE, "MTTR p50": 20 * MINUTE}]


def test_the_funnel_goes_from_alerts_to_resolved(client: Client) -> None:
    """Twelve alerts, three incidents, one acknowledged, two resolved."""
    expected = {"alerts": 12, "incidents": 3, "acknowledged": 1, "resolved": 2}
    assert rows(client, "From alerts to resolved incidents (bargauge)") == [expected]


def test_incidents_over_time_are_split_by_severity(client: Client) -> None:
    """Columns in the order the plugin wants: time, label, value."""
    found = rows(client, "Incidents over time (timeseries)")
    assert [list(row) for row in found] == [["time", "severity", "incidents"]] * 2
    assert {row["severity"]: row["incidents"] for row in found} == {"error": 2, "critical": 1}


def test_refused_records_are_counted_by_reason(client: Client) -> None:
    """Two dead letters of one topic."""
    (row,) = rows(client, "Refused records (table)")
    assert (row["topic"], row["reason"], row["records"]) == ("otlp_metrics", "undecodable", 2)


def test_timing_is_that_of_the_view(client: Client) -> None:
    """Medians of the two resolved in the period; by day a point for each day with a resolve, none between."""
    assert rows(client, "timing: MTTR (stat)") == [{"p50": 20 * MINUTE, "p90": 28 * MINUTE}]
    assert rows(client, "timing: Acknowledge rate (stat)") == [{"acknowledged": 0.5}]
    assert rows(client, "timing: Resolved (stat)") == [{"by themselves": 1, "by a person": 1}]
    daily = rows(client, "timing: Resolved by day (timeseries)", T0 - 3 * DAY)
    assert [(row["by themselves"], row["by a person"]) for row in daily] == [(1, 0), (1, 0), (1, 1)]
    split = rows(client, "timing: MTTR, by themselves and by a person (timeseries)", T0 - 3 * DAY)
    assert [row["by a person, p50"] for row in split] == [None, None, 10 * MINUTE]
    teams = rows(client, "timing: By team (table)", T0 - 3 * DAY)
    assert {row["team"]: row["resolved"] for row in teams} == {"": 2, "team-pay": 2}


def test_deadlines_show_what_was_kept_and_what_runs(client: Client) -> None:
    """One met, one missed; at risk is what runs, not what is paused; regulatory and customer apart."""
    assert rows(client, "deadlines: Service levels kept (stat)") == [{"kept": 0.5}]
    assert rows(client, "deadlines: Clocks that run (stat)") == [{"running": 1, "warned": 1, "paused": 1}]
    missed = {"service level": 1, "customer": 0, "regulatory": 0}
    assert rows(client, "deadlines: Missed in the period (stat)") == [missed]
    (risk,) = rows(client, "deadlines: Clocks at risk (table)")
    assert (risk["clock"], risk["state"], risk["team"]) == ("nis2 early warning", "warned", "team-pay")
    assert risk["left"] < 0
    found = rows(client, "deadlines: Regulatory and customer clocks (table)")
    assert {row["clock"] for row in found} == {"customer notice", "nis2 early warning", "gdpr notification"}
    level = rows(client, "deadlines: Service levels kept by day (timeseries)")
    assert [list(row) for row in level] == [["time", "name", "kept"]] * 2
    assert {row["name"]: row["kept"] for row in level} == {"sla respond": 1.0, "sla resolve": 0.0}


def test_noise_shows_suppression_recurrence_load_and_who_was_told(client: Client) -> None:
    """Twelve alerts, two of them held back, three incidents; two of a kind; one of three told."""
    counts = {"all alerts": 12, "held back": 2, "became incidents": 3}
    assert rows(client, "noise: From alerts to incidents (bargauge)") == [counts]
    assert rows(client, "noise: Noise reduction (stat)") == [{"less to look at": 0.75}]
    (kind,) = rows(client, "noise: What comes back (table)", T0 - 3 * DAY)
    assert (kind["incidents"], kind["every"], kind["together"]) == (2, DAY, 2 * HOUR)
    hints = rows(client, "noise: Hints that were right (stat)", T0 - 40 * DAY)
    assert hints == [{"first": 1.0, "one of three": 1.0}]
    load = rows(client, "noise: Team load (table)", T0 - 10 * DAY)
    assert sum(row["incidents"] for row in load if row["whose"] == "team-pay") == 2
    told = {row["told"]: row for row in rows(client, "noise: Notifications (table)")}
    assert [told[name]["lost"] for name in ("pager", "chat", "mail")] == [0, 1, 0]
    lost = rows(client, "noise: Notifications that did not arrive (table)")
    assert {row["told"] for row in lost} == {"chat", "mail"}


def test_every_panel_uses_the_provisioned_datasource() -> None:
    """The uid in the dashboards is the one in the provisioning."""
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/clickhouse.yaml").read_text())
    (source,) = provisioned["datasources"]
    used = {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in PANELS.values()}
    used |= {(t["datasource"]["type"], t["datasource"]["uid"]) for p in PANELS.values() for t in p["targets"]}
    assert used == {(source["type"], source["uid"])}


def test_dashboards_have_names_of_their_own() -> None:
    """Grafana takes the later of two with one uid or title; panel ids are unique in a dashboard."""
    assert set(BOARDS) == {"incidents", "timing", "deadlines", "noise"}
    for name in ("uid", "title"):
        assert len({board[name] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(PANELS) == sum(len(board["panels"]) for board in BOARDS.values())


def test_overrides_name_columns_that_are_there(client: Client) -> None:
    """A unit for a column that no longer exists would silently do nothing."""
    for name, panel in PANELS.items():
        columns = set(rows(client, name, T0 - 40 * DAY)[0])
        named = {over["matcher"]["options"] for over in panel["fieldConfig"]["overrides"]}
        assert named <= columns, name


@pytest.mark.parametrize("board", BOARDS)
def test_panels_do_not_overlap(board: str) -> None:
    """The grid is 24 wide; a cell belongs to one panel."""
    cells = [
        (x, y)
        for panel in BOARDS[board]["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
