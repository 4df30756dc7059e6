"""Produce to alert and produce to incident, through Kafka, while a worker is half busy.

    python -m bench.latency [--services 60] [--load 0.5 | --rate N] [--profile default low] [--json FILE]

One worker with all stages, an Apache Kafka (or --kafka HOST:PORT) and the embedded ClickHouse. First the
most samples a second one worker takes is measured by letting it read a backlog of JSON lines with all
stages running; then `--load` of that is sent evenly as background, twenty batches a second, while one
unrelated service after another misbehaves in two metrics. A service's latency is the wall time from
producing the samples at which the gate must fire (the `hold_samples`-th anomalous ones) to reading the
alert from the alert topic, and the incident from the incident topic.

`low` is config/low-latency.yaml; `default` changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.loads import PARTITIONS, fill, json_lines
from bench.workers import Worker, rates, settings_for
from embedded.stack import Stack

PERIOD_S = 0.25
BURST_S = 0.05
WARMUP = 60
ANOMALOUS = 8
HOLD = 2
BACKGROUND_SERIES = 2_000
ALL = "ingest,detect,correlate,respond,sink"
LOW = Path(__file__).resolve().parent.parent / "config" / "low-latency.yaml"


def capacity(kafka: str, clickhouse: str, folder: Path, records: int) -> float:
    """Samples a second that one worker with all stages takes from a backlog."""
    topic = f"backlog-{time.time_ns()}"
    asyncio.run(fill(kafka, topic, json_lines(records, BACKGROUND_SERIES)))
    settings = settings_for(kafka, {topic: PARTITIONS}, topic, clickhouse={"url": clickhouse})
    with Worker(folder, settings, ALL, topic) as worker:
        return rates(worker.beginning("ingest"), worker.until("ingest", records))["per_s"]


def background(kafka: str, topic: str, rate: float, sent: Any) -> None:
    """In a process of its own, until it is ended: `rate` samples a second, each series equally often."""
    asyncio.run(_background(kafka, topic, rate, sent))


async def _background(kafka: str, topic: str, rate: float, sent: Any) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0, max_batch_size=256 * 1024)
    await producer.start()
    form = b'"service":"service-%04d","metric":"queue.length","labels":{"queue":"queue-%02d"}'
    queues = [form % divmod(which, 25) for which in range(BACKGROUND_SERIES)]
    begun, at = time.monotonic(), 0
    batches: dict[int, Any] = {}
    while True:
        ts = int(time.time() * 1000)
        for _ in range(int(rate * (time.monotonic() - begun)) - at):
            which = at % BACKGROUND_SERIES
            value = b'{"ts":%d,%s,"value":%d.5}' % (ts, queues[which], 100 + ts % 13)
            p = which % PARTITIONS
            batch = batches.get(p) or producer.create_batch()
            if batch.append(key=None, value=value, timestamp=None) is None:
                await producer.send_batch(batch, topic, partition=p)
                batch = producer.create_batch()
                batch.append(key=None, value=value, timestamp=None)
            batches[p] = batch
            at += 1
        for p, batch in batches.items():
            await producer.send_batch(batch, topic, partition=p)
        batches = {}
        sent.value = at
        await asyncio.sleep(BURST_S - time.monotonic() % BURST_S)


class Probe:
    """Sends the samples and listens for what becomes of them."""

    def __init__(self, kafka: str, topic: str, alerts: str, incidents: str, services: int) -> None:
        self.kafka, self.topic, self.alerts, self.incidents = kafka, topic, alerts, incidents
        self.names = [f"probe-{number:03d}" for number in range(services)]
        self.due: dict[str, float] = {}
        self.alerted: dict[str, float] = {}
        self.opened: dict[str, float] = {}
        self.sent = 0
        """samples of background"""

    async def run(self, rate: float) -> None:
        """Background and probes until every service has had its turn, then at most 30 s more."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, linger_ms=0, max_batch_size=256 * 1024)
        reader = AIOKafkaConsumer(
            self.alerts, self.incidents, bootstrap_servers=self.kafka, fetch_max_wait_ms=5
        )
        await producer.start()
        await reader.start()
        tasks = [asyncio.create_task(self._listen(reader))]
        # Elsewhere, so that making it does not keep us from noticing what arrives.
        context = multiprocessing.get_context("spawn")
        sent = context.Value("q", 0)
        load = context.Process(target=background, args=(self.kafka, self.topic, rate, sent), daemon=True)
        load.start()
        try:
            await self._probe(producer)
            self.sent = sent.value
            for _ in range(300):
                if len(self.opened) == len(self.names):
                    break
                await asyncio.sleep(0.1)
        finally:
            load.terminate()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await producer.stop()
        await reader.stop()

    async def _listen(self, reader: AIOKafkaConsumer) -> None:
        async for record in reader:
            now = time.time()
            if record.value is None:
                continue
            found = json.loads(record.value)
            if record.topic == self.alerts:
                if found.get("service") in self.due and found.get("state") == "firing":
                    self.alerted.setdefault(found["service"], now)
            else:
                for role in found["data"]["services"]:
                    if role["service"] in self.due:
                        self.opened.setdefault(role["service"], now)

    async def _probe(self, producer: AIOKafkaProducer) -> None:
        dice = random.Random(5)
        for number in range(WARMUP + len(self.names) + ANOMALOUS):
            begun = time.monotonic()
            for index, name in enumerate(self.names):
                since = number - WARMUP - index
                wrong = 0 <= since < ANOMALOUS
                values = {
                    "latency_ms": 100 + dice.gauss(0, 2) + 400 * wrong,
                    "errors_per_s": 5 + dice.gauss(0, 0.2) + 40 * wrong,
                }
                now = time.time()
                rows = [
                    {"ts": int(now * 1000), "service": name, "metric": metric, "value": value}
                    for metric, value in values.items()
                ]
                if since == HOLD - 1:
                    self.due[name] = now
                value = b"\n".join(json.dumps(row).encode() for row in rows)
                await producer.send(self.topic, value, partition=index % PARTITIONS)
            await asyncio.sleep(max(0.0, PERIOD_S - (time.monotonic() - begun)))

    def latencies(self, arrived: dict[str, float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """ms, one a service that arrived."""
        return np.array([(at - self.due[name]) * 1000 for name, at in arrived.items()])


def run(
    kafka: str, clickhouse: str, profile: str, services: int, rate: float, folder: Path
) -> dict[str, Any]:
    """One worker with the profile's settings."""
    prefix = f"{profile}-{time.time_ns()}"
    topic = f"{prefix}.in"
    sections = yaml.safe_load(LOW.read_text()) if profile == "low" else {}
    sections.setdefault("clickhouse", {})["url"] = clickhouse
    settings = settings_for(kafka, {topic: PARTITIONS}, prefix, **sections)
    with Worker(folder, settings, ALL, prefix) as worker:
        worker.until("ingest", 0, 60)
        for _ in range(300):
            if worker.text("/lag") not in (None, "[]"):
                break
            time.sleep(0.2)
        time.sleep(2)
        probe = Probe(kafka, topic, f"{prefix}.alerts", f"{prefix}.incidents", services)
        cpu, began = worker.cpu(), time.monotonic()
        asyncio.run(probe.run(rate))
        busy = (worker.cpu() - cpu) / (time.monotonic() - began)
        sent = probe.sent / (time.monotonic() - began)
    row: dict[str, Any] = {
        "settings": profile,
        "of": services,
        "rate": round(sent),
        "worker_cpu": round(busy, 2),
    }
    for name, arrived in (("alert", probe.alerted), ("incident", probe.opened)):
        found = probe.latencies(arrived)
        row[f"{name}_n"] = len(found)
        for q in (50, 90, 99):
            row[f"{name}_p{q}"] = round(float(np.percentile(found, q))) if len(found) else None
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=60)
    parser.add_argument("--load", type=float, default=0.5, help="share of the most one worker takes")
    parser.add_argument("--rate", type=float, help="samples a second instead")
    parser.add_argument("--records", type=int, default=500_000, help="of the backlog that finds the most")
    parser.add_argument("--profile", nargs="+", default=["low", "default"], choices=["low", "default"])
    parser.add_argument("--kafka", help="an existing broker instead of one of its own")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        kafka = args.kafka
        if not kafka:
            from tests.kafka.cluster import KafkaCluster

            kafka = stack.enter_context(KafkaCluster(folder / "kafka", heap="1g")).bootstrap
        clickhouse = stack.enter_context(Stack(folder / "data", kafka=False)).clickhouse
        rate = args.rate
        if rate is None:
            most = capacity(kafka, clickhouse, folder, args.records)
            rate = args.load * most
            print(f"one worker takes {most:,.0f} samples/s; background {rate:,.0f}", file=sys.stderr)
        found = [run(kafka, clickhouse, profile, args.services, rate, folder) for profile in args.profile]
    print(f"{'settings':10} {'rate/s':>9} {'CPU':>5}   {'':8} {'n':>7} {'p50':>8} {'p90':>8} {'p99':>8} ms")
    for row in found:
        for what in ("alert", "incident"):
            count = f"{row[f'{what}_n']}/{row['of']}"
            p50, p90, p99 = (row[f"{what}_p{q}"] for q in (50, 90, 99))
            print(
                f"{row['settings']:10} {row['rate']:>9,} {row['worker_cpu']:>5}   {what:8} {count:>7} "
                f"{p50!s:>8} {p90!s:>8} {p99!s:>8}"
            )
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
