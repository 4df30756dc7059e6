"""Records and points a second: our stages beside every peer, on one broker and the same data.

    python -m bench.throughput [--runs 5] [--records 1000000] [--points 12000000]
        [--series 2000] [--json FILE]

Starts an Apache Kafka (or takes --kafka HOST:PORT), writes one topic of JSON lines and one of OTLP
batches of 500 points, and lets each reader read it from the beginning, one process at a time, in turns:
a busy moment of the machine hits all of them. Medians over the runs, per CPU second of the reading
process (all its threads) and per wall second.

Readers of both topics: a bare aiokafka `getmany` loop; the same loop with our decoder, nothing produced;
a plain Faust agent that does nothing; `tocsin worker --stages ingest`, then `--stages detect` on the pages
ingest made, and both in one worker. Of the JSON lines also bytewax and quixstreams, which decode them and
keep an EWMA with a threshold per series. A stage's clocks run until every effect is safe on the next hop,
deliveries and checkpoints included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.loads import PARTITIONS, POINTS_A_RECORD, ends, fill, json_lines, otlp_records
from bench.workers import Worker, rates, settings_for

Rates = dict[str, float]
SHARES = {"faust": 16, "quix": 8, "quix-dict": 8, "bytewax": 1, "bare": 1, "decoder": 1}
"""a slow reader reads one in so many records: its rate shows soon enough"""
LOOPS = ("bare", "decoder", "faust")
PEERS = ("bytewax", "quix-dict", "quix")

TITLES = {
    "bare": "bare aiokafka `getmany`",
    "decoder": "bare aiokafka + our decoder, nothing produced",
    "faust": "plain Faust agent, no-op",
    "ingest": "ours: ingest",
    "detect": "ours: detect, default bank",
    "both": "ours: ingest and detect in one worker",
    "bytewax": "bytewax: JSON, EWMA, threshold",
    "quix-dict": "quixstreams: the same, state in a dict",
    "quix": "quixstreams: the same, state in its store",
}


def peer(kafka: str, topic: str, reader: str, records: int) -> Rates:
    """A reader of bench/readers.py in a process of its own."""
    limit = records // SHARES[reader]
    argv = [sys.executable, "-m", "bench.readers", reader, kafka, topic, str(limit)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"{reader} failed:\n{done.stderr[-2000:]}")
    found: Rates = json.loads(done.stdout.splitlines()[-1])
    return found


def stages(kafka: str, topic: str, folder: Path, records: int) -> dict[str, Rates]:
    """Ingest alone, detect alone on its pages, then both in one worker."""
    prefix = f"{topic}-{time.time_ns()}"
    found = {}
    settings = settings_for(kafka, {topic: PARTITIONS}, prefix)
    with Worker(folder, settings, "ingest", f"{prefix}-ingest") as worker:
        first = worker.beginning("ingest")
        found["ingest"] = rates(first, worker.until("ingest", records))
    pages = asyncio.run(ends(kafka, f"{prefix}.pages"))
    with Worker(folder, settings, "detect", f"{prefix}-detect") as worker:
        first = worker.beginning("detect")
        found["detect"] = _as_records(rates(first, worker.until("detect", pages)), pages, records)
    settings = settings_for(kafka, {topic: PARTITIONS}, f"{prefix}-both")
    with Worker(folder, settings, "ingest,detect", f"{prefix}-both") as worker:
        first = worker.beginning("ingest")
        worker.until("ingest", records)
        # What ingest says of quiet sources comes on top of these, later.
        pages = asyncio.run(ends(kafka, f"{prefix}-both.pages"))
        last = worker.until("detect", pages)
        found["both"] = rates(first, last._replace(records=first.records + records))
    return found


def _as_records(rate: Rates, pages: int, records: int) -> Rates:
    # Pages are not records: all of them together hold the points of the whole load.
    return {name: value / pages * records for name, value in rate.items()}


def turn(
    kafka: str, topic: str, folder: Path, records: int, names: tuple[str, ...], tell: Callable[[str], None]
) -> dict[str, Rates]:
    """Every reader once."""
    found: dict[str, Rates] = {}
    for name in names:
        tell(TITLES[name])
        found[name] = peer(kafka, topic, name, records)
    tell("ours")
    return found | stages(kafka, topic, folder, records)


def rows(found: list[dict[str, Rates]], points: int) -> list[dict[str, Any]]:
    """Medians and ratios per reader; `points` a record."""
    medians = {
        name: {key: statistics.median(run[name][key] for run in found) for key in ("per_s", "per_cpu_s")}
        for name in TITLES
        if name in found[0]
    }
    return [
        {
            "reader": name,
            "records_per_cpu_s": round(rate["per_cpu_s"]),
            "points_per_cpu_s": round(rate["per_cpu_s"] * points),
            "points_per_s": round(rate["per_s"] * points),
            "of_bare": round(rate["per_cpu_s"] / medians["bare"]["per_cpu_s"], 3),
            "of_decoder": round(rate["per_cpu_s"] / medians["decoder"]["per_cpu_s"], 3),
            "of_faust": round(rate["per_cpu_s"] / medians["faust"]["per_cpu_s"], 2),
            "runs": [round(run[name]["per_cpu_s"] * points) for run in found],
        }
        for name, rate in medians.items()
    ]


def show(console: Console, load: str, found: list[dict[str, Any]]) -> None:
    """One table a load."""
    table = Table(title=load, title_justify="left")
    for column in ("reader", "points / CPU s", "points / s", "of bare", "of bare + decoder", "of Faust"):
        table.add_column(column, justify="left" if column == "reader" else "right")
    for row in found:
        table.add_row(
            TITLES[row["reader"]],
            f"{row['points_per_cpu_s']:,}",
            f"{row['points_per_s']:,}",
            f"{row['of_bare']:.2f}",
            f"{row['of_decoder']:.2f}",
            f"{row['of_faust']:.1f}",
        )
    console.print(table)


def measure(args: argparse.Namespace, folder: Path, console: Console) -> dict[str, list[dict[str, Any]]]:
    """Fill the topics, take turns, put the medians together."""
    with ExitStack() as stack:
        kafka = args.kafka
        if not kafka:
            from tests.kafka.cluster import KafkaCluster

            kafka = stack.enter_context(KafkaCluster(folder / "kafka", heap="1g")).bootstrap
        mark = time.time_ns()
        loads = {
            "JSON lines, one sample a record": (f"lines-{mark}", args.records, 1, (*LOOPS, *PEERS)),
            "OTLP protobuf, 500 points a record": (
                f"otlp-{mark}", args.points // POINTS_A_RECORD, POINTS_A_RECORD, LOOPS,
            ),
        }  # fmt: skip
        console.print("filling the topics")
        for topic, records, points, _ in loads.values():
            load = json_lines(records, args.series) if points == 1 else otlp_records(args.points, args.series)
            asyncio.run(fill(kafka, topic, load))
        found: dict[str, list[dict[str, Rates]]] = {load: [] for load in loads}
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=args.runs * len(loads))
            for number in range(args.runs):
                for load, (topic, records, _, names) in loads.items():

                    def tell(what: str, number: int = number, load: str = load) -> None:
                        progress.update(task, description=f"run {number + 1}/{args.runs}, {load[:4]}: {what}")

                    found[load].append(turn(kafka, topic, folder, records, names, tell))
                    progress.advance(task)
        return {load: rows(found[load], loads[load][2]) for load in loads}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000, help="JSON lines")
    parser.add_argument("--points", type=int, default=12_000_000, help="OTLP points")
    parser.add_argument("--series", type=int, default=2_000, help="a multiple of 500")
    parser.add_argument("--kafka", help="an existing broker instead of one of its own")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    if args.series % POINTS_A_RECORD or args.points % args.series or args.records % args.series:
        parser.error(f"--series must be a multiple of {POINTS_A_RECORD}, and divide --points and --records")
    console = Console()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        found = measure(args, Path(folder), console)
    for load, table in found.items():
        show(console, load, table)
    console.print(f"medians of {args.runs} interleaved runs, {time.monotonic() - began:.0f} s in all")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
