"""`python -m tests.chaos`: seeded runs with faults, and the count of what was lost, doubled or unequal."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from embedded.supervisor import stop_signals_interrupt
from tests.chaos.ground import Ground, ground
from tests.chaos.report import line, summary
from tests.chaos.run import Chaos, Verdict
from tests.chaos.schedule import KINDS, Plan, outage, plan


async def one(shared: Ground, planned: Plan, folder: Path) -> Verdict:
    """One run with topics, groups and a database of its own; its folder is removed when it passed."""
    name = f"c{planned.seed}x{time.time_ns() % 10**6}"
    chaos = Chaos(shared, planned, folder, name)
    try:
        verdict = await chaos.run()
    except asyncio.CancelledError:
        # Told to end in the middle: our own clients would wait for a broker that is no more.
        end = threading.Timer(20, os._exit, (130,))
        end.daemon = True
        end.start()
        raise
    if verdict.passed:
        await shared.delete(name)
        await shared.drop(name)
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


def main() -> int:
    """Exit code 0: every run passed; 1: some did not, and their seeds and logs are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others follow")
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    parser.add_argument("--faults", default=",".join(KINDS), help="kinds to choose from: %(default)s")
    parser.add_argument("--count", type=int, default=None, help="faults a run (default: two or three)")
    parser.add_argument(
        "--outage",
        type=float,
        default=None,
        metavar="SECONDS",
        help="instead: the broker away for so long, then ClickHouse, and no worker may be started again",
    )
    parser.add_argument("--keep", type=Path, default=None, help="where failing runs leave their logs")
    parser.add_argument("--fresh-after", type=int, default=25, help="runs one broker serves")
    options = parser.parse_args()
    kinds = options.faults.split(",")
    wrong = sorted(set(kinds) - set(KINDS))
    if wrong:
        parser.error(f"--faults {wrong[0]!r}: choose from {','.join(KINDS)}")
    # Clients of ours see every outage we make and would say so; what they say is in nobody's interest.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    keep = options.keep or Path(tempfile.mkdtemp(prefix="tocsin-chaos-"))
    with stop_signals_interrupt():
        return campaign(options, kinds, keep)


def campaign(options: argparse.Namespace, kinds: list[str], keep: Path) -> int:
    """All runs, on a fresh broker every few of them; prints each and the summary."""
    verdicts: list[Verdict] = []
    began = time.monotonic()
    plans = planned(options, kinds)
    for first in range(0, len(plans), options.fresh_after):
        batch = plans[first : first + options.fresh_after]
        folder = keep / f"ground-{first}"
        with ground(folder, options.broker, small_disks="disk" in kinds) as shared:
            for each in batch:
                own = keep / f"seed-{each.seed}"
                verdict = asyncio.run(one(shared, each, own))
                if options.outage and verdict.restarts:
                    verdict.problems.append("a worker had to be started again")
                verdicts.append(verdict)
                print(line(verdict, own), flush=True)
        if all(verdict.passed for verdict in verdicts[first:]):
            shutil.rmtree(folder, ignore_errors=True)
    print(summary(verdicts, time.monotonic() - began))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def planned(options: argparse.Namespace, kinds: list[str]) -> list[Plan]:
    """The runs asked for."""
    if options.outage:
        return [
            outage(options.seed + number, options.broker, what, options.outage)
            for number, what in enumerate(("broker", "clickhouse"))
        ]
    seeds = range(options.seed, options.seed + options.runs)
    return [plan(seed, options.broker, kinds, options.count) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
