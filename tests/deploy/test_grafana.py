"""The dashboard: every panel's SQL runs on the real engine with our tables, and says what its title says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from embedded.stack import Stack
from sinks.clickhouse import connect
from sinks.schema import create_database, migrate
from tests.sinks.make import DAY, HOUR, MINUTE, T0, alert, dead_letter, incident, resolved
from tests.sinks.store import store

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "incidents.json").read_text())
PANELS: dict[str, dict[str, Any]] = {
    f"{panel['title']} ({panel['type']})": panel for panel in DASHBOARD["panels"]
}
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
        yield client
        client.close()


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
    sql = PANELS[name]["targets"][0]["rawSql"]
    return list(client.query(expanded(sql, begin_ms // 1000, end_ms // 1000)).named_results())


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_answers(client: Client, name: str) -> None:
    """No panel has SQL the engine refuses or a macro we did not replace, and each finds the seeded rows."""
    assert "$__" not in expanded(PANELS[name]["targets"][0]["rawSql"], 0, 1)
    assert rows(client, name)


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_answers_on_an_empty_period(client: Client, name: str) -> None:
    """Nothing in the range: no error, and no figure that is a made-up zero."""
    for row in rows(client, name, T0 - 90 * DAY, T0 - 80 * DAY):
        for column, value in row.items():
            if PANELS[name]["fieldConfig"]["defaults"].get("unit") in ("ms", "percentunit"):
                assert value is None, column


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


def test_every_panel_uses_the_provisioned_datasource() -> None:
    """The uid in the dashboard is the one in the provisioning."""
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/clickhouse.yaml").read_text())
    (source,) = provisioned["datasources"]
    used = {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in DASHBOARD["panels"]}
    used |= {
        (t["datasource"]["type"], t["datasource"]["uid"]) for p in DASHBOARD["panels"] for t in p["targets"]
    }
    assert used == {(source["type"], source["uid"])}


def test_panels_do_not_overlap() -> None:
    """The grid is 24 wide; a cell belongs to one panel."""
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
