"""Resident memory of one worker with all stages, by number of active series.

    python -m bench.memory [--series 0 10000 50000 100000] [--steps 40] [--stages ingest,detect]
                           [--breakdown] [--json FILE]

For each size a fresh worker on the embedded broker and ClickHouse reads OTLP batches: services with 500
series each (20 metrics, 25 label sets, three labels, five resource attributes), every series sampled
once a minute of event time for `--steps` minutes, which is past warm-up, past the filling of the
codebooks and past the first bins of the profiles. Figures are taken three seconds after everything has been
read (`read`) and in the 24 seconds that follow, in which checkpoints are written: RSS, the part of it that is
not shared file pages (medians), the most it was then, and the most it ever was.
`--breakdown` also says what it is made of (bench/breakdown.py), after the last figure has been taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.proto.metrics.v1 import metrics_pb2

from bench.loads import PARTITIONS, Message, ends, fill
from bench.workers import Worker, settings_for
from embedded.stack import Stack

METRICS, LABEL_SETS = 20, 25
SERIES_A_SERVICE = METRICS * LABEL_SETS
STEP_MS = 60_000


def batches(series: int, steps: int) -> Iterator[Message]:
    """One record a service and step, all its series once."""
    services = max(1, series // SERIES_A_SERVICE)
    templates = [_template(service) for service in range(services)]
    begin = int(time.time() * 1000) - steps * STEP_MS
    for step in range(steps):
        at_ns = (begin + step * STEP_MS) * 1_000_000
        for service, data in enumerate(templates):
            for m, metric in enumerate(data.resource_metrics[0].scope_metrics[0].metrics):
                for i, point in enumerate(metric.gauge.data_points):
                    point.time_unix_nano = at_ns
                    point.as_double = 100.0 * m + (step * 7 + i * 3 + service) % 31
            yield Message(service % PARTITIONS, None, data.SerializeToString())


def _template(service: int) -> metrics_pb2.MetricsData:
    data = metrics_pb2.MetricsData()
    part = data.resource_metrics.add()
    for key, value in (
        ("service.name", f"service-{service:03d}"),
        ("service.instance.id", f"service-{service:03d}-0"),
        ("service.version", "1.2.3"),
        ("host.name", f"node-{service % 5}"),
        ("deployment.environment.name", "production"),
    ):
        part.resource.attributes.add(key=key).value.string_value = value
    scope = part.scope_metrics.add()
    for m in range(METRICS):
        metric = scope.metrics.add(name=f"http.server.metric.{m}", unit="ms")
        for i in range(LABEL_SETS):
            point = metric.gauge.data_points.add()
            for key, value in (
                ("http.route", f"/api/v1/resource/{i}"),
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
            ):
                point.attributes.add(key=key).value.string_value = value
    return data


def status(pid: int) -> dict[str, float]:
    """MB from /proc: resident, anonymous, and the most that was resident."""
    text = Path(f"/proc/{pid}/status").read_text()
    fields = {"rss": "VmRSS", "anonymous": "RssAnon", "peak": "VmHWM"}
    return {
        name: int(re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        for name, field in fields.items()
    }


ALL = "ingest,detect,correlate,respond,sink"


def measure(
    series: int, steps: int, folder: Path, stages: str = ALL, breakdown: bool = False
) -> dict[str, Any]:
    """One worker, fresh topics."""
    inside = folder / "breakdown.json"
    program = ("bench.breakdown", str(inside)) if breakdown else ("cli.main",)
    with Stack(folder / "data") as stack:
        topic = "memory"
        records = max(1, series // SERIES_A_SERVICE) * steps if series else 0
        asyncio.run(fill(stack.kafka, topic, batches(series, steps) if series else iter(())))
        settings = settings_for(stack.kafka, {topic: PARTITIONS}, topic, clickhouse={"url": stack.clickhouse})
        with Worker(folder, settings, stages, program=program) as worker:
            if records:
                worker.until("ingest", records)
                if "detect" in stages:
                    worker.until("detect", asyncio.run(ends(stack.kafka, f"{topic}.pages")))
            else:
                worker.until("ingest", 0)
            time.sleep(3)
            read = status(worker.process.pid)
            every = [_later(worker) for _ in range(24)]  # some rounds of checkpoints
            kept = sorted(every, key=lambda one: one["rss"])[len(every) // 2]
            most = max(one["rss"] for one in every)
            found = {"series": series, "read": read["rss"], **kept, "most": most, "peak": every[-1]["peak"]}
            if breakdown:
                os.kill(worker.process.pid, signal.SIGUSR1)
                deadline = time.monotonic() + 120
                while not inside.exists() and time.monotonic() < deadline:
                    time.sleep(0.1)
                time.sleep(0.5)
                found["breakdown"] = json.loads(inside.read_text())
    return found


def _later(worker: Worker) -> dict[str, float]:
    time.sleep(1)
    return status(worker.process.pid)


def show(found: dict[str, Any]) -> None:
    """A breakdown as lines."""
    parts = found.pop("structures")
    print("  " + "  ".join(f"{name} {mb:.0f}" for name, mb in found.items()))
    for name, arrays, objects, count in parts:
        print(f"  {name:<24} arrays {arrays:>7.1f} MB  objects {objects:>7.1f} MB  ({count})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, nargs="+", default=[0, 10_000, 50_000, 100_000])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--stages", default=ALL)
    parser.add_argument("--breakdown", action="store_true", help="say what the memory is made of")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    found = []
    print(f"{'series':>8} {'read MB':>9} {'RSS MB':>9} {'anon MB':>9} {'most MB':>9} {'peak MB':>9}")
    for series in args.series:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(series, args.steps, Path(folder), args.stages, args.breakdown))
        row = found[-1]
        figures = (row[name] for name in ("read", "rss", "anonymous", "most", "peak"))
        print(f"{series:>8,} " + " ".join(f"{figure:>9.0f}" for figure in figures), flush=True)
        if args.breakdown:
            show(dict(row["breakdown"]))
    some = [row for row in found if row["series"]]
    if len(some) > 1:
        first, last = some[0], some[-1]
        growth = (last["rss"] - first["rss"]) * 1024 * 1024 / (last["series"] - first["series"])
        print(f"growth: {growth:,.0f} bytes a series")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
