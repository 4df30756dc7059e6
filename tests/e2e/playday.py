"""Plays the scripted day into a pipeline, and holds what came of it against the table worked out by hand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from cli.backtest import Findings, run_backtest
from cli.dataset import load
from cli.messages import said
from cli.timeline import Timeline, control
from config.settings import Settings
from correlator.incident import Incident
from correlator.response import Notice
from streams.records.digest import digest_hex
from tests.e2e.day import BEGIN_MS, CLOCKS, DAYS, MINUTE_MS, TIMINGS, acts, at, settings_of, write_day
from tests.e2e.pipeline import Pipeline, wait_for


def found(folder: Path, settings: Settings) -> Findings:
    return run_backtest(load(folder), "", settings, page=1_000)


def named(incidents: list[Incident]) -> dict[str, str]:
    """Service -> id of its incident, as a first look at the day without people tells."""
    return {i.services[0].service: i.id for i in incidents} | {"ledger": digest_hex("report", "ledger")}


def make_day(folder: Path) -> Path:
    """The day with all that people do."""
    write_day(folder, [])
    plain = found(folder, msgspec.convert(settings_of(folder), Settings))
    return write_day(folder, acts(named(list(plain.incidents.values()))))


def minutes(ms: int | None) -> float | None:
    return None if ms is None else (ms - BEGIN_MS) / MINUTE_MS


def check_timings(incidents: list[dict[str, Any]]) -> None:
    """Each incident's times are those of the table; a merged one is counted with its survivor."""
    counted = {i["services"][0]["service"]: i for i in incidents if i["state"] != "merged"}
    assert counted.keys() == TIMINGS.keys()
    for service, timing in TIMINGS.items():
        i = counted[service]
        stood = (
            minutes(i["started_at"]), minutes(i["detected_at"]), minutes(i["acknowledged_at"]),
            minutes(i["resolved_at"]), i["resolved_by"], i["active_ms"] / MINUTE_MS,
            minutes(i["first_resolved_at"]),
        )  # fmt: skip
        first = timing.resolved if timing.first_resolved is None else timing.first_resolved
        assert stood == pytest.approx((*timing[:-1], first)), service


def check_clocks(incidents: list[dict[str, Any]], response: list[dict[str, Any]]) -> None:
    """Each clock started, was due, stopped and stands as in the table."""
    services = {i["id"]: i["members"][0]["service"] for i in incidents}
    stood = {
        (services[c["incident"]], c["name"]): (
            minutes(c["started_at"]), minutes(c["due_at"]), minutes(c["stopped_at"]), c["state"],
        )
        for c in response
        if c["type"] == "clock"
    }  # fmt: skip
    assert stood.keys() == CLOCKS.keys()
    for key, clock in CLOCKS.items():
        assert stood[key] == pytest.approx(tuple(clock)), key


def newest(values: list[bytes]) -> list[dict[str, Any]]:
    """The newest version of each clock and duty. The day lies ahead: nobody is told of misses."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        said = json.loads(value)["data"]
        if said["type"] == "notice":
            continue
        key = said["type"] + "/" + said.get("id", said["incident"])
        if said["version"] >= found.get(key, said)["version"]:
            found[key] = said
    return list(found.values())


def the_day_holds(running: Pipeline) -> None:
    """Through a worker: incidents and clocks equal to the back-test's, figures in the views as by hand."""
    expected = running.expected()
    worker = running.start_worker()
    running.wait_for_topics()
    play(running)
    wait_for(
        "every incident",
        lambda: (
            {key: i["version"] for key, i in running.incidents().items()}
            == {key: i["version"] for key, i in expected.items()}
        ),
        log=worker.log,
    )
    assert running.incidents() == expected
    incidents = list(running.incidents().values())
    check_timings(incidents)
    plain = found(running.data, running.settings)
    stood = [msgspec.to_builtins(s) for s in plain.response.values() if not isinstance(s, Notice)]
    told = sorted(stood, key=str)
    topic = running.settings.topics.response
    wait_for("as many clocks", lambda: len(newest(running.read(topic))) >= len(told), log=worker.log)
    assert sorted(newest(running.read(topic)), key=str) == json.loads(json.dumps(told))
    check_clocks(incidents, newest(running.read(topic)))
    with running.clickhouse() as client:
        wait_for(
            "every clock in ClickHouse",
            lambda: (
                client.query("SELECT uniqExact(id) FROM clock_versions").result_rows[0][0] == len(CLOCKS)
                and dict(client.query("SELECT id, version FROM incidents").result_rows)
                == {key: i["version"] for key, i in expected.items()}
            ),
            log=worker.log,
        )
        check_sql(client)


def check_sql(client: Client) -> None:
    """What an analyst reads in the views."""
    timed = client.query(
        "SELECT services[1], mttd_ms, mtta_ms, mttr_ms, first_mttr_ms, active_ms, resolved_by"
        " FROM incident_timing"
    ).result_rows
    found = {service: figures for service, *figures in timed}
    assert found.keys() == TIMINGS.keys()
    for service, t in TIMINGS.items():
        first = t.resolved if t.first_resolved is None else t.first_resolved
        spans = [
            t.detected - t.started,
            None if t.acknowledged is None else t.acknowledged - t.detected,
            None if t.resolved is None else t.resolved - t.started,
            None if first is None else first - t.started,
            t.active,
        ]
        expected = [None if span is None else span * MINUTE_MS for span in spans]
        assert found[service] == pytest.approx([*expected, t.by]), service
    rows = list(client.query("SELECT * FROM incident_timing_daily ORDER BY day").named_results())
    assert [str(row["day"]) for row in rows] == list(DAYS)
    for row in rows:
        for name, value in DAYS[str(row["day"])].items():
            lasting = name.startswith("mtt")
            stood = row[f"{name}_ms"] / MINUTE_MS if lasting else row[name]
            assert stood == pytest.approx(value), (row["day"], name)


def play(running: Pipeline) -> None:
    """The day into Kafka, each action when the worker has come to its time, as a person would act."""
    data, settings = load(running.data), running.settings
    lines = settings.topics.inputs[0].name
    messages = deque(said(data, "", settings))
    timeline = Timeline(data, "")
    homes = sorted(running.partitions(lines))

    async def send(rows: list[tuple[int, bytes, Any]], topic: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
        await producer.start()
        try:
            for partition, value, headers in rows:
                await producer.send(topic, value, partition=homes[partition], headers=list(headers))
            await producer.flush()
        finally:
            await producer.stop()

    def mark(what: str) -> list[tuple[int, bytes, Any]]:
        return [(n, b"", control(what, "day", timeline.span.begin_ms)) for n in range(len(homes))]

    waiting = mark("begin")
    answered = 0

    def act(before_ms: int) -> None:
        nonlocal answered
        while messages and messages[0].ts < before_ms:
            if waiting:
                asyncio.run(send(waiting, lines))
                waiting.clear()
            message = messages.popleft()
            newest = min(BEGIN_MS + (message.ts - BEGIN_MS) // MINUTE_MS * MINUTE_MS, timeline.span.end_ms)
            reached = newest - settings.ingest.allowed_lateness_ms - settings.detect.step_ms
            wait_for(f"time {reached}", lambda reached=reached: came_to(running) >= reached)
            asyncio.run(send([(0, message.value, message.headers)], message.topic))
            answered += 1
            wait_for(
                "an answer",
                lambda count=answered: len(running.read(settings.topics.action_results)) >= count,
            )

    for record in timeline.records(len(homes), 1_000, cuts=[m.ts for m in messages]):
        act(record.ts_ms)
        waiting.append((record.partition, record.value, record.headers))
    waiting += mark("end")
    act(at(1e6))
    asyncio.run(send(waiting, lines))


def came_to(running: Pipeline) -> int:
    """Event time that every shard has reached."""
    marks: dict[int, int] = {}
    for value in running.read(running.settings.topics.alerts):
        if b'"type":"watermark"' in value[:40]:
            one = json.loads(value)
            marks[one["shard"]] = one["at_ms"]
    return min(marks.values()) if len(marks) == running.settings.ingest.shards else 0
