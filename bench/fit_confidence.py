"""Fit the numbers of `correlator/confidence.py`, and say how right they are on data sets left out.

    python -m bench.fit_confidence [--write] [--data FOLDER]

Two ways to a hint, each with a number of its own: `tocsin diagnose` over the cases of `bench.rootcause`,
and the hints of incidents from `tocsin backtest` with default settings. Of the latter, a case is the first
incident with a hint that starts in a fault, or within `GRACE_MS` around it; incidents that match no fault say
nothing of who caused one. One number a way is all that is fitted: the sets are small. Where it does worse on
sets left out than no number at all, by Brier score, 1 is kept.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.reliability import Case, figures, fit, left_out, share_of, tables
from bench.rootcause import SETS, said_of, sets_in, settings_home
from cli.backtest import run_backtest
from cli.dataset import load
from config.settings import Settings
from correlator import confidence
from correlator.incident import Incident

ONLINE = ("nezha_ob", "nezha_tt", "rootcausebench")
GRACE_MS = 120_000
PAGE = 10_000
FILE = Path(confidence.__file__)


def online(name: str, folder: Path) -> list[Case]:
    """What the first incident of each fault says first."""
    data, settings = load(folder), Settings()
    faults: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads((folder / "truth.json").read_text()):
        faults.setdefault(row["run"], []).append(row)
    cases = []
    for run in data.runs:
        found = run_backtest(data, run, settings, PAGE).incidents.values()
        incidents = sorted(found, key=lambda i: (i.started_at, i.id))
        for fault in faults.get(run, []):
            said = next((i for i in incidents if i.hints and _within(i, fault)), None)
            if said is not None:
                first = said.hints[0]
                share = share_of(first.confidence, confidence.HINTS)
                cases.append(Case(name, share, first.service == fault["service"]))
    return cases


def _within(incident: Incident, fault: dict[str, Any]) -> bool:
    start = int(fault["start_ms"] if fault.get("start_ms") is not None else fault["alert_ms"])
    end = int(fault.get("end_ms") or start)
    return incident.state != "merged" and start - GRACE_MS <= incident.started_at <= end + GRACE_MS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=settings_home(), help="folder of the data sets")
    parser.add_argument(
        "--write", action="store_true", help="write the numbers into correlator/confidence.py"
    )
    options = parser.parse_args()
    console = Console()
    given = [case for name, folder in sets_in(options.data, SETS) for case in said_of(name, folder)]
    backtested = [case for name, folder in sets_in(options.data, ONLINE) for case in online(name, folder)]
    for constant, cases in (("DIAGNOSE", given), ("HINTS", backtested)):
        if not cases:
            continue
        fitted = float(f"{fit(cases):.2g}")
        shares = np.array([case.share for case in cases])
        better = figures(left_out(cases), cases).brier < figures(shares, cases).brier
        odds = fitted if better else 1.0
        console.print(f"{constant} = {odds} (fitted {fitted}) from {len(cases)} cases", highlight=False)
        for table in tables(cases, fitted, constant):
            console.print(table)
        if options.write:
            text = re.sub(rf"^{constant} = .*$", f"{constant} = {odds}", FILE.read_text(), flags=re.MULTILINE)
            FILE.write_text(text)


if __name__ == "__main__":
    main()
