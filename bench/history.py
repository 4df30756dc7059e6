"""What it costs to keep samples: rows a second into ClickHouse, beside the detect stage on the same pages.

    python -m bench.history [--series 2000] [--minutes 1440] [--json]

Pages of one sample a series and minute (gauges with noise to four digits and a daily rhythm, and as many
counters) go as records through the handler of the stage `history` into the embedded ClickHouse, a fifth of a
million rows a write, and through a core of the detect stage. Seconds on the wall and of this process's CPU
(the engine is a process of its own). Then: bytes a sample after merging, and the middle of five times for a
day of one series, for its exploration and for a page of 100 sparklines.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.common import print_json
from config.history import History
from config.settings import ClickHouse, Detect, Ingest, Settings
from detectors.bank import warm
from detectors.explore import explore
from detectors.shard import ShardCore
from embedded.stack import Stack
from sinks.clickhouse import ClickHouseSink, connect
from sinks.historian import SERIES, Historian
from sinks.history import raw_of, samples_of, sparklines
from sinks.reader import Reader
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Page, Series, encode_page
from streams.records.stage import Record

T0 = 1_700_000_000_000
MINUTE = 60_000
AT_ONCE = 200_000
"""rows a write"""


def described(n: int) -> list[Series]:
    """Half gauges, half counters."""
    found = []
    for i in range(n):
        labels = (("instance", f"host-{i % 50}"), ("path", f"/api/{i // 50}"))
        kind, metric = (Kind.COUNTER, "requests") if i % 2 else (Kind.GAUGE, "queue.length")
        service = f"service-{i % 20}"
        fp = fingerprint(service, metric, labels)
        found.append(Series(fp, service, metric, labels, "1", int(kind), (), (("env", "prod"),)))
    return found


def records_of(series: Sequence[Series], minutes: int) -> list[Record]:
    """A page a minute."""
    rng = np.random.default_rng(1)
    fps = np.array([one.fp for one in series], "<u8")
    counters = np.array([one.kind == Kind.COUNTER for one in series])
    total = np.zeros(len(series))
    records = []
    for minute in range(minutes):
        rhythm = 100 + 20 * np.sin(2 * np.pi * minute / 1440)
        values = np.round(rng.normal(rhythm, 5, len(series)), 4)
        total += np.round(np.abs(values))
        ts = np.full(len(series), T0 + minute * MINUTE, "<i8")
        page = Page(
            "in/0",
            1,
            T0 + (minute - 1) * MINUTE,
            series=list(series) if minute % 10 == 0 else [],
            fps=fps.tobytes(),
            ts=ts.tobytes(),
            values=np.where(counters, total, values).astype("<f8").tobytes(),
        )
        records.append(Record("tocsin.pages", 0, minute, T0, b"", encode_page(page)))
    return records


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the wall, and of this process's CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - cpu


def middle(call: Callable[[], Any]) -> float:
    """The middle of five times, ms."""
    return round(1_000 * statistics.median(timed(call)[0] for _ in range(5)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, default=2_000)
    parser.add_argument("--minutes", type=int, default=1_440)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    series = described(options.series)
    records = records_of(series, options.minutes)
    rows = options.series * options.minutes
    size = max(1, AT_ONCE // options.series)
    chunks = [records[i : i + size] for i in range(0, len(records), size)]
    found: dict[str, Any] = {"rows": rows}

    warm()
    core = ShardCore(Settings(ingest=Ingest(shards=1)), 0)
    wall, cpu = timed(lambda: [core.process(chunk) for chunk in chunks])
    found["detect"] = {"rows_per_s": round(rows / wall), "cpu_us_per_row": round(1e6 * cpu / rows, 3)}

    with Stack(kafka=False) as stack:
        settings = ClickHouse(url=stack.clickhouse, database="bench")
        sink = ClickHouseSink(settings, tables=(SERIES,))
        writer = Historian(History(), sink, pause_s=0.0)

        async def write() -> None:
            for chunk in chunks:
                await writer.write(chunk)

        async def run() -> tuple[float, float]:
            await writer.start()
            began, before = time.perf_counter(), time.process_time()
            await write()
            spent = time.perf_counter() - began, time.process_time() - before
            await writer.stop()
            return spent

        wall, cpu = asyncio.run(run())
        found["history"] = {"rows_per_s": round(rows / wall), "cpu_us_per_row": round(1e6 * cpu / rows, 3)}
        found["history_cpu_to_detect_cpu"] = round(
            found["history"]["cpu_us_per_row"] / found["detect"]["cpu_us_per_row"], 3
        )
        client = connect(settings)
        reader = Reader(client)
        client.command("OPTIMIZE TABLE samples FINAL")
        (parts,) = reader.ask(
            "SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS n FROM system.parts"
            " WHERE database = 'bench' AND table = 'samples' AND active"
        )
        found["bytes_per_sample"] = round(parts["bytes"] / parts["n"], 2)
        name = f"{series[1].fp:016x}"
        until = T0 + options.minutes * MINUTE
        found["curve_ms"] = middle(lambda: samples_of(reader, [name], T0, until, 500))
        found["explore_ms"] = middle(lambda: explore(raw_of(reader, name, T0, until), name, Detect()))
        windows = {f"{one.fp:016x}": (T0, until) for one in series[:100]}
        found["sparklines_100_ms"] = middle(lambda: sparklines(reader, windows))
        client.close()
    if options.json:
        print_json(found)
    else:
        for key, value in found.items():
            print(f"{key:28} {value}")


if __name__ == "__main__":
    main()
