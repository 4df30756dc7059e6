"""The page of the pipeline: what is wrong, what could not be read, and any series explored."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.settings import ClickHouse, Settings
from console import pipeline
from console.access.identity import Identity
from console.app import create_app
from console.seriescharts import LOUD_BITS, MOST_ROWS, explored, said, voices
from console.watching import Look
from detectors.explore import Explored, Raw, explore
from sinks.clickhouse import connect
from streams.agents.watching import Scrape, Worker, frame, parse
from tests.cli.test_top import exposition
from tests.console.conftest import ADMIN, NOW_MS
from tests.sinks.make import dead_letter
from tests.sinks.pages import series
from tests.sinks.store import store


def worker(records: float, at: float, **more: float) -> Scrape:
    return Scrape(at, parse(exposition(records, **more)))  # type: ignore[arg-type]


def test_an_unreachable_worker_is_told_of_with_the_next_step() -> None:
    seen = frame([Worker("http://127.0.0.1:1/metrics", error="connection refused")])
    (text,) = pipeline.wrong(seen)
    assert "127.0.0.1:1 (connection refused)" in text
    assert "console.workers" in text


def test_reasons_and_dead_letters_are_told() -> None:
    now, before = worker(200, 10.0, dead=30), worker(100, 0.0, dead=10)
    seen = frame([Worker("http://w/metrics", now, before, reasons=("lag grows on in/0",))])
    said = pipeline.wrong(seen)
    assert said[0] == "The worker at http://w is not ready: lag grows on in/0."
    assert "Dead letters in ingest (undecodable): 2 a second." in said


def test_nothing_is_wrong_when_all_is_well() -> None:
    assert pipeline.wrong(frame([Worker("http://w/metrics", worker(2, 1.0), worker(1, 0.0))])) == []


def test_charts_have_a_line_a_stage_and_gaps_where_nothing_was_seen() -> None:
    looks = [
        Look(1, "ingest", 5, 2.0, None),
        Look(2, "ingest", 6, None, None),
        Look(2, "detect", 1, 1.0, 0.1),
    ]
    lag, rows = pipeline.charts(looks)
    assert [(one["name"], one["values"]) for one in lag["series"]] == [
        ("ingest", [5, 6]),
        ("detect", [None, 1]),
    ]
    assert rows["series"][0]["values"] == [2.0, None]


def test_the_page_says_that_no_worker_answers(clickhouse: ClickHouse, settings: Settings) -> None:
    away = msgspec.structs.replace(settings.console, workers=("127.0.0.1:9",))
    app = create_app(msgspec.structs.replace(settings, console=away), lambda: NOW_MS)
    app.state.who = ADMIN
    with TestClient(app, base_url="http://127.0.0.1:8088") as client:
        html = client.get("/pipeline/part").text
    assert "No worker answers at http://127.0.0.1:9" in html
    assert "no Kafka at 127.0.0.1:9" in html, "Kafka was not asked in their place"


def test_dead_letters_are_counted_and_shown_as_text(clickhouse: ClickHouse, client: TestClient) -> None:
    bad = b"<script>alert(1)</script>"
    database = connect(clickhouse)
    store(database, *(dead_letter(n, value=bad, timestamp_ms=NOW_MS - 1_000) for n in range(3)))
    html = client.get("/pipeline/deadletters").text
    assert '<td class="n">3</td>' in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html


def test_putting_back_needs_an_admin(client_for: Callable[[Identity], TestClient]) -> None:
    manager = client_for(Identity("mia", "manager"))
    assert manager.post("/pipeline/deadletters/reinject", data={"topic": "x"}).status_code == 403


def test_without_a_broker_putting_back_says_so(client: TestClient) -> None:
    answer = client.post("/pipeline/deadletters/reinject", data={"topic": "x"})
    assert answer.status_code == 503
    assert "Kafka is not there" in answer.text


def test_a_series_nobody_keeps_is_not_found(client: TestClient) -> None:
    answer = client.get("/pipeline/series/00000000000000aa")
    assert answer.status_code == 404
    assert "no samples of series" in answer.text
    assert client.get("/pipeline/series/nonsense").status_code == 422


def test_the_search_says_when_samples_are_not_kept(app: FastAPI, client: TestClient) -> None:
    state = app.state.console
    off = msgspec.structs.replace(state.settings.history, enabled=False)
    state.settings = msgspec.structs.replace(state.settings, history=off)
    assert "history.enabled" in client.get("/pipeline/series").text


def queue() -> Explored:
    """Steady, and ten odd samples at the end."""
    one = series("queue")
    n = 400
    ts = NOW_MS + 10_000 * np.arange(n, dtype=np.int64)
    values = 10 + np.sin(np.arange(n)) + np.where(np.arange(n) >= 390, 60.0, 0.0)
    raw = Raw((one,), np.full(n, one.fp, np.uint64), ts, values)
    found = explore(raw, f"{one.fp:016x}", Settings().detect)
    assert found is not None
    return found


def test_the_explorer_draws_what_the_detectors_say() -> None:
    """Value, band and score as judged; the odd sample with its components."""
    found = queue()
    ts, values = found.ts_ms, found.value
    value, score = explored(found, int(ts[100]))
    assert value["t"][0] == int(ts[100])
    assert value["series"][0]["values"] == values[100:].tolist()
    assert max(score["series"][0]["values"]) == float(np.nanmax(found.score))
    worst = said(found)[0]
    assert worst.ts_ms >= int(ts[390])
    assert worst.loud, "no component spoke"


def test_components_that_were_loud_are_drawn_on_one_scale_and_the_others_named() -> None:
    found = queue()
    spoken = voices(found, int(found.ts_ms[100]))
    assert spoken.names == [one["title"] for one in spoken.charts] != []
    assert {len(one["t"]) for one in spoken.charts} == {300}
    assert len({tuple(one["scale"]) for one in spoken.charts}) == 1
    assert sorted([*spoken.names, *(name for name, _ in spoken.quiet)]) == sorted(found.components)
    assert all(bits < LOUD_BITS for _, bits in spoken.quiet)
    assert max(max(bits) for _, bits in spoken.rows) == round(spoken.charts[0]["scale"][1], 1)


def test_the_table_of_components_is_short_and_keeps_the_loudest() -> None:
    found = queue()
    spoken = voices(found, 0)
    assert len(spoken.rows) == MOST_ROWS
    assert [at for at, _ in spoken.rows] == sorted(at for at, _ in spoken.rows)


def test_before_the_first_sample_no_component_speaks() -> None:
    found = queue()
    assert voices(found, int(found.ts_ms[-1]) + 1).charts == []
