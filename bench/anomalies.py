"""Quality on every labelled set: our figures beside plain baselines and the published anchors.

    python -m bench.anomalies [--quick] [--json]

NAB, with its own scoring, all three profiles: the score column with the threshold optimised over all
files, as published figures are made; the same column at the one shipped threshold; the rows at which
the gate fires; and leave-one-category-out for the combiner's fitted constants (`bench.fit_combiner`;
left out with --quick).

KPIs (test parts, pooled) and cloud-service series (all rows, pooled), everything at the one shipped
threshold:

- delay F1: points; a labelled segment is found, whole, by a hit within 7 points of its start;
- event F1: a segment with any hit in it is found; a run of hits outside all segments is false;
- plain F1: points, each by itself;
- PA-F1: points after the usual adjustment (one hit counts its segment). It flatters every detector and
  stands here because published figures use it;
- false alerts a series and day: runs of hits outside all segments.

The baselines, in the same loop: a plain EWMA z-score (weight 0.01) and a plain seasonal z-score (mean of
the half hour of the day), each with the whole-number threshold that is best for it on these very
labels: more than a baseline could know beforehand.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import print_json, scored
from bench.labelled import Curve, Flags, kpi18, mscloud, nab, runs
from bench.nabscore import PROFILES, score_rows
from config.settings import Detect
from detectors.gate import FIRING

F64 = npt.NDArray[np.float64]
DELAY = 7
WARMUP = 20
"""rows before the baselines may say anything, as for the bank"""
NAB_ANCHORS = {
    "ARTime": 75.4,
    "CAD OSE": 72.9,
    "Numenta HTM": 70.2,
    "KNN-CAD": 60.5,
    "RCF": 49.4,
    "Windowed Gaussian": 38.4,
}
"""standard profile on these 38 series, re-scored from the published result files"""
KPI_ANCHORS = {"SPOT": 0.181, "DSPOT": 0.488, "SR": 0.654, "DONUT": 0.729, "SR-CNN": 0.771, "FluxEV": 0.790}
"""PA-F1 on kpi18, secondary source"""
BASELINE_THRESHOLDS = tuple(range(2, 16))


def fired(state: npt.NDArray[np.uint8]) -> F64:
    """1 at the rows where an alert fires."""
    firing = state == FIRING
    return (firing & ~np.concatenate([[False], firing[:-1]])).astype(np.float64)


def ewma_z(curve: Curve, weight: float = 0.01) -> F64:
    """|value - mean| / deviation, both exponentially weighted, before they learn the value."""
    out = np.zeros(len(curve.value))
    mean, variance = float(curve.value[0]), 0.0
    for i, value in enumerate(curve.value.tolist()):
        error = value - mean
        if i >= WARMUP and variance > 0:
            out[i] = abs(error) / variance**0.5
        mean += weight * error
        variance += weight * (error * error - variance)
    return out


def seasonal_z(curve: Curve) -> F64:
    """The same against the mean of this half hour on the days before."""
    out = np.zeros(len(curve.value))
    means: dict[int, float] = {}
    variance = 0.0
    bins = (curve.ts % 86_400_000 // 1_800_000).tolist()
    for i, value in enumerate(curve.value.tolist()):
        if bins[i] in means:
            error = value - means[bins[i]]
            if i >= WARMUP and variance > 0:
                out[i] = abs(error) / variance**0.5
            variance += 0.02 * (error * error - variance)
            means[bins[i]] += 0.2 * error
        else:
            means[bins[i]] = value
    return out


def f1(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def figures(curves: list[Curve], hits: list[Flags]) -> dict[str, float]:
    """All measures of one detector over pooled series."""
    plain, adjusted, delay, event = (np.zeros(3, np.int64) for _ in range(4))
    false_runs, days = 0, 0.0
    for curve, flags in zip(curves, hits, strict=True):
        hit, label = flags & curve.test, curve.label & curve.test
        false = int((hit & ~label).sum())
        plain += (int((hit & label).sum()), false, int((label & ~hit).sum()))
        adjusted[1] += false
        delay[1] += false
        for start, stop in curve.segments:
            for rule, last in ((adjusted, stop), (delay, min(stop, start + DELAY + 1))):
                rule[0 if hit[start:last].any() else 2] += stop - start
            event[0 if hit[start:stop].any() else 2] += 1
        outside = sum(not label[a:b].any() for a, b in runs(hit))
        event[1] += outside
        false_runs += outside
        days += curve.days
    return {
        "delay F1": f1(*delay.tolist()),
        "event F1": f1(*event.tolist()),
        "plain F1": f1(*plain.tolist()),
        "PA-F1": f1(*adjusted.tolist()),
        "false alerts/series-day": false_runs / days,
    }


def at_best(curves: list[Curve], streams: list[F64], measure: str) -> dict[str, float]:
    """A baseline at the threshold that is best for it by `measure`."""
    tried = {t: figures(curves, [z >= t for z in streams]) for t in BASELINE_THRESHOLDS}
    best = max(tried, key=lambda t: tried[t][measure])
    return {**tried[best], "threshold": float(best)}


def measure_set(curves: list[Curve], measure: str) -> dict[str, dict[str, float]]:
    """Detector -> figures; the baselines are chosen by `measure`."""
    results = [scored(curve.ts, curve.value) for curve in curves]
    fire = Detect().fire_score
    return {
        "score, shipped threshold": figures(curves, [np.nan_to_num(r.score) >= fire for r in results]),
        "gate's alerts": figures(curves, [r.state == FIRING for r in results]),
        "plain EWMA": at_best(curves, [ewma_z(curve) for curve in curves], measure),
        "plain seasonal": at_best(curves, [seasonal_z(curve) for curve in curves], measure),
    }


def measure_nab() -> dict[str, Any]:
    """Reading -> profile -> {score, threshold}, and the scorer's own check."""
    files = nab()
    labelled = [curve.nab for curve in files]
    results = [scored(curve.ts, curve.value) for curve in files]
    score = [r.score for r in results]
    perfect = []
    for curve in files:
        rows = np.zeros(len(curve.ts))
        for start, _ in curve.windows:
            rows[np.flatnonzero(curve.ts == start)[0]] = 1.0
        perfect.append(rows)
    return {
        "score, threshold optimised": score_rows(labelled, score),
        "score, shipped threshold": score_rows(labelled, score, threshold=Detect().fire_score),
        "gate's alerts": score_rows(labelled, [fired(r.state) for r in results], threshold=1.0),
        "scorer check, 100": score_rows(labelled, perfect),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without leave-one-category-out")
    parser.add_argument("--draws", type=int, default=200, help="settings tried by leave-one-category-out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    out: dict[str, Any] = {"nab": measure_nab(), "nab anchors, standard": NAB_ANCHORS}
    out["kpi18"] = measure_set(kpi18(), "delay F1")
    out["kpi18 anchors, PA-F1"] = KPI_ANCHORS
    out["mscloud"] = measure_set(mscloud(), "event F1")
    if not args.quick:
        from bench.fit_combiner import search

        out["combiner"] = search(args.draws)
    if args.json:
        print_json(out)
        return
    print(f"{'NAB, 38 series':28}" + "".join(f"{name:>16}" for name in PROFILES))
    for name, profiles in out["nab"].items():
        cells = "".join(f"{p['score']:9.1f} @{p['threshold']:.3f}" for p in profiles.values())
        print(f"{name:28}{cells}")
    print("published, standard:", NAB_ANCHORS)
    for name in ("kpi18", "mscloud"):
        print()
        for detector, row in out[name].items():
            print(f"{name} {detector:26}" + "  ".join(f"{k} {v:.3f}" for k, v in row.items()))
    print("published on kpi18, PA-F1:", KPI_ANCHORS)
    for key, value in out.get("combiner", {}).items():
        print(f"combiner: {key} {value}")


if __name__ == "__main__":
    main()
