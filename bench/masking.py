"""What masking costs: time of the ingest core over log lines with it, by the time without.

    python -m bench.masking [--seconds 2] [--json]

Both cores take the same records in turns in one process; the ratio is the median of neighbouring rounds.
Lines are OTLP records of a hundred lines, plain and with two secrets in every hundredth and every tenth line,
and, where the public data are at hand (`TOCSIN_DATA`), those of eight systems as they stand in files.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.common import ROOT
from bench.ingest import chunked, log_requests
from config.logs import LogRules, Secrets
from config.settings import Ingest, InputTopic, Settings, Topics
from streams.decode.ingest import ingest_factory

SECRET = "login of alice@example.com with password=hunter2 refused"  # noqa: S105 - made up


def otlp(every: int) -> list[bytes]:
    """Lines of `bench.ingest`; every so manieth has two secrets, none for 0."""
    requests = log_requests()
    for request in requests:
        for n, line in enumerate(request.resource_logs[0].scope_logs[0].log_records):
            if every and n % every == 0:
                line.body.string_value = SECRET
    return [request.SerializeToString() for request in requests]


def public() -> dict[str, list[bytes]]:
    """Raw lines by system, a hundred a record."""
    folder = Path(os.environ.get("TOCSIN_DATA", ROOT.parent / "shared" / "data")) / "loghub_2k"
    if not folder.is_dir():
        return {}
    import pyarrow.parquet as pq

    lines: dict[str, list[str]] = {}
    table = pq.read_table(folder / "logs.parquet", columns=["system", "raw"]).to_pydict()
    for system, raw in zip(table["system"], table["raw"], strict=True):
        lines.setdefault(system, []).append(raw)
    return {
        system: ["\n".join(rows[i : i + 100]).encode() for i in range(0, len(rows), 100)] * 5
        for system, rows in sorted(lines.items())
    }


def core(values: Sequence[bytes], wire_format: str, mask: bool) -> Callable[[], None]:
    """The ingest core over all records once."""
    settings = Settings(
        topics=Topics(inputs=(InputTopic(name="in", format=wire_format),)),
        ingest=Ingest(allowed_lateness_ms=10**12, max_future_ms=10**12, max_age_ms=10**12),
        logs=LogRules(secrets=Secrets(mask=mask)),
    )
    made = ingest_factory(settings, ["in/0"])("in", 0)
    chunks = chunked(values)

    def once() -> None:
        for chunk in chunks:
            made.process(chunk)

    return once


def ratio(values: Sequence[bytes], wire_format: str, seconds: float) -> tuple[float, float]:
    """Time with masking over time without, the median of neighbouring rounds; and least seconds without."""
    plain, masking = (core(values, wire_format, mask) for mask in (False, True))
    found, least = [], float("inf")
    until = time.perf_counter() + seconds
    for turn in itertools.count():
        first, second = (plain, masking) if turn % 2 else (masking, plain)
        times = [_seconds(first), _seconds(second)]
        without, with_it = times if turn % 2 else times[::-1]
        if turn:  # the first warms up
            found.append(with_it / without)
            least = min(least, without)
        if time.perf_counter() > until and len(found) > 2:
            return statistics.median(found), least
    raise AssertionError


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure all cases and print them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0, help="for each case")
    options.add_argument("--json", action="store_true", help="only JSON")
    chosen = options.parse_args()
    cases = {
        "OTLP, no secret": (otlp(0), "otlp", 100),
        "OTLP, 1 % of lines": (otlp(100), "otlp", 100),
        "OTLP, 10 % of lines": (otlp(10), "otlp", 100),
        **{f"lines, {system}": (values, "lines", 100) for system, values in public().items()},
    }
    results = []
    for name, (values, wire_format, per_record) in cases.items():
        found, least = ratio(values, wire_format, chosen.seconds)
        lines = len(values) * per_record
        results.append(
            {
                "case": name,
                "ratio": round(found, 3),
                "us_per_line": round(least / lines * 1e6, 2),
                "masking_us_per_line": round((found - 1) * least / lines * 1e6, 2),
            }
        )
    if not chosen.json:
        table = Table(box=None)
        for heading in ("case", "with / without", "µs a line without", "µs for masking"):
            table.add_column(heading, justify="left" if heading == "case" else "right")
        for row in results:
            table.add_row(*map(str, row.values()))
        Console(width=110).print(table)
    print(json.dumps({"masking": results}))


if __name__ == "__main__":
    main()
