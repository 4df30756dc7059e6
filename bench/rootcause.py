"""Root-cause accuracy of `tocsin diagnose` on public fault data, beside a z-score floor.

    python -m bench.rootcause [--data FOLDER] [--json OUT]

The data (see docs/correlation.md) is not part of this repository; a set that is absent is skipped.
Truth is read here and only here: the ranking gets the case, never the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import reliability
from cli.cases import CaseFile, Cutter
from cli.dataset import load
from correlator.confidence import DIAGNOSE
from correlator.diagnose import Case, diagnose

SETS = ("nezha_ob", "nezha_tt", "petshop", "rootcausebench")
TOP = 5


@dataclass(frozen=True, slots=True)
class Result:
    """AC@k: share of cases with the true service among the first k; Avg@5: mean of AC@1 .. AC@5."""

    data: str
    part: str
    method: str
    cases: int
    ac1: float
    ac3: float
    ac5: float
    avg5: float
    seconds: float


def cases_of(folder: Path) -> list[tuple[CaseFile, str, str]]:
    """(case, true service, part) of a data set."""
    found = []
    for row in json.loads((folder / "truth.json").read_text()):
        start = row["start_ms"] if row.get("start_ms") is not None else row.get("alert_ms")
        case = CaseFile(
            id=row["id"],
            run=row["run"],
            start_ms=start,
            end_ms=row.get("end_ms"),
            baseline_run=row.get("baseline_run") or "",
            symptom=row.get("target_service") or "",
        )
        found.append((case, row["service"], _part(row)))
    return found


def _part(row: dict[str, Any]) -> str:
    """PetShop's published figures are per traffic and measure; other sets are one part."""
    if "target_metric" not in row:
        return ""
    return f"{row['run'].partition('_')[0]} {row['target_metric']}"


def z_score(case: Case) -> list[str]:
    """The floor: services by their largest |mean(window) - mean(normal)| / std(normal)."""
    worst: dict[str, float] = {}
    for trace in case.traces:
        service = trace.series.service
        worst.setdefault(service, 0.0)
        if len(trace.normal) >= 2 and len(trace.values):
            spread = float(trace.normal.std()) or 1e-9
            far = abs(float(trace.values.mean()) - float(trace.normal.mean())) / spread
            worst[service] = max(worst[service], far)
    return sorted(worst, key=lambda s: (-worst[s], s))


def ours(case: Case) -> list[str]:
    return [hint.service for hint in diagnose(case)]


def said_of(name: str, folder: Path) -> list[reliability.Case]:
    """What is said first of each case, as a share of all suspicion."""
    cutter = Cutter(load(folder))
    said = []
    for case, truth, _ in cases_of(folder):
        hints = diagnose(cutter.cut(case))
        if hints:
            share = reliability.share_of(hints[0].confidence, DIAGNOSE)
            said.append(reliability.Case(name, share, hints[0].service == truth))
    return said


def settings_home() -> Path:
    """Folder of the data sets."""
    return Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def sets_in(home: Path, names: Iterable[str]) -> list[tuple[str, Path]]:
    """Those that are there."""
    return [(name, home / name) for name in names if (home / name / "truth.json").exists()]


METHODS = {"tocsin": ours, "z-score floor": z_score}


def measure(name: str, folder: Path) -> Iterable[Result]:
    """Every method on one data set: as a whole, and by part where it has parts."""
    cutter = Cutter(load(folder))
    cut = [(cutter.cut(case), truth, part) for case, truth, part in cases_of(folder)]
    for method, rank in METHODS.items():
        begun = time.perf_counter()
        places = []
        for case, truth, part in cut:
            order = rank(case)
            places.append((order.index(truth) if truth in order else len(order) + TOP, part))
        seconds = time.perf_counter() - begun
        parts = sorted({part for _, part in places} - {""})
        for part in ("", *parts):
            of_part = np.array([place for place, p in places if part in ("", p)])
            ac = [float((of_part < k).mean()) for k in range(1, TOP + 1)]
            share = seconds * len(of_part) / len(places)
            yield Result(name, part, method, len(of_part), ac[0], ac[2], ac[4], float(np.mean(ac)), share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=settings_home(), help="folder of the data sets (or TOCSIN_DATA)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    console = Console()
    table = Table("data", "part", "method", "cases", "AC@1", "AC@3", "AC@5", "Avg@5", "s")
    results = []
    for name in SETS:
        folder = options.data / name
        if not (folder / "truth.json").exists():
            console.print(f"{name}: skipped, {folder} holds no truth.json", highlight=False)
            continue
        for result in measure(name, folder):
            results.append(result)
            figures = (f"{x:.3f}" for x in (result.ac1, result.ac3, result.ac5, result.avg5))
            table.add_row(
                name, result.part, result.method, str(result.cases), *figures, f"{result.seconds:.1f}"
            )
    console.print(table)
    said = [case for name, folder in sets_in(options.data, SETS) for case in said_of(name, folder)]
    if said:
        for trust in reliability.tables(said, DIAGNOSE, "first hint"):
            console.print(trust)
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
