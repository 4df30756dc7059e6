"""Records a second through one consumer process: bare aiokafka, plain Faust, our batch transport.

    python bench/transport.py [--records 400000] [--rounds 3] [--json FILE] [--kafka HOST:PORT]

Same broker, same records, one reader process at a time, nothing done with the records beyond what
each must do to hand them over (ours builds `Record` tuples, as every core gets them). Rates are
taken from the first record to the last, per wall second and per CPU second of the reader; the
ratios are of medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiokafka

PARTITIONS = 4
VARIANTS = ("aiokafka", "faust", "batch")
FAUST_SHARE = 8
"""Plain Faust reads this fraction of the records: it would take minutes otherwise."""


class Meter:
    """Clocks from the first record to the last."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = 0
        self.done = asyncio.Event()

    def count(self, records: int) -> None:
        if not self.seen:
            self.wall, self.cpu, self.first = time.perf_counter(), time.process_time(), records
        self.seen += records
        if self.seen >= self.limit and not self.done.is_set():
            self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
            self.done.set()

    def result(self) -> dict[str, float]:
        records = self.seen - self.first
        return {"per_s": records / self.wall, "per_cpu_s": records / self.cpu}


async def read_aiokafka(bootstrap: str, topic: str, meter: Meter) -> None:
    reader = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=_group(),
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
    )
    await reader.start()
    while not meter.done.is_set():
        for records in (await reader.getmany(timeout_ms=200)).values():
            meter.count(len(records))
    await reader.stop()


async def read_faust(bootstrap: str, topic: str, meter: Meter) -> None:
    import faust

    app = faust.App(
        _group(),
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=0.5,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,
        datadir="/tmp/tocsin-bench",  # noqa: S108 - Faust wants one; nothing is kept there
    )

    @app.agent(app.topic(topic, value_serializer="raw"))
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            meter.count(1)

    await app.start()
    await meter.done.wait()


async def read_batch(bootstrap: str, topic: str, meter: Meter) -> None:
    from streams.agents.process import WorkerConfig, run_worker
    from streams.agents.stages import StagePlan
    from streams.agents.topics import TopicSpec
    from streams.records.stage import Output, Record

    class Nothing:
        def process(self, records: Sequence[Record]) -> Sequence[Output]:
            meter.count(len(records))
            return ()

        def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
            return ()

        def needed_offset(self, next_offset: int) -> int:
            return next_offset

        def snapshot(self) -> bytes | None:
            return None

        def restore(self, blob: bytes) -> None:
            pass

    code = await run_worker(
        WorkerConfig(bootstrap, group_prefix=_group()),
        ["bench"],
        [TopicSpec(topic, PARTITIONS)],
        lambda stage, counts: StagePlan(stage, (topic,), lambda name, partition: Nothing()),
        meter.done,
    )
    if code:
        sys.exit(code)


def _group() -> str:
    return f"bench-{os.getpid()}-{time.time_ns()}"


async def fill(bootstrap: str, topic: str, records: int) -> None:
    """Small JSON events, as DESIGN.md measures with."""
    from streams.agents.topics import TopicSpec, connect, ensure_topics

    admin = await connect(bootstrap)
    await ensure_topics(admin, [TopicSpec(topic, PARTITIONS)])
    await admin.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=512 * 1024)
    await producer.start()
    for i in range(records):
        value = b'{"series":"cart.latency","host":"node-%d","ts":%d,"value":%d.25}' % (
            i % 50,
            1_700_000_000_000 + i,
            i % 997,
        )
        await producer.send(topic, value, partition=i % PARTITIONS)
    await producer.stop()


def measure(bootstrap: str, topic: str, records: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians per variant; the variants take turns, so that a busy moment hits all of them."""
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant in VARIANTS:
            limit = records // FAUST_SHARE if variant == "faust" else records
            line = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--read",
                    variant,
                    "--topic",
                    topic,
                    "--kafka",
                    bootstrap,
                    "--records",
                    str(limit),
                ],
                check=True,
                capture_output=True,
                text=True,
                timeout=300,
            ).stdout.splitlines()[-1]
            found[variant].append(json.loads(line))
            print(f"  {variant:9} {found[variant][-1]['per_s']:>10,.0f} records/s", file=sys.stderr)
    return {
        variant: {name: statistics.median(run[name] for run in runs) for name in ("per_s", "per_cpu_s")}
        for variant, runs in found.items()
    }


def table(medians: dict[str, dict[str, float]]) -> str:
    """Markdown, ratios against plain Faust and against bare aiokafka."""
    lines = [
        "| reader | records/s | records per CPU second | against plain Faust | against bare aiokafka |",
        "|---|---|---|---|---|",
    ]
    titles = {
        "aiokafka": "bare aiokafka `getmany`",
        "faust": "plain Faust agent, no-op",
        "batch": "batch transport, no-op core",
    }
    for variant, rates in medians.items():
        lines.append(
            f"| {titles[variant]} | {rates['per_s']:,.0f} | {rates['per_cpu_s']:,.0f} "
            f"| {rates['per_cpu_s'] / medians['faust']['per_cpu_s']:.1f} "
            f"| {rates['per_cpu_s'] / medians['aiokafka']['per_cpu_s']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kafka", help="an existing broker instead of the embedded one")
    parser.add_argument("--json", type=Path, help="also write the medians here")
    parser.add_argument("--topic", default=f"bench-{time.time_ns()}")
    parser.add_argument("--read", choices=VARIANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        meter = Meter(given.records)
        readers = {"aiokafka": read_aiokafka, "faust": read_faust, "batch": read_batch}

        async def read() -> None:
            await readers[given.read](given.kafka, given.topic, meter)
            print(json.dumps(meter.result()), flush=True)
            os._exit(0)  # Faust takes its time to stop, and nothing here needs it

        asyncio.run(read())
        return
    with ExitStack() as stack:
        bootstrap = given.kafka
        if not bootstrap:
            from embedded.broker import broker_child
            from embedded.probe import free_port
            from embedded.supervisor import Supervisor

            supervisor = stack.enter_context(Supervisor())
            port = free_port()
            supervisor.start(broker_child(port))
            bootstrap = f"127.0.0.1:{port}"
        asyncio.run(fill(bootstrap, given.topic, given.records))
        medians = measure(bootstrap, given.topic, given.records, given.rounds)
    print(table(medians))
    print(json.dumps(medians))
    if given.json:
        given.json.write_text(
            json.dumps({"records": given.records, "rounds": given.rounds, **medians}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
