"""A worker's metrics: read off its counters, served, pushed, and fed back into the pipeline."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import aiohttp
import aiokafka
import msgspec
import pytest
from faust.types import TP
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from detectors import rules
from streams.agents import metric_names as names
from streams.agents.measures import BOUNDS, Histogram, grown
from streams.agents.observe import ObserveConfig
from streams.agents.process import WorkerConfig, run_worker
from streams.agents.readiness import NOT_SHRINKING_S, LagWatch, unready
from streams.agents.runner import CoreRunner, RunnerConfig
from streams.agents.stages import StagePlan
from streams.agents.telemetry import WorkerCollector, registry_of
from streams.agents.telemetry_otlp import OtlpExport, metrics_url
from streams.agents.telemetry_self import SelfReport, lines
from streams.agents.topics import StartError, TopicSpec
from streams.agents.views import StageView
from streams.records.telemetry import CoreTelemetry
from tests.agents import kit
from tests.agents.cores import CountingCore
from tests.agents.fakes import Broker, Memory, chunk
from tests.agents.test_health import HERE, view

THERE = TP("in", 1)


class TellingCore(CountingCore):
    """Counts its records as rows, and refuses to say anything else."""

    def telemetry(self) -> CoreTelemetry:
        return CoreTelemetry(
            {("rows", "samples"): self.total, ("evicted", "series"): 2.0},
            {"series": 5.0},
            {"catalog": 7.0},
            1_000_000,
        )


def placed_runner(broker: Broker, memory: Memory) -> CoreRunner:
    return CoreRunner(
        RunnerConfig("count", checkpoint_s=0.0),
        lambda topic, partition: TellingCore("out", partition),
        broker.send,
        memory,
        lambda error: None,
        clock_ms=lambda: 1_700_000_000_500,
    )


def collected(collector: WorkerCollector) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in collector.collect():
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_a_histogram_counts_up_to_each_bound() -> None:
    """As Prometheus wants it: cumulative, the last one holds all."""
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 0.3, 1_000.0, -5.0):
        histogram.observe(seconds)
    upto = dict(histogram.cumulative())
    assert (upto["0.001"], upto["0.25"], upto["0.5"], upto["300.0"], upto["+Inf"]) == (3, 3, 4, 4, 5)
    assert len(upto) == len(BOUNDS) + 1
    assert histogram.total == pytest.approx(1_000.3015)


def test_what_a_restored_core_brings_along_is_not_counted_again() -> None:
    """Its history was counted by the worker that had it before."""
    assert grown({("a", ""): 7.0, ("b", ""): 1.0}, {("a", ""): 5.0, ("c", ""): 9.0}) == {
        ("a", ""): 2.0,
        ("b", ""): 1.0,
    }


async def test_totals_survive_the_cores_that_counted_them() -> None:
    """A partition that moves away must not make a counter go down."""
    runner = placed_runner(Broker(), Memory())
    collector = WorkerCollector([StageView("count", runner)], LagWatch(10), 30.0, lambda: 1_060_000)
    await runner.place({HERE: 0, THERE: 0}, {HERE: 9, THERE: 9})
    for tp in (HERE, THERE):
        await runner.submit(tp, chunk(tp, range(3)), lambda: None)
    await asyncio.gather(*(p.queue.join() for p in runner.partitions.values()))
    before = collected(collector)
    assert before[names.ROWS.name] == {(("kind", "samples"), ("stage", "count")): 6.0}
    delays = before[names.WATERMARK_DELAY.name]
    assert set(delays.values()) == {60.0}
    entries = before[names.ENTRIES.name]
    assert entries[("kind", "series"), ("stage", "count")] == 10.0  # added up
    assert entries[("kind", "catalog"), ("stage", "count")] == 7.0  # one for all
    await runner.release()
    runner.forget()
    assert collected(collector)[names.ROWS.name] == before[names.ROWS.name]
    await runner.place({HERE: 3}, {HERE: 9})
    assert collected(collector)[names.ROWS.name] == before[names.ROWS.name]
    runner.forget()


async def test_processing_and_the_way_to_safety_are_timed_once_a_chunk() -> None:
    """From the first record's time until the broker has the outputs."""
    runner = placed_runner(Broker(), Memory())
    await runner.place({HERE: 0}, {HERE: 9})
    await runner.submit(HERE, chunk(HERE, range(3)), lambda: None)
    await runner.partitions[HERE].queue.join()
    counters = runner.counters
    assert dict(counters.process_s.cumulative())["+Inf"] == 1
    assert counters.effect_s.total == pytest.approx(0.5)
    runner.forget()


async def test_a_checkpoint_is_as_old_as_the_work_it_does_not_cover() -> None:
    """0 when everything is covered."""
    runner = placed_runner(Broker(), Memory())
    collector = WorkerCollector([StageView("count", runner)], LagWatch(10), 30.0)
    key = (("partition", "0"), ("stage", "count"), ("topic", "in"))
    await runner.place({HERE: 0}, {HERE: 9})
    await runner.submit(HERE, chunk(HERE, range(3)), lambda: None)
    await runner.partitions[HERE].queue.join()
    assert collected(collector)[names.CHECKPOINT_AGE.name][key] > 0
    await runner.tick()
    await runner.partitions[HERE].queue.join()
    found = collected(collector)
    assert found[names.CHECKPOINT_AGE.name][key] == 0
    assert found[names.CHECKPOINT_SIZE.name][key] > 0
    assert found["tocsin_checkpoint_write_seconds_count"][(("stage", "count"),)] == 1
    runner.forget()


# -- readiness -------------------------------------------------------------------------------------


def test_a_large_lag_that_shrinks_is_ready_and_one_that_does_not_is_not() -> None:
    """And the reason names partition, lag and bound."""
    watch = LagWatch(50)
    views = [view(done=0, high=100, progress_at=0.0)]
    assert unready(views, watch, 0.0, 9e9) == []
    views[0].runner.partitions[HERE].done_offset = 10
    assert unready(views, watch, NOT_SHRINKING_S + 20, 9e9) == []  # a new low
    (reason,) = unready(views, watch, 2 * NOT_SHRINKING_S + 21, 9e9)
    assert reason == "sink: lag on in/0 is 90 records, more than 50, and has not shrunk for 31 s"
    views[0].runner.partitions[HERE].done_offset = 60
    assert unready(views, watch, 2 * NOT_SHRINKING_S + 22, 9e9) == []


def test_a_target_that_is_away_makes_a_worker_unready() -> None:
    """After as long as makes it unhealthy."""
    views = [view(done=100, high=100, progress_at=0.0, retrying=True)]
    assert unready(views, LagWatch(50), 29.0, 30.0) == []
    assert unready(views, LagWatch(50), 31.0, 30.0) == ["sink: its target has not answered for 31 s"]


@pytest.mark.parametrize(("unassigned", "ready"), [(False, False), (True, True)])
def test_a_stage_without_partitions_is_ready_only_if_there_are_none_for_it(
    unassigned: bool, ready: bool
) -> None:
    """A standby is ready; one that is still restoring is not."""

    class App:
        topics = ()

    App.unassigned = unassigned  # type: ignore[attr-defined]
    waiting = StageView("sink", view(0, 0, 0.0).runner, App)
    waiting.runner.partitions = {}
    assert (unready([waiting], LagWatch(50), 0.0, 30.0) == []) is ready


# -- OTLP ------------------------------------------------------------------------------------------


class Receiver:
    """A real HTTP server that keeps what is posted to it."""

    def __init__(self, status: int = 200) -> None:
        self.posts: list[tuple[str, ExportMetricsServiceRequest]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.path, ExportMetricsServiceRequest.FromString(body)))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metrics(self) -> dict[str, Any]:
        return {
            metric.name: metric
            for _, post in self.posts
            for resource in post.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def export_to(url: str, views: Sequence[StageView] = ()) -> tuple[OtlpExport, WorkerCollector]:
    collector = WorkerCollector(views, LagWatch(50), 30.0)
    return OtlpExport(url, 3_600.0, registry_of(collector), collector), collector


async def test_the_same_metrics_arrive_over_otlp() -> None:
    """Counters as monotonic sums, gauges, histograms with their bounds; names as on /metrics."""
    seen = view(done=70, high=100, progress_at=0.0)
    seen.runner.counters.write_s.observe(0.3)
    with Receiver() as receiver:
        export, collector = export_to(receiver.url, [seen])
        assert await export.export()
        await export.stop()
    assert receiver.posts[0][0] == "/v1/metrics"
    (resource,) = receiver.posts[0][1].resource_metrics
    assert ("service.name", "tocsin") in [(a.key, a.value.string_value) for a in resource.resource.attributes]
    metrics = receiver.metrics()
    (point,) = metrics["tocsin_lag_records"].gauge.data_points
    assert point.as_double == 30
    assert {a.key: a.value.string_value for a in point.attributes} == {
        "stage": "sink",
        "topic": "in",
        "partition": "0",
    }
    assert metrics["tocsin_records_total"].sum.is_monotonic
    (histogram,) = metrics["tocsin_sink_write_seconds"].histogram.data_points
    assert (histogram.count, histogram.sum) == (1, 0.3)
    assert list(histogram.explicit_bounds) == list(BOUNDS)
    assert list(histogram.bucket_counts)[BOUNDS.index(0.5)] == 1
    assert collector.exports == {"done": 2, "failed": 0}


async def test_a_receiver_that_refuses_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The pipeline goes on."""
    with Receiver(status=400) as receiver, caplog.at_level(logging.WARNING):
        export, collector = export_to(receiver.url)
        assert [await export.export() for _ in range(3)] == [False] * 3
        await export.stop()
    assert collector.exports == {"done": 0, "failed": 3}
    assert len([r for r in caplog.records if "cannot export metrics" in r.message]) == 1


def test_a_missing_package_is_one_clear_start_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the setting and the extra."""
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StartError, match=r"telemetry.otlp_endpoint is set .* pip install 'tocsin\[otlp\]'"):
        export_to("http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/metrics"),
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("https://c/otlp/v1/metrics", "https://c/otlp/v1/metrics"),
    ],
)
def test_a_bare_endpoint_gets_the_path_of_the_protocol(given: str, url: str) -> None:
    """One with a path is taken as it is."""
    assert metrics_url(given) == url


# -- samples about ourselves -----------------------------------------------------------------------


def told(views: list[StageView], now: float) -> dict[str, float]:
    return {metric: value for metric, _, value in SelfReport().values(views, LagWatch(50), now)}


def test_a_worker_without_trouble_reports_zeros_only() -> None:
    """No rule fires on a normal pipeline."""
    assert set(told([view(done=100, high=100, progress_at=0.0)], 1e6).values()) == {0.0}


def test_a_standstill_with_lag_is_reported_in_seconds() -> None:
    """At or above the rule's threshold it is an alert."""
    found = told([view(done=70, high=100, progress_at=0.0)], 90.0)
    assert found[rules.STALLED] == 90.0 >= rules.OF_STAGES[rules.STALLED].at_least


async def test_evictions_are_reported_as_what_came_since_the_report_before() -> None:
    """And only those that lose something."""
    runner = placed_runner(Broker(), Memory())
    await runner.place({HERE: 0}, {HERE: 9})
    runner.counters.retired["evicted", "series"] = 3.0
    runner.counters.retired["evicted", "catalog"] = 99.0
    report, views = SelfReport(), [StageView("count", runner)]
    first = {m: v for m, _, v in report.values(views, LagWatch(50), 1.0)}
    second = {m: v for m, _, v in report.values(views, LagWatch(50), 2.0)}
    assert (first[rules.EVICTIONS], second[rules.EVICTIONS]) == (3.0, 0.0)
    runner.forget()


def test_a_report_is_a_record_of_tocsin_json_lines() -> None:
    """One line a value, all of one time."""
    record = lines([(rules.STALLED, "ingest", 1.23456), (rules.EVICTIONS, "detect", 0.0)], 1_700)
    assert [msgspec.json.decode(line) for line in record.split(b"\n")] == [
        {
            "ts": 1_700,
            "service": "tocsin",
            "metric": "tocsin.stalled_seconds",
            "value": 1.235,
            "labels": {"stage": "ingest"},
            "unit": "s",
        },
        {
            "ts": 1_700,
            "service": "tocsin",
            "metric": "tocsin.evictions",
            "value": 0.0,
            "labels": {"stage": "detect"},
            "unit": "",
        },
    ]


# -- a real worker -----------------------------------------------------------------------------------


async def read_lines(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    """The lines of the first record of a topic."""
    reader = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await reader.start()
    try:
        record = await asyncio.wait_for(reader.getone(), 20)
        return [msgspec.json.decode(line) for line in record.value.split(b"\n")]
    finally:
        await reader.stop()


class NowCore(TellingCore):
    """Its event time is today."""

    def telemetry(self) -> CoreTelemetry:
        return super().telemetry()._replace(watermark_ms=time.time_ns() // 1_000_000)


async def test_a_worker_serves_pushes_and_feeds_back_its_metrics(bootstrap: str) -> None:
    """On the embedded broker: scraped over HTTP, exported to a server, and read from the self topic."""
    topic, out, own = kit.unique("in"), kit.unique("out"), kit.unique("self")
    specs = [TopicSpec(topic, 2), TopicSpec(out, 1), TopicSpec(own, 1)]
    await kit.create(bootstrap, *specs)
    await kit.produce(bootstrap, topic, 2, range(3_000))
    said: list[str] = []
    stop = asyncio.Event()

    def plan_for(stage: str, counts: Mapping[str, int]) -> StagePlan:
        return StagePlan(stage, (topic,), lambda name, partition: NowCore(out, partition))

    with Receiver() as receiver:
        config = WorkerConfig(
            bootstrap,
            kit.unique("g"),
            health_port=0,
            observe=ObserveConfig(
                otlp_endpoint=receiver.url, otlp_interval_s=0.5, self_topic=own, self_every_s=0.5
            ),
        )
        worker = asyncio.create_task(run_worker(config, ["test"], specs, plan_for, stop, said.append))
        try:
            await kit.eventually(lambda: bool(said), 20, "an address")
            base = said[0].split()[-1].removesuffix("/healthz")
            await kit.read_until(bootstrap, out, lambda s: len(kit.ids_of(s)) >= 3_000, 30)
            reported = await read_lines(bootstrap, own)
            await kit.eventually(lambda: "tocsin_records_total" in receiver.metrics(), 20, "an export")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"{base}/readyz") as answer:
                    assert (answer.status, await answer.json()) == (200, {"status": "ready", "reasons": []})
                async with http.get(f"{base}/livez") as answer:
                    assert answer.status == 200
                async with http.get(f"{base}/metrics") as answer:
                    text = await answer.text()
        finally:
            stop.set()
            await asyncio.wait_for(worker, 20)
    found = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert found["tocsin_records_total"] == 3_000
    assert found["tocsin_rows_total"] == 3_000
    assert found["tocsin_chunk_process_seconds_count"] >= 2
    assert found["process_resident_memory_bytes"] > 1e6
    assert reported[0]["service"] == "tocsin"
