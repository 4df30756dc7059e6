"""`python -m tests.fuzz`: damaged records by the million, hostile ones, and how the time grows with size."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import chunks, hostile, runner
from tests.fuzz.families import names
from tests.fuzz.feed import MAX_SERIES, Feeder, Tally

_MIB = 1 << 20


def main() -> int:
    """0 if nothing was found."""
    every = names()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="damaged records a format")
    parser.add_argument("--format", action="append", choices=every, metavar="NAME", help="only this one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same records")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--chunk", type=int, help="only this chunk, in this process: to look at a failure")
    parser.add_argument(
        "--only", choices=("damaged", "hostile"), help="hostile: bombs, huge records and time by size"
    )
    parser.add_argument(
        "--into", type=Path, help="where failures are saved; a new temporary folder if not given"
    )
    args = parser.parse_args()
    wanted = args.format or every
    folder = args.into or Path(tempfile.mkdtemp(prefix="tocsin-fuzz-"))
    if args.chunk is not None:
        found = [chunks.run_chunk(Feeder(name), args.seed, args.chunk, folder)[0] for name in wanted]
        return _failed([failure for failure in found if failure])
    print(f"seed {args.seed}, failures go to {folder}", flush=True)
    failures: list[chunks.Failure] = []
    if args.only != "hostile":
        failures += _damaged(wanted, args, folder)
    if args.only != "damaged":
        failures += hostile.run(wanted, folder)
    return _failed(failures)


def _damaged(wanted: list[str], args: argparse.Namespace, folder: Path) -> list[chunks.Failure]:
    heads = [
        "records",
        "decoded",
        "partly",
        "refused",
        "silent",
        "records/s",
        "peak-MiB",
        "grown-MiB",
        "objects",
    ]
    print(f"{'format':20}", *(f"{head:>10}" for head in heads), flush=True)
    failures: list[chunks.Failure] = []
    for name, parts in runner.run(wanted, args.records, args.seed, args.jobs, folder):
        total = Tally()
        for part in parts:
            total.add(part.tally)
            failures += part.failures
            grown = part.rss[1] - part.rss[0]
            if part.rss[0] and grown > runner.GROWTH_BYTES:
                text = f"memory: RSS grew by {grown // _MIB} MiB after a tenth of the run"
                failures.append(chunks.Failure(name, -1, "memory", text, ""))
            # One chunk may add to the catalog before it is trimmed.
            if part.tally.most_entries > 3 * MAX_SERIES:
                text = f"memory: {part.tally.most_entries} entries in a catalog of {MAX_SERIES}"
                failures.append(chunks.Failure(name, -1, "memory", text, ""))
        seconds = max(part.seconds for part in parts)
        print(
            f"{name:20} {total.records:10} {total.decoded:10} {total.partly:10} {total.refused.total():10} "
            f"{total.silent:10} {total.records / max(seconds, 0.001):10,.0f} "
            f"{max(part.peak for part in parts) / _MIB:10.0f} "
            f"{max(part.rss[1] - part.rss[0] for part in parts) / _MIB:10.0f} "
            f"{max(part.objects[1] - part.objects[0] for part in parts):+10}"
        )
        print(
            f"{'':20} {_reasons(total.refused)}; rows {total.rows}; catalog at most {total.most_entries}, "
            f"forgotten {total.evicted}"
        )
        for example in total.silent_examples:
            print(f"{'':20} silent: {example[:160]!r}")
        sys.stdout.flush()
    return failures


def _reasons(refused: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in refused.most_common()) or "none refused"


def _failed(failures: list[chunks.Failure]) -> int:
    for failure in failures:
        print(f"\nFAILED {failure.format}, chunk {failure.chunk}: {failure.text}\n  saved: {failure.saved}")
    print(f"\n{len(failures)} failures" if failures else "\nnothing found", time.strftime("%H:%M:%S"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
