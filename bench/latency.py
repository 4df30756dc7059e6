"""How long from producing an anomalous sample until its incident stands on the incident topic.

Starts the embedded broker and ClickHouse and one worker with all stages, sends steady samples of
many unrelated services, then makes one service after another misbehave in two metrics (one alone has to
last before it is an incident). Latency of a service is the wall time from producing the samples at
which the gate must fire (the `hold_samples`-th anomalous ones) to reading the incident from
`tocsin.incidents`.

    python bench/latency.py            two settings: the defaults, and the least the design allows
    python bench/latency.py --services 20 --json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from embedded.stack import Stack

PERIOD_S = 0.5
WARMUP = 40
ANOMALOUS = 8
HOLD = 2

SETTINGS = {
    "defaults": {},
    "lateness 100 ms, step 50 ms": {
        "ingest": {"allowed_lateness_ms": 100},
        "detect": {"step_ms": 50},
        "kafka": {"fetch_max_wait_ms": 20},
    },
}


def _json(row: dict[str, object]) -> bytes:
    return json.dumps(row).encode()


async def measure(kafka: str, services: int, rng: random.Random) -> list[float]:
    """Latencies in ms, one a service; fails when an incident does not come within 60 s."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0)
    consumer = AIOKafkaConsumer("tocsin.incidents", bootstrap_servers=kafka, fetch_max_wait_ms=5)
    await producer.start()
    await consumer.start()
    names = [f"service-{number:02d}" for number in range(services)]
    due: dict[str, float] = {}
    arrived: dict[str, float] = {}

    async def listen() -> None:
        async for record in consumer:
            if record.value is None:
                continue
            for role in json.loads(record.value)["data"]["services"]:
                if role["service"] in due:
                    arrived.setdefault(role["service"], time.time())
            if len(arrived) == services:
                complete.set()

    complete = asyncio.Event()
    listener = asyncio.create_task(listen())
    rounds = WARMUP + services + ANOMALOUS
    for number in range(rounds):
        begun = time.monotonic()
        for index, name in enumerate(names):
            since = number - WARMUP - index
            wrong = 0 <= since < ANOMALOUS
            now = time.time()
            values = {
                "latency_ms": 100 + rng.gauss(0, 2) + 400 * wrong,
                "errors_per_s": 5 + rng.gauss(0, 0.2) + 40 * wrong,
            }
            rows = [
                {"ts": int(now * 1000), "service": name, "metric": metric, "value": value}
                for metric, value in values.items()
            ]
            if since == HOLD - 1:
                due[name] = now
            await producer.send("tocsin.in", b"\n".join(map(_json, rows)), partition=index % 4)
        await asyncio.sleep(max(0.0, PERIOD_S - (time.monotonic() - begun)))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(complete.wait(), 60)
    listener.cancel()
    await producer.stop()
    await consumer.stop()
    missing = sorted(set(names) - set(arrived))
    if missing:
        print(f"no incident for {len(missing)} of {services}: {', '.join(missing[:5])}", file=sys.stderr)
    return [(arrived[name] - due[name]) * 1000 for name in arrived]


def run(overrides: dict[str, object], services: int, folder: Path) -> list[float]:
    """One worker with `overrides` on top of the defaults."""
    with Stack(folder / "data") as stack:
        config = folder / "tocsin.yaml"
        settings: dict[str, dict[str, object]] = {"kafka": {}, "clickhouse": {}}
        for section, keys in overrides.items():
            settings.setdefault(section, {}).update(keys)  # type: ignore[call-overload]
        settings["kafka"]["bootstrap"] = stack.kafka
        settings["clickhouse"]["url"] = stack.clickhouse
        config.write_text(yaml.safe_dump(settings))
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "worker", "--config", str(config), "--health-port", "0"],
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")},
            )
        try:
            asyncio.run(_topics(stack.kafka))
            return asyncio.run(measure(stack.kafka, services, random.Random(5)))
        finally:
            worker.terminate()
            worker.wait(30)


async def _topics(kafka: str) -> None:
    for _ in range(300):
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
        await consumer.start()
        found = await consumer.topics()
        await consumer.stop()
        if {"tocsin.in", "tocsin.incidents"} <= found:
            return
        await asyncio.sleep(0.2)
    raise SystemExit("the worker did not create its topics within 60 s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = []
    for name, overrides in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = np.array(run(overrides, args.services, Path(folder)))
        results.append(
            {
                "settings": name,
                "n": len(found),
                "of": args.services,
                "p50_ms": round(float(np.percentile(found, 50))) if len(found) else None,
                "p90_ms": round(float(np.percentile(found, 90))) if len(found) else None,
                "p99_ms": round(float(np.percentile(found, 99))) if len(found) else None,
            }
        )
    if args.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'settings':26} {'n':>7} {'p50':>8} {'p90':>8} {'p99':>8}   produce → incident, ms")
    for row in results:
        count = f"{row['n']}/{row['of']}"
        print(f"{row['settings']:26} {count:>7} {row['p50_ms']:>8} {row['p90_ms']:>8} {row['p99_ms']:>8}")


if __name__ == "__main__":
    main()
