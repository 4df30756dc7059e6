"""F1 of the bank on the KPIs of the 2018 AIOps competition (kpi18), test parts.

    python -m bench.kpi [--json]

Each KPI is one stream: its train part is history (labels unused), its test part is scored. The
threshold is `detect.fire_score` as shipped, not tuned on these files. All points of all KPIs are pooled.

- `plain`: every point by itself;
- `segment-adjusted`: the usual adjustment of the literature: one hit anywhere in a labelled segment
  counts the whole segment as found. It flatters every detector; published figures use it;
- `delay 7`: the competition's rule: the hit must come within 7 points of the segment's start.

`score`: rows whose score reaches the threshold; `alerts`: rows at which the gate's state is firing.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import data, print_json, scored
from config.settings import Detect
from detectors.gate import FIRING

DELAY = 7
ANCHORS = {"SPOT": 0.181, "DSPOT": 0.488, "SR": 0.654, "DONUT": 0.729, "SR-CNN": 0.771, "FluxEV": 0.790}
"""segment-adjusted F1, secondary source"""

Flags = npt.NDArray[np.bool_]


def segments(label: Flags) -> list[tuple[int, int]]:
    """[start, stop) of each run of true labels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], label.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def tally(hit: Flags, label: Flags) -> dict[str, tuple[int, int, int]]:
    """(true positives, false positives, false negatives) by each rule."""
    false = int((hit & ~label).sum())
    out = {"plain": (int((hit & label).sum()), false, int((~hit & label).sum()))}
    for name, reach in (("segment-adjusted", None), (f"delay {DELAY}", DELAY + 1)):
        found = missed = 0
        for start, stop in segments(label):
            last = stop if reach is None else min(stop, start + reach)
            if hit[start:last].any():
                found += stop - start
            else:
                missed += stop - start
        out[name] = (found, false, missed)
    return out


def f1(tp: int, fp: int, fn: int) -> dict[str, float]:
    """F1 with its parts."""
    return {
        "f1": 2 * tp / (2 * tp + fp + fn) if tp else 0.0,
        "precision": tp / (tp + fp) if tp else 0.0,
        "recall": tp / (tp + fn) if tp else 0.0,
    }


def measure(thresholds: tuple[float, ...]) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.read_table(data("kpi18") / "series.parquet").to_pandas()
    sums: dict[str, dict[str, npt.NDArray[np.int64]]] = {}
    for _, rows in table.groupby("kpi", sort=True):
        result = scored(rows.ts.to_numpy(np.int64), rows.value.to_numpy(np.float64))
        test = (rows.part == "test").to_numpy()
        label = rows.label.to_numpy().astype(np.bool_)[test]
        readings = {f"score >= {t:g}": np.nan_to_num(result.score)[test] >= t for t in thresholds}
        readings["alerts"] = result.state[test] == FIRING
        for reading, hit in readings.items():
            for rule, counts in tally(hit, label).items():
                by_rule = sums.setdefault(reading, {})
                by_rule[rule] = by_rule.get(rule, np.zeros(3, np.int64)) + np.array(counts)
    return {
        "readings": {
            reading: {rule: f1(*counts.tolist()) for rule, counts in rules.items()}
            for reading, rules in sums.items()
        },
        "anchors": ANCHORS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sweep", action="store_true", help="also other thresholds, to see the slope")
    args = parser.parse_args()
    shipped = Detect().fire_score
    figures = measure((0.8, 0.85, shipped, 0.95) if args.sweep else (shipped,))
    if args.json:
        print_json(figures)
        return
    for reading, rules in figures["readings"].items():
        cells = "  ".join(
            f"{rule} F1 {r['f1']:.3f} (P {r['precision']:.2f} R {r['recall']:.2f})"
            for rule, r in rules.items()
        )
        print(f"{reading:16} {cells}")
    print("published, segment-adjusted:", ANCHORS)


if __name__ == "__main__":
    main()
