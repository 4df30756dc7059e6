"""How right Tocsin is: every measure of quality, each beside the figures others have published.

    python -m bench.quality [--only anomalies --only rootcause ...] [--quick]

Runs one after the other, each a process of its own, and prints what was published on the same data beside it:

- anomalies: anomaly detection on NAB, KPIs and cloud series (`bench.anomalies`);
- logs: log templates against the ones people wrote, beside drain3 (`bench.logs`);
- rootcause: `tocsin diagnose` told when a fault began (`bench.rootcause`);
- incidents: `tocsin backtest` told nothing: one incident for each fault, no others (`bench.incidents`);
- alarms: alerts of other systems grouped (`bench.alarms`).

Takes half an hour on one core; --quick leaves out what takes longest (leave-one-out of the detectors'
combiner; alarms). Public data is looked for in $TOCSIN_DATA or ../shared/data; what is absent is skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Measure(NamedTuple):
    """One benchmark, and what others have published on its data."""

    name: str
    title: str
    quick: tuple[str, ...] | None
    """its options for a quick run; None: left out"""
    published: tuple[tuple[str, str, str], ...]
    """data and figure, who, how much"""


MEASURES = (
    Measure(
        "anomalies",
        "Anomaly detection",
        ("--quick",),
        (),  # printed by the benchmark itself
    ),
    Measure(
        "logs",
        "Log templates",
        (),
        (
            ("loghub_2k, these 8 systems, grouping accuracy", "Drain, set up for each system", ".879"),
            ("loghub_2k, all 16 systems, grouping accuracy", "Brain", ".98"),
        ),
    ),
    Measure(
        "rootcause",
        "Root cause, told when",
        (),
        (
            ("Nezha Online Boutique, whole set, AC@1 / @3 / @5", "Nezha, with traces", ".929 / .964 / .964"),
            ("", "MicroRCA", ".161 / .625 / .928"),
            ("", "PDiagnose", ".411 / .732 / .821"),
            ("Nezha Train Ticket, whole set, AC@1 / @3 / @5", "Nezha, with traces", ".867 / .978 / .978"),
            ("", "MicroRCA", ".200 / .311 / .444"),
            ("", "PDiagnose", ".089 / .133 / .222"),
            ("PetShop low traffic, latency, AC@1 / @3", "anomaly traversal", ".571 / .571"),
            ("PetShop low traffic, availability, AC@1 / @3", "anomaly traversal", ".833 / 1.0"),
        ),
    ),
    Measure(
        "incidents",
        "Incidents, told nothing",
        (),
        (("any of these, end to end", "nobody, as far as we know", "-"),),
    ),
    Measure(
        "alarms",
        "Grouping alerts of other systems",
        None,
        (
            ("ait_ads, one scenario", "Landauer et al., alert aggregation, delta = 2 s", "42 meta-alerts"),
            ("telecom_alarms, wireless / microwave, F1 of the causal graph", "THP", ".577 / .372"),
            ("", "PCMCI", ".423 / .327"),
            ("", "PC", ".430 / .227"),
        ),
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=[m.name for m in MEASURES], help="may be repeated")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    console = Console()
    failed = []
    for measure in MEASURES:
        if options.only and measure.name not in options.only:
            continue
        if options.quick and measure.quick is None and not options.only:
            console.print(f"[bold]{measure.title}[/]: left out (--quick)")
            continue
        console.rule(f"[bold]{measure.title}")
        more = measure.quick or () if options.quick else ()
        done = subprocess.run([sys.executable, "-m", f"bench.{measure.name}", *more], check=False)
        if done.returncode:
            failed.append(measure.name)
        if measure.published:
            table = Table(
                "data and figure", "published by", "figures", title="published", title_justify="left"
            )
            for row in measure.published:
                table.add_row(*row)
            console.print(table)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
