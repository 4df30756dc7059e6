"""The pipeline, its dead letters and series, and what an incident asks of people, for programs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.control import Rule
from config.settings import ClickHouse
from console.access.identity import Identity
from console.partitions import Place, places
from sinks.clickhouse import connect
from streams.agents.watching import Scrape, Worker, frame, parse
from tests.cli.test_top import exposition
from tests.console.conftest import ADMIN, NOW_MS, with_domains
from tests.sinks.make import dead_letter, incident
from tests.sinks.pages import page, records, series
from tests.sinks.store import store
from tests.sinks.test_history import write

TENANT = Identity("eve", "viewer", ("payments",))
"""may see one domain"""


def kept(clickhouse: ClickHouse, domain: str) -> str:
    """A series with two hours of samples, an odd one at the end; its fingerprint."""
    one = series(resource=(("env", domain),))
    ts = NOW_MS - 7_200_000 + 10_000 * np.arange(720)
    values = [60.0 if n >= 710 else 10 + float(np.sin(n)) for n in range(720)]
    rows = [(one, int(at), value) for at, value in zip(ts, values, strict=True)]
    write(clickhouse, records(page([one], rows)))
    return f"{one.fp:016x}"


def test_watermark_is_a_moment_beside_the_worker_that_has_the_partition() -> None:
    scrape = Scrape(1.0, parse(exposition(5, lag=7)))
    seen = frame([Worker("http://w:1/metrics", scrape), Worker("http://away:1/metrics", error="refused")])
    assert places(seen, 100_000) == [
        Place("http://w:1", "ingest", "in", 0, 7, 94_500),
        Place("http://w:1", "ingest", "in", 1, 0, None),
    ]


def test_pipeline_is_told_without_workers_and_without_kafka(client: TestClient) -> None:
    found = client.get("/api/v1/pipeline").json()
    assert [one["state"] for one in found["workers"]] == ["does not answer"]
    assert (found["lag_from"], found["partitions"]) == ("kafka", [])
    assert found["lag_trouble"].startswith("no Kafka at 127.0.0.1:9")
    assert found["funnel"]["alerts"] == 0


def test_alerts_of_all_domains_are_not_counted_for_whoever_sees_one(
    client_for: Callable[[Identity], TestClient],
) -> None:
    assert client_for(TENANT).get("/api/v1/pipeline").json()["funnel"] is None


def test_dead_letters_come_a_page_at_a_time(clickhouse: ClickHouse, client: TestClient) -> None:
    database = connect(clickhouse)
    store(database, *(dead_letter(n, timestamp_ms=NOW_MS - n) for n in range(5)))
    seen = []
    for offset in (0, 2, 4):
        found = client.get("/api/v1/deadletters", params={"offset": offset, "most": 2}).json()
        assert (found["total"], found["reasons"][0]["n"]) == (5, 5)
        seen += [one["offset"] for one in found["letters"]]
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert client.get("/api/v1/deadletters", params={"topic": "other"}).json()["letters"] == []


def test_putting_back_without_a_broker_says_so(client: TestClient) -> None:
    answer = client.post("/api/v1/deadletters/reinject", json={"topic": "x"})
    assert (answer.status_code, answer.json()["detail"][:18]) == (503, "Kafka is not there")


def test_a_filter_nobody_knows_puts_nothing_back(client: TestClient) -> None:
    assert client.post("/api/v1/deadletters/reinject", json={"topics": "x"}).status_code == 422


def test_series_are_found_and_judged(clickhouse: ClickHouse, client: TestClient) -> None:
    fingerprint = kept(clickhouse, "payments")
    (found,) = client.get("/api/v1/series", params={"q": "QUEUE"}).json()["series"]
    assert found["judged_as"] == [{"fingerprint": fingerprint, "metric": "queue.length"}]
    judged = client.get(f"/api/v1/series/{fingerprint}", params={"most": 50}).json()["judged"]
    assert (judged["samples"], len(judged["t"])) == (360, 50)
    assert max(judged["value"]) == 60.0
    assert judged["odd"][0]["loud"]
    assert {len(one["bits"]) for one in judged["components"]} == {50}


def test_series_of_another_domain_are_neither_found_nor_judged(
    clickhouse: ClickHouse, client_for: Callable[[Identity], TestClient]
) -> None:
    fingerprint = kept(clickhouse, "shop")
    tenant = client_for(TENANT)
    assert tenant.get("/api/v1/series").json()["series"] == []
    assert tenant.get(f"/api/v1/series/{fingerprint}").status_code == 404
    assert client_for(with_domains(ADMIN, "shop")).get(f"/api/v1/series/{fingerprint}").status_code == 200


def test_an_incident_without_deadlines_or_duty_says_so(clickhouse: ClickHouse, client: TestClient) -> None:
    one = incident()
    store(connect(clickhouse), one)
    at = f"/api/v1/incidents/{one.id}"
    assert client.get(f"{at}/clocks").json() == []
    duty = client.get(f"{at}/duty").json()
    assert (duty["known"], duty["team"]) == (False, one.owner)
    assert [each["id"] for each in client.get(f"{at}/similar").json()] == [each.id for each in one.similar]


def test_the_page_of_a_series_says_which_rules_apply(
    clickhouse: ClickHouse, app: FastAPI, client: TestClient
) -> None:
    state = app.state.console
    rules = (Rule(matchers=('service="shop"',), max_severity="error"), Rule(matchers=('service="pay"',)))
    detect = msgspec.structs.replace(state.settings.detect, rules=rules)
    state.settings = msgspec.structs.replace(state.settings, detect=detect)
    html = client.get(f"/pipeline/series/{kept(clickhouse, 'payments')}").text
    assert "1 of 2 detection rules applies" in html
    assert "detect.rules[0]" in html
    assert "detect.rules[1]" not in html
    assert html.count('class="multiples"') == 1
