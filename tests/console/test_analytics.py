"""The analytics: figures by their definitions, the same drawn, downloaded, and asked by the SQL shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from fastapi.testclient import TestClient

from config.settings import ClickHouse
from console import analytics
from console.access.identity import Identity
from correlator.incident import ServiceRole
from correlator.response import Clock
from sinks.clickhouse import connect
from sinks.questions import QUESTIONS, Asked, answer, passed_over, pasteable
from sinks.reader import Reader
from sinks.rows import row_of
from tests.console.conftest import with_domains
from tests.sinks.make import DAY, HOUR, MINUTE, T0, incident, resolved
from tests.sinks.store import store

PERIOD = {"since": T0 - DAY, "until": T0 + 3 * DAY}
ASKED = Asked(since_ms=T0 - DAY, until_ms=T0 + 3 * DAY)
BAD = "=HYPERLINK(1)"


@pytest.fixture
def database(clickhouse: ClickHouse) -> Client:
    """Three resolved incidents and one that goes on."""
    client = connect(clickhouse)
    store(
        client,
        incident("00000000000000a1", domain="eu", **resolved(10)),
        incident("00000000000000a2", domain="us", **resolved(30, "human", acknowledged_at=T0 + 4 * MINUTE)),
        incident("00000000000000a3", domain="eu", owner=BAD, signature="s", **resolved(50)),
        incident("00000000000000a4", domain="eu", signature="s"),
    )
    return client


def test_the_figures_are_those_of_the_definitions(database: Client, client: TestClient) -> None:
    (row,) = client.get("/api/v1/analytics/timing", params=PERIOD).json()["rows"]
    assert (row["resolved"], row["auto"], row["human"], row["mtta_n"]) == (3, 2, 1, 1)
    assert row["mttr_p50_ms"] == 30 * MINUTE
    assert row["mtta_p50_ms"] == 3 * MINUTE
    assert row["ack_rate"] == pytest.approx(1 / 3)
    assert (row["mttr_human_p90_ms"], row["mttd_mean_ms"]) == (30 * MINUTE, MINUTE)


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_what_is_shown_as_sql_is_what_is_drawn_and_downloaded(
    database: Client, client: TestClient, name: str
) -> None:
    """By the API, as a file, and run as it is pasted."""
    said = client.get(f"/api/v1/analytics/{name}", params=PERIOD).json()
    columns, rows = answer(Reader(database), QUESTIONS[name], ASKED)
    assert (said["columns"], said["rows"]) == (columns, rows)
    read = list(csv.reader(io.StringIO(client.get(f"/analytics/{name}.csv", params=PERIOD).text)))
    assert read[0] == columns
    assert len(read) == len(rows) + 1
    assert pasteable(QUESTIONS[name], ASKED) == said["sql"]
    assert said["sql"].endswith(QUESTIONS[name].sql)
    assert client.get(f"/analytics/part/{name}", params=PERIOD).status_code == 200


def test_parameters_are_quoted_as_clickhouse_reads_them(database: Client) -> None:
    """Each SET line is a literal: what ClickHouse reads of it is what was asked."""
    asked = Asked(since_ms=ASKED.since_ms, until_ms=ASKED.until_ms, team="o'brien\\", domains=("e'u", "us"))
    lines = [line for line in pasteable(QUESTIONS["timing"], asked).splitlines() if line.startswith("SET ")]
    given = {line.split()[1].removeprefix("param_"): line.split(" = ", 1)[1][:-1] for line in lines}
    assert set(given) == {"since", "until", "service", "team", "severity", "category", "domains"}
    read = database.query(f"SELECT {given['team']}, {given['domains']}").result_rows[0]
    assert read[0] == "o'brien\\"
    assert database.query(f"SELECT {read[1]}").result_rows[0][0] == ["e'u", "us"]


def test_text_a_spreadsheet_would_run_is_made_harmless(database: Client, client: TestClient) -> None:
    text = client.get("/analytics/timing_by_team.csv", params=PERIOD).text
    assert f"'{BAD}" in text
    assert f"\n{BAD}" not in text


def test_other_domains_are_not_counted(
    database: Client, client_for: Callable[[Identity], TestClient]
) -> None:
    eu = client_for(with_domains(Identity("ann", "viewer"), "eu"))
    (row,) = eu.get("/api/v1/analytics/timing", params=PERIOD).json()["rows"]
    assert (row["resolved"], row["human"]) == (2, 0)
    assert eu.get("/api/v1/analytics/funnel", params=PERIOD).status_code == 403


def clock(id: str, incident: str) -> Clock:
    return Clock(
        id=id, version=1, incident=incident, domain="eu", name="respond", kind="sla", state="met",
        started_at=T0, warn_at=T0 + MINUTE, due_at=T0 + HOUR, stopped_at=T0 + MINUTE, paused_ms=0,
        at_ms=T0 + MINUTE, basis="1 h", severity="error", owner="pay",
    )  # fmt: skip


@pytest.fixture
def clocked(database: Client) -> Client:
    """A deadline met for the incident of `db`, a security incident, and one for another."""
    role = ServiceRole("db", "affected")
    store(database, incident("00000000000000b1", services=(role,), category="security incident"))
    for one in (clock("c1", "00000000000000b1"), clock("c2", "00000000000000a1")):
        row = row_of(one)
        database.insert(row.table.name, [row.values], column_names=row.table.columns)
    return database


@pytest.mark.parametrize(
    ("filters", "met"),
    [
        ({}, 2),
        ({"service": "db"}, 1),
        ({"category": "security incident"}, 1),
        ({"service": "payment", "category": "security incident"}, 0),
        ({"service": "nowhere"}, 0),
    ],
)
@pytest.mark.parametrize("name", ["sla", "sla_by_week"])
def test_service_levels_are_those_of_the_service_and_category(
    clocked: Client, client: TestClient, name: str, filters: dict[str, str], met: int
) -> None:
    rows = client.get(f"/api/v1/analytics/{name}", params={**PERIOD, **filters}).json()["rows"]
    assert sum(row["met"] for row in rows) == met


@pytest.mark.parametrize("name", ["funnel", "noise_by_day"])
def test_a_figure_of_everything_says_which_filters_it_passes_over(
    database: Client, client: TestClient, name: str
) -> None:
    asked: dict[str, str | int] = {**PERIOD, "service": "payment", "category": "security incident"}
    html = client.get(f"/analytics/part/{name}", params=asked).text
    assert "Of everything: not by service, category." in html
    assert "Of everything" not in client.get(f"/analytics/part/{name}", params=PERIOD).text
    assert client.get(f"/api/v1/analytics/{name}", params=asked).json()["passed_over"] == [
        "service",
        "category",
    ]


@pytest.mark.parametrize("name", sorted(one for one, each in QUESTIONS.items() if not each.everywhere))
def test_every_other_question_follows_every_filter(name: str) -> None:
    every = Asked(since_ms=0, until_ms=1, service="s", team="t", severity="error", category="c")
    assert passed_over(QUESTIONS[name], every) == []


def test_a_day_without_a_resolve_is_a_gap(database: Client) -> None:
    days = [{"day": "2026-01-01", "n": 1}, {"day": "2026-01-03", "n": 2}]
    assert [row["n"] for row in analytics.filled(days, "day")] == [1, None, 2]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/analytics?days=0", 422),
        ("/analytics?severity=worst", 422),
        ("/api/v1/analytics/nothing", 404),
        ("/api/v1/analytics/timing?since=5&until=5", 422),
        ("/analytics/part/timing?since=-1", 422),
    ],
)
def test_what_cannot_be_asked_is_refused(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mttr_p50_ms", 1_830_000.0, "30 min"),
        ("ack_rate", 0.333, "33 %"),
        ("resolved", 12_345, "12,345"),
        ("mtta_p50_ms", None, "–"),
    ],
)
def test_figures_in_words(name: str, value: float | None, text: str) -> None:
    assert analytics.cell(name, value) == text


def test_samples_are_counted_as_they_are_kept(database: Client, client: TestClient) -> None:
    """Gauges, counters and histograms alike, and only those of the period."""
    at = (T0 + 2 * HOUR, T0 + 2 * HOUR + 1, T0 - 9 * DAY)
    rows = [[1, datetime.fromtimestamp(ms / 1000, UTC), 1.0] for ms in at]
    database.insert("samples", rows, ["fingerprint", "ts", "value"])
    histogram = [2, datetime.fromtimestamp(at[0] / 1000, UTC), 1.0, [1.0, 2.0]]
    database.insert("histogram_samples", [histogram], ["fingerprint", "ts", "sum", "counts"])
    said = client.get("/api/v1/analytics/funnel", params=PERIOD).json()
    assert said["rows"][0]["samples"] == 3
    assert said["came"] is None  # no broker listens there
    assert "<b>3</b> samples" in client.get("/analytics/part/funnel", params=PERIOD).text
