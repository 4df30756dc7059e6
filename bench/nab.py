"""Score of the bank on the Numenta Anomaly Benchmark, with its own scoring.

    python -m bench.nab [--json]

Four readings of the same pass over the data:

- `score`: the score column, threshold optimised over all files as NAB does (this is how published
  figures are made);
- `score, fixed`: the same column at `detect.fire_score` as shipped;
- `onsets`: only a score higher than all of the last 100 rows (decayed 1 % a row) counts: a detector
  that says a thing once and rests;
- `alerts`: the rows at which the gate fires, as shipped; no threshold is chosen.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import data, print_json, scored
from bench.nabscore import PROFILES, Labelled, score_rows
from config.settings import Detect
from detectors.gate import FIRING

ANCHORS = {
    "ARTime": 75.4,
    "CAD OSE": 72.9,
    "Numenta HTM": 70.2,
    "KNN-CAD": 60.5,
    "RCF": 49.4,
    "Windowed Gaussian": 38.4,
}
"""standard profile on these 38 series, re-scored from the published result files"""


def load() -> tuple[list[Labelled], list[npt.NDArray[np.float64]]]:
    """Files with their windows, and their values."""
    import pyarrow.parquet as pq

    folder = data("nab")
    windows = json.loads((folder / "windows.json").read_text())
    table = pq.read_table(folder / "series.parquet").to_pandas()
    files, values = [], []
    for name, rows in table.groupby("file", sort=True):
        limits = tuple((int(a), int(b)) for a, b in windows[name]["windows"])
        files.append(Labelled(str(name), rows.ts.to_numpy(np.int64), limits))
        values.append(rows.value.to_numpy(np.float64))
    return files, values


def onsets(score: npt.NDArray[np.float64], decay: float = 0.99) -> npt.NDArray[np.float64]:
    """The score where it exceeds its own decayed recent maximum, else 0."""
    out, top = np.zeros(len(score)), 0.0
    for i, value in enumerate(np.nan_to_num(score).tolist()):
        top *= decay
        if value > top:
            out[i] = top = value
    return out


def fired(state: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """1 at the rows where an alert fires."""
    firing = state == FIRING
    return (firing & ~np.concatenate([[False], firing[:-1]])).astype(np.float64)


def measure() -> dict[str, Any]:
    files, values = load()
    results = [scored(file.ts, value) for file, value in zip(files, values, strict=True)]
    readings = {
        "score": score_rows(files, [r.score for r in results]),
        "score, fixed": score_rows(files, [r.score for r in results], threshold=Detect().fire_score),
        "onsets": score_rows(files, [onsets(r.score) for r in results]),
        "alerts": score_rows(files, [fired(r.state) for r in results], threshold=1.0),
    }
    perfect = []
    for file in files:
        rows = np.zeros(len(file.ts))
        for start, _ in file.windows:
            rows[np.flatnonzero(file.ts == start)[0]] = 1.0
        perfect.append(rows)
    checks = {
        "perfect": score_rows(files, perfect)["standard"]["score"],
        "null": score_rows(files, [np.zeros(len(f.ts)) for f in files], threshold=1.0)["standard"]["score"],
    }
    return {"readings": readings, "checks": checks, "anchors": ANCHORS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure()
    if args.json:
        print_json(figures)
        return
    print(f"{'NAB, 38 series':20}" + "".join(f"{name:>20}" for name in PROFILES))
    for name, profiles in figures["readings"].items():
        cells = "".join(f"{p['score']:12.1f} @{p['threshold']:.3f} " for p in profiles.values())
        print(f"{name:20}{cells}")
    print("scorer check:", {k: round(v, 6) for k, v in figures["checks"].items()})
    print("published, standard:", ANCHORS)


if __name__ == "__main__":
    main()
