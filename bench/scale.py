"""One, two and four workers on one broker: work a sample, how evenly it is shared, and hand-over.

    python -m bench.scale [--workers 1 2 4] [--samples 400000] [--rounds 3] [--repeats 3] [--json FILE]

Work: workers are started first and share partitions (8 input partitions, 8 shards); then JSON lines are
produced and read. On a machine with fewer cores than processes, wall time says nothing of scale-out, so what
is compared is CPU: microseconds a sample over all workers, of the broker apart, and the share of each
worker. With ingest and detect in every worker, and with workers of their own for each.

Hand-over: two workers under a steady trickle; a third joins, one leaves (SIGTERM), one is killed
(`kill -9`). A pause is the longest time for which a shard says nothing on the alert topic around that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.loads import ends, fill, json_lines
from bench.workers import Worker, settings_for

PARTITIONS = SHARDS = 8
SERIES = 2_000
BOTH = "ingest,detect"
SETTLED_S = 3.0
AFTER_S = 25.0
"""how long after a change its pauses are looked for: beyond session timeout, join and restore"""


def _settings(kafka: str, prefix: str) -> dict[str, Any]:
    return settings_for(kafka, {f"{prefix}.in": PARTITIONS}, prefix, ingest={"shards": SHARDS})


def placed(worker: Worker) -> dict[str, int]:
    """Partitions a stage of the worker has."""
    found: dict[str, int] = {}
    for row in json.loads(worker.text("/lag") or "[]"):
        found[row["stage"]] = found.get(row["stage"], 0) + 1
    return found


def shared(workers: list[Worker], timeout_s: float = 90) -> None:
    """Wait until every worker has its even share of every stage it runs."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        held = [placed(worker) for worker in workers]
        even = True
        for stage in ("ingest", "detect"):
            counts = [found.get(stage, 0) for worker, found in zip(workers, held, strict=True)
                      if stage in worker.stages.split(",")]  # fmt: skip
            even = even and sum(counts) >= PARTITIONS and max(counts) - min(counts) <= 1
        if even:
            return
        time.sleep(0.2)
    raise SystemExit(f"the workers did not share the partitions evenly within {timeout_s} s: {held}")


def _total(workers: list[Worker], stage: str) -> list[int]:
    readings = [worker.reading(stage) for worker in workers if stage in worker.stages.split(",")]
    return [reading.records if reading else 0 for reading in readings]


def work(
    kafka: str, broker: psutil.Process | None, folder: Path, crew: list[str], samples: int
) -> dict[str, Any]:
    """CPU of one crew of workers for `samples`."""
    prefix = f"scale-{time.time_ns()}"
    settings = _settings(kafka, prefix)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(folder, settings, stages, f"{prefix}-{number}"))
            for number, stages in enumerate(crew)
        ]
        for worker in workers:
            worker.until(worker.stages.split(",")[0], 0, 60)
        shared(workers)
        before, at = sum(worker.cpu() for worker in workers), time.perf_counter()
        time.sleep(SETTLED_S)
        cpu = [worker.cpu() for worker in workers]
        idle = (sum(cpu) - before) / (time.perf_counter() - at)
        of_broker = sum(broker.cpu_times()[:2]) if broker else 0.0
        began = time.perf_counter()
        asyncio.run(fill(kafka, f"{prefix}.in", json_lines(samples, SERIES, PARTITIONS), PARTITIONS))
        _await(lambda: sum(_total(workers, "ingest")) >= samples)
        pages = asyncio.run(ends(kafka, f"{prefix}.pages", SHARDS))
        _await(lambda: sum(_total(workers, "detect")) >= pages)
        wall = time.perf_counter() - began
        spent = [worker.cpu() - before for worker, before in zip(workers, cpu, strict=True)]
        records = {stage: _total(workers, stage) for stage in ("ingest", "detect")}
    return {
        "workers": len(crew),
        "stages": " + ".join(dict.fromkeys(crew)),
        "us_per_sample": 1e6 * sum(spent) / samples,
        "us_without_idle": 1e6 * (sum(spent) - idle * wall) / samples,
        "idle_cpu": idle / len(crew),
        "broker_us_per_sample": 1e6 * (sum(broker.cpu_times()[:2]) - of_broker) / samples if broker else None,
        "per_s": samples / wall,
        "cpu_shares": [round(each / sum(spent), 3) for each in spent],
        "most_to_mean": {stage: max(n) * len(n) / max(1, sum(n)) for stage, n in records.items()},
    }


def _await(done: Callable[[], bool], timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("the workers did not finish in time")
        time.sleep(0.1)


class Listener:
    """When each shard last said how far it is, and the longest silence of each since `mark`."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.kafka, self.topic = kafka, topic
        self.heard: dict[int, list[float]] = {}

    async def run(self) -> None:
        reader = AIOKafkaConsumer(self.topic, bootstrap_servers=self.kafka, fetch_max_wait_ms=10)
        await reader.start()
        try:
            async for record in reader:
                found = json.loads(record.value or b"{}")
                if "at_ms" in found and "shards" in found:
                    self.heard.setdefault(found["shard"], []).append(time.monotonic())
        finally:
            await reader.stop()

    def pauses(self, since: float) -> list[float]:
        """The longest silence of each shard that touches the time after `since`, seconds."""
        found = []
        for times in self.heard.values():
            kept = [t for t in times if t <= since][-1:] + [t for t in times if t > since]
            found.append(max((b - a for a, b in pairwise(kept)), default=AFTER_S))
        return found


async def _trickle(kafka: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=0)
    await producer.start()
    try:
        while True:
            ts = int(time.time() * 1000)
            for which in range(PARTITIONS * 4):
                value = b'{"ts":%d,"service":"service-%02d","metric":"queue","value":%d.5}' % (
                    ts,
                    which,
                    ts % 7,
                )
                await producer.send(topic, value, partition=which % PARTITIONS)
            await asyncio.sleep(0.1)
    finally:
        await producer.stop()


async def handover(kafka: str, folder: Path, repeats: int) -> dict[str, list[float]]:
    """Longest pause of any shard, one entry a repeat, for each kind of change."""
    prefix = f"handover-{time.time_ns()}"
    settings = _settings(kafka, prefix) | {"detect": {"step_ms": 200}}
    settings["ingest"]["allowed_lateness_ms"] = 200
    names = iter(range(10_000))

    def start() -> Worker:
        return Worker(folder, settings, BOTH, f"{prefix}-{next(names)}")

    workers = [start(), start()]
    await asyncio.to_thread(shared, workers)
    listener = Listener(kafka, f"{prefix}.alerts")
    tasks = [asyncio.create_task(listener.run()), asyncio.create_task(_trickle(kafka, f"{prefix}.in"))]
    found: dict[str, list[float]] = {"join": [], "leave": [], "kill": []}
    try:
        await asyncio.sleep(8)
        for _ in range(repeats):
            for change in ("join", "leave", "join again", "kill"):
                at = time.monotonic()
                if change.startswith("join"):
                    workers.append(start())
                elif change == "leave":
                    await asyncio.to_thread(workers.pop(0).stop)
                else:
                    workers.pop(0).kill()
                await asyncio.sleep(AFTER_S)
                await asyncio.to_thread(shared, workers)
                pause = max(listener.pauses(at))
                found[change.split()[0]].append(pause)
                print(f"  {change}: {pause:.2f} s", file=sys.stderr)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for worker in workers:
            worker.stop()
    return found


def crews(counts: list[int]) -> list[list[str]]:
    """All in one for each count, then one and two workers of each stage."""
    apart = [["ingest"] * n + ["detect"] * n for n in (1, 2) if 2 * n <= max(counts)]
    return [[BOTH] * n for n in counts] + apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the work; medians are shown")
    parser.add_argument("--repeats", type=int, default=3, help="of each change; 0 leaves hand-over out")
    parser.add_argument("--kafka", help="an existing broker instead of one of its own")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        kafka, broker = args.kafka, None
        if not kafka:
            from tests.kafka.cluster import KafkaCluster

            cluster = stack.enter_context(KafkaCluster(folder / "kafka", heap="1g"))
            kafka, broker = cluster.bootstrap, psutil.Process(cluster.pid)
        rounds: list[list[dict[str, Any]]] = []
        for number in range(args.rounds):
            rounds.append([work(kafka, broker, folder, crew, args.samples) for crew in crews(args.workers)])
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
        pauses = asyncio.run(handover(kafka, folder, args.repeats)) if args.repeats else {}
    rows = [_medians(list(column)) for column in zip(*rounds, strict=True)]
    heads = (
        "workers", "stages", "worker µs a sample", "of it beyond idling", "idle CPU a worker",
        "broker µs a sample", "CPU shares", "busiest / mean, ingest", "detect",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        of_broker = "" if row["broker_us_per_sample"] is None else f"{row['broker_us_per_sample']:.2f}"
        shares = ", ".join(f"{share:.0%}" for share in row["cpu_shares"])
        most = row["most_to_mean"]
        print(
            f"| {row['workers']} | {row['stages']} | {row['us_per_sample']:.2f} "
            f"| {row['us_without_idle']:.2f} | {row['idle_cpu']:.1%} | {of_broker} | {shares} "
            f"| {most['ingest']:.2f} | {most['detect']:.2f} |"
        )
    for change, found in pauses.items():
        middle, worst = statistics.median(found), max(found)
        print(f"{change}: a shard pauses {middle:.1f} s (p50), {worst:.1f} s (max of {len(found)})")
    if args.json:
        args.json.write_text(json.dumps({"work": rows, "pauses": pauses}, indent=1) + "\n")


def _medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row with the median work a sample."""
    return sorted(rows, key=lambda row: row["us_per_sample"])[len(rows) // 2]


if __name__ == "__main__":
    main()
