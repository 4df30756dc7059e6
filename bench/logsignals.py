"""Alerts from logs on public fault data: which faults they tell of, how soon, and how often of nothing.

    python -m bench.logsignals [--data FOLDER] [--set nezha_tt] [--json OUT] [--verbose]

The data (see docs/logs.md) is not part of this repository. The whole pipeline of `tocsin backtest` runs
over it; every version of every alert is looked at, as a live reader would get them. Counted is:

- *from logs*: alerts of kind `log`, and those on series made of log lines (`log.*`);
- *told*: a version with severity warning or above; its time is `detected_at`;
- *only logs show*: faults planted in the code (`CODE_FAULTS`), which return early or throw and leave CPU,
  memory and network as they were. Of the other faults the same is shown, for comparison;
- a fault is *found* within N s when an alert from logs of the true service is told of at most N s after the
  fault's start, and not over before it. One told of up to two minutes before the start (labels are exact to
  about a minute, and so is the beginning of a fault's logs) counts as *standing*, with a delay of 0; an older
  one counts for nothing;
- *false*: told of outside every fault's window (start to end) of its run, whatever the service, and not
  standing in the sense above for a fault of its service (`strictly_false` counts those too). Alerts of
  other services inside a window are shown apart, they may well be consequences;
- *service-hours*: for every service that logs in the run, the minutes outside all windows in which anything
  was logged at all.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from cli.backtest import Findings, run_backtest
from cli.dataset import load
from config.settings import Settings
from detectors.alert import SEVERITIES, Alert
from streams.records.stage import Output

CODE_FAULTS = ("return", "exception")
WITHIN_MS = 60_000
STANDING_MS = 120_000
BIN_MS = 60_000
NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Told:
    """An alert from logs at its first version of warning or above."""

    service: str
    at_ms: int
    over_ms: int
    severity: str
    kind: str
    summary: str


@dataclass(frozen=True, slots=True)
class Case:
    """One fault and the first alert from the logs of its service."""

    id: str
    service: str
    fault_type: str
    only_logs: bool
    delay_s: float | None
    standing: bool
    summary: str


class Versions(Findings):
    """Keeps what every alert from logs was when it was first told of."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.told: dict[str, Told] = {}

    def take(self, output: Output) -> None:
        if output.topic == self._topics.alerts and output.value and b'"type":"alert"' in output.value[:20]:
            self._look(self._alert.decode(output.value))
        super().take(output)

    def _look(self, a: Alert) -> None:
        if a.kind != "log" and not a.metric.startswith("log."):
            return
        known = self.told.get(a.id)
        over = NEVER if a.resolved_at is None else a.resolved_at
        if known is not None:
            self.told[a.id] = Told(known.service, known.at_ms, over, a.severity, a.kind, a.summary)
        elif SEVERITIES.index(a.severity) >= 1:
            self.told[a.id] = Told(a.service, a.detected_at, over, a.severity, a.kind, a.summary)


def truth(folder: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads((folder / "truth.json").read_text())


def found(row: dict[str, Any], told: list[Told]) -> Case:
    """The first alert of the true service that stands at the fault's start or comes within its window."""
    start, end = row["start_ms"], row["end_ms"]
    ours = [
        t
        for t in told
        if t.service == row["service"] and start - STANDING_MS <= t.at_ms <= end and t.over_ms > start
    ]
    first = min(ours, key=lambda t: (max(0, t.at_ms - start), t.at_ms, t.summary), default=None)
    return Case(
        row["id"],
        row["service"],
        row["fault_type"],
        row["fault_type"] in CODE_FAULTS,
        None if first is None else max(0, first.at_ms - start) / 1000,
        first is not None and first.at_ms < start,
        "" if first is None else first.summary,
    )


def quiet_hours(ts: np.ndarray, services: int, windows: list[tuple[int, int]]) -> float:
    """Service-hours outside `windows` with any line."""
    for start, end in windows:
        ts = ts[(ts < start) | (ts > end)]
    return services * len(np.unique(ts // BIN_MS)) * BIN_MS / 3_600_000


def measure(folder: Path, settings: Settings, console: Console, verbose: bool) -> dict[str, Any]:
    """Run the data set and count."""
    data = load(folder)
    lines = pq.read_table(folder / "logs.parquet", columns=["run", "ts", "service"])
    runs, times, names = (lines.column(c).to_numpy() for c in ("run", "ts", "service"))
    cases: list[Case] = []
    false: list[Told] = []
    beside = strict = 0
    hours = 0.0
    for run in data.runs:
        seen = Versions(settings)
        run_backtest(data, run, settings, 10_000, findings=seen)
        told = list(seen.told.values())
        rows = [row for row in truth(folder) if row["run"] == run]
        windows = [(row["start_ms"], row["end_ms"]) for row in rows]
        cases += [found(row, told) for row in rows]
        for t in told:
            inside = [row for row in rows if row["start_ms"] <= t.at_ms <= row["end_ms"]]
            if not inside:
                strict += 1
                if not any(
                    0 < row["start_ms"] - t.at_ms <= STANDING_MS and row["service"] == t.service
                    for row in rows
                ):
                    false.append(t)
            elif all(row["service"] != t.service for row in inside):
                beside += 1
        hours += quiet_hours(times[runs == run], len(set(names[runs == run])), windows)
    table = Table("fault", "service", "type", "delay s", "first alert")
    for case in cases:
        delay = "none" if case.delay_s is None else f"{case.delay_s:.0f}{' standing' * case.standing}"
        table.add_row(case.id, case.service, case.fault_type, delay, case.summary)
    if verbose:
        console.print(table)
        for t in false:
            console.print(f"false: {t.at_ms} {t.severity} {t.summary}", highlight=False, markup=False)
    code = [c for c in cases if c.only_logs]
    other = [c for c in cases if not c.only_logs]
    return {
        "set": folder.name,
        "only_logs_show": len(code),
        "found_in_60_s": _within(code),
        "of_these_standing": sum(c.standing and c.delay_s == 0 for c in code),
        "found_at_all": sum(c.delay_s is not None for c in code),
        "other_faults": len(other),
        "other_found_in_60_s": _within(other),
        "false": len(false),
        "strictly_false": strict,
        "service_hours": round(hours, 2),
        "false_per_service_hour": round(len(false) / hours, 3) if hours else None,
        "strictly_false_per_service_hour": round(strict / hours, 3) if hours else None,
        "other_services_inside_windows": beside,
        "cases": [asdict(c) for c in cases],
    }


def _within(cases: list[Case]) -> int:
    return sum(c.delay_s is not None and c.delay_s * 1000 <= WITHIN_MS for c in cases)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=home, help="folder of the data sets (or TOCSIN_DATA)")
    parser.add_argument("--set", default="nezha_tt", help="data set with logs.parquet and truth.json")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--verbose", action="store_true", help="every fault, every false alert")
    options = parser.parse_args()
    console = Console()
    folder = options.data / options.set
    if not (folder / "logs.parquet").exists() or not (folder / "truth.json").exists():
        console.print(f"{options.set}: skipped, {folder} holds no logs.parquet with truth.json")
        return
    figures = measure(folder, Settings(), console, options.verbose)
    for name, value in figures.items():
        if name != "cases":
            console.print(f"{name:<32}{value}", highlight=False)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
