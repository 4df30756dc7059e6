"""Records and points a second through the real stages, beside bare aiokafka and plain Faust.

    python bench/throughput.py [--points 4000000] [--lines 400000] [--json FILE]

Two loads on one embedded broker: OTLP protobuf batches of 500 gauge points (as the Collector's Kafka
exporter writes them) and single Tocsin JSON lines. For each, in turn and one process at a time:
a bare aiokafka `getmany` loop and a no-op Faust agent over the very same records, then
`tocsin worker --stages ingest`, then `--stages detect` over the pages ingest wrote. Rates are per
CPU second of the reading process: of a reader from its first record to its last, of a stage from the
moment the worker answers (before it is given partitions) until everything is safe on the next hop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import aiokafka
import psutil
import yaml
from opentelemetry.proto.metrics.v1 import metrics_pb2

from embedded.probe import free_port
from embedded.stack import Stack
from streams.agents.topics import TopicSpec, connect, ensure_topics

PARTITIONS = 4
SERVICES = 20
SERIES_A_SERVICE = 25
POINTS_A_RECORD = SERVICES * SERIES_A_SERVICE
READERS = Path(__file__).with_name("transport.py")
FAUST_SHARE = 8
"""plain Faust reads this fraction of the records: it would take minutes otherwise"""


def otlp_record(at_ms: int, number: int) -> bytes:
    """500 gauge points of 20 services at one time."""
    data = metrics_pb2.MetricsData()
    for service in range(SERVICES):
        resource = data.resource_metrics.add()
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = "service.name", f"service-{service:02d}"
        metric = resource.scope_metrics.add().metrics.add()
        metric.name, metric.unit = "queue.length", "1"
        for series in range(SERIES_A_SERVICE):
            point = metric.gauge.data_points.add()
            point.time_unix_nano = at_ms * 1_000_000
            point.as_double = 100 + (number * 7 + series) % 13
            label = point.attributes.add()
            label.key, label.value.string_value = "queue", f"queue-{series:02d}"
    return data.SerializeToString()


def json_line(at_ms: int, number: int) -> bytes:
    """One sample of one of 500 series."""
    series = number % POINTS_A_RECORD
    return (
        b'{"ts":%d,"service":"service-%02d","metric":"queue.length","value":%d.5,"labels":{"queue":"queue-%02d"}}'
        % (at_ms, series % SERVICES, 100 + number % 13, series // SERVICES)
    )


async def fill(kafka: str, topic: str, records: list[bytes]) -> None:
    """Write the records, spread evenly over the partitions, in order."""
    admin = await connect(kafka)
    await ensure_topics(admin, [TopicSpec(topic, PARTITIONS, internal=False)])
    await admin.close()
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=kafka, linger_ms=20, max_batch_size=512 * 1024, max_request_size=4_000_000
    )
    await producer.start()
    for number, value in enumerate(records):
        await producer.send(topic, value, partition=number % PARTITIONS)
    await producer.stop()


def baseline(kafka: str, topic: str, reader: str, records: int) -> dict[str, float]:
    """A reader of bench/transport.py over the same topic."""
    argv = [sys.executable, str(READERS), "--read", reader, "--topic", topic, "--kafka", kafka]
    done = subprocess.run(
        [*argv, "--records", str(records)], check=True, capture_output=True, text=True, timeout=600
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def stage(folder: Path, settings: dict[str, Any], name: str, until: int | None) -> dict[str, float]:
    """Run one stage until it has processed `until` records, or no more for four seconds."""
    config = folder / "tocsin.yaml"
    config.write_text(yaml.safe_dump(settings))
    port = free_port()
    argv = [sys.executable, "-m", "cli.main", "worker", "--config", str(config), "--stages", name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")}
    with (folder / f"{name}.log").open("wb") as log:
        worker = subprocess.Popen(
            [*argv, "--health-port", str(port)], stdout=log, stderr=log, env=environment
        )
    process = psutil.Process(worker.pid)
    first: tuple[float, float, int] | None = None
    last = (0.0, 0.0, 0)
    began = time.monotonic()
    try:
        while time.monotonic() - began < 600:
            seen = _records(port, name)
            if seen is not None:
                now = (time.perf_counter(), sum(process.cpu_times()[:2]), seen)
                first = first or now
                if seen > last[2]:
                    last = now
                if (until is not None and seen >= until) or (last[2] and now[0] - last[0] > 4):
                    break
            time.sleep(0.02)
    finally:
        worker.terminate()
        worker.wait(60)
    if first is None or last[2] == first[2]:
        raise SystemExit(f"{name}: too quick or too slow to be timed; see {folder / f'{name}.log'}")
    records = last[2] - first[2]
    return {
        "records": records,
        "per_cpu_s": records / (last[1] - first[1]),
    }


def _records(port: int, stage_name: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    found = re.search(rf'^tocsin_records_total{{stage="{stage_name}"}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def load(
    kafka: str, folder: Path, name: str, records: list[bytes], points_a_record: int
) -> list[dict[str, Any]]:
    """All four readers over one load."""
    topic = f"bench-{name}-{time.time_ns()}"
    asyncio.run(fill(kafka, topic, records))
    settings = {
        "kafka": {"bootstrap": kafka, "group_prefix": topic},
        "topics": {
            "inputs": [{"name": topic, "partitions": PARTITIONS}],
            "pages": f"{topic}.pages",
            "alerts": f"{topic}.alerts",
            "incidents": f"{topic}.incidents",
            "action_results": f"{topic}.results",
            "deadletters": f"{topic}.dead",
        },
    }
    found = {
        "bare aiokafka": baseline(kafka, topic, "aiokafka", len(records)),
        "plain Faust": baseline(kafka, topic, "faust", len(records) // FAUST_SHARE),
        "ingest": stage(folder, settings, "ingest", len(records)),
    }
    pages = stage(folder, settings, "detect", None)
    # Pages are not records: all of them together hold the points of the whole load.
    found["detect"] = {"per_cpu_s": pages["per_cpu_s"] / pages["records"] * len(records)}
    rows = []
    for reader, rates in found.items():
        rows.append(
            {
                "load": name,
                "reader": reader,
                "records_per_cpu_s": round(rates["per_cpu_s"]),
                "points_per_cpu_s": round(rates["per_cpu_s"] * points_a_record),
                "of_aiokafka": round(rates["per_cpu_s"] / found["bare aiokafka"]["per_cpu_s"], 3),
                "of_faust": round(rates["per_cpu_s"] / found["plain Faust"]["per_cpu_s"], 2),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=4_000_000, help="OTLP points")
    parser.add_argument("--lines", type=int, default=400_000, help="JSON lines")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    args = parser.parse_args()
    begin = int(time.time() * 1000) - 3_600_000
    batches = [otlp_record(begin + number * 500, number) for number in range(args.points // POINTS_A_RECORD)]
    lines = [json_line(begin + number // POINTS_A_RECORD * 2_000, number) for number in range(args.lines)]
    with tempfile.TemporaryDirectory() as name, Stack(Path(name) / "data", clickhouse=False) as stack:
        rows = load(stack.kafka, Path(name), "otlp", batches, POINTS_A_RECORD)
        rows += load(stack.kafka, Path(name), "lines", lines, 1)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    print("| load | reader | records per CPU s | points per CPU s | of aiokafka | of Faust |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['load']} | {row['reader']} | {row['records_per_cpu_s']:,} "
            f"| {row['points_per_cpu_s']:,} | {row['of_aiokafka']} | {row['of_faust']} |"
        )


if __name__ == "__main__":
    main()
