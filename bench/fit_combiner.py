"""Find the combiner's constants (`detectors/weights.py`) on the labelled development data.

    python -m bench.fit_combiner [--write] [--draws 200] [--json]

The surprises of every sample come from the bank itself (`Bank.surprises`); only what `detectors.combine`
makes of them is searched, over a small fixed list of values a constant, by random draws. The aim is the
mean of NAB's standard and low-FP scores, averaged over five neighbouring thresholds so that no peak is
picked, among the settings whose delay-F1 on kpi18 is at least `KPI_FLOOR` at the same threshold. The
statistics themselves have equal weight: weights fitted to labels scored worse on what they had not seen.

Printed beside it, leave-one-category-out: for each NAB category the setting and threshold chosen
without it, scored on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from bench.common import print_json, surprises
from bench.labelled import Curve, kpi18, nab
from bench.nabscore import row_credits, scaled_sigmoid

F64 = npt.NDArray[np.float64]
GRID: dict[str, tuple[float, ...]] = {
    "MEMORY_SHARE": (0.3, 0.4, 0.5),
    "MEMORY_RATE": (0.1, 0.15, 0.2),
    "ALONE_LATE": (1.0, 1.5, 2.0),
    "ALONE_EARLY": (4.0, 5.0, 6.0),
    "ALONE_HALF": (20_000.0, 40_000.0),
    "REST_SAMPLES": (100, 150, 200),
    "AGAIN_BITS": (1.5, 2.0, 3.0),
    "ALARM_BITS": (0.0, 0.2, 0.3, 0.4),
    "ALARM_MEMORY": (2_000.0, 5_000.0),
}
THRESHOLDS = np.round(np.arange(4.4, 6.61, 0.1), 1)
NEIGHBOURS = 2
KPI_FLOOR = 0.80
DELAY = 7
ALONE_PLACES = np.array([0, 2, 4, 6, 7, 8, 9])
WEIGHTS = Path(__file__).resolve().parent.parent / "detectors" / "weights.py"


@numba.njit(cache=True)
def _memory(now: F64, rate: float) -> F64:
    out, memory = np.zeros(len(now)), 0.0
    for i in range(len(now)):
        memory += rate * (now[i] - memory)
        out[i] = memory
    return out


@numba.njit(cache=True)
def _spoken(bits: F64, fire: float, rest: float, again: float, alarm: float, memory: float) -> Any:
    out = np.zeros(len(bits), np.bool_)
    alarms, since, last = 0.0, 1e6, 0.0
    for i in range(len(bits)):
        alarms *= 1.0 - 1.0 / memory
        since += 1.0
        b = bits[i] - alarm * alarms
        if b >= fire and (since > rest or b > last + again):
            out[i] = True
            since, last = 0.0, b
            alarms += 1.0
    return out


def combine(bits: F64, setting: dict[str, float]) -> F64:
    """As `detectors.combine.combined`, for a series at a pace that is granted nothing."""
    together = np.sqrt(np.mean(bits[:, :7] ** 2, axis=1))
    alone = np.mean(bits[:, ALONE_PLACES] ** 4, axis=1) ** 0.25
    memory = _memory(together, setting["MEMORY_RATE"])
    share, half = setting["MEMORY_SHARE"], setting["ALONE_HALF"]
    n = np.arange(len(bits))
    late, early = setting["ALONE_LATE"], setting["ALONE_EARLY"]
    offset = late + (early - late) * half / (n + half)
    out: F64 = np.maximum((1.0 - share) * together + share * memory, alone - offset)
    return out


def nab_parts(curve: Curve, hit: npt.NDArray[np.bool_]) -> F64:
    """[credit of the windows, credit lost outside, windows] of one file."""
    credit, window = curve.credits
    top = scaled_sigmoid(-1.0)
    won = np.full(len(curve.windows), -1.0)
    lost = 0.0
    for i in np.flatnonzero(hit & (window >= -1)).tolist():
        if window[i] >= 0:
            won[window[i]] = max(won[window[i]], credit[i] / top)
        else:
            lost += credit[i]
    return np.array([won.sum(), lost, len(won)])


def nab_score(parts: F64, weight: float = 0.11) -> float:
    """NAB's scale from the sum of `nab_parts`."""
    return float(50.0 * (parts[0] + weight * parts[1] + parts[2]) / parts[2])


def aim(parts: F64) -> float:
    """What is made large: the mean of the standard and the low-FP score."""
    return 0.5 * (nab_score(parts) + nab_score(parts, 0.22))


def kpi_f1(curves: list[Curve], streams: list[F64], fire: float, setting: dict[str, float]) -> float:
    """Delay-F1 over all points of the test parts."""
    tp = fp = fn = 0
    for curve, bits in zip(curves, streams, strict=True):
        hit = _spoken(bits, fire, *_gate(setting)) & curve.test
        fp += int((hit & ~curve.label).sum())
        for start, stop in curve.segments:
            found = hit[start : min(stop, start + DELAY + 1)].any()
            tp, fn = (tp + stop - start, fn) if found else (tp, fn + stop - start)
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def _gate(setting: dict[str, float]) -> tuple[float, float, float, float]:
    return setting["REST_SAMPLES"], setting["AGAIN_BITS"], setting["ALARM_BITS"], setting["ALARM_MEMORY"]


def smooth(values: F64) -> F64:
    """Mean over neighbouring thresholds; -inf where there are not enough neighbours."""
    out = np.full(len(values), -np.inf)
    width = 2 * NEIGHBOURS + 1
    out[NEIGHBOURS:-NEIGHBOURS] = np.convolve(values, np.ones(width) / width, "valid")
    return out


def search(draws: int) -> dict[str, Any]:
    """All settings drawn, the best one, and leave-one-category-out."""
    files, kpis = nab(), kpi18()
    for curve in (*files, *kpis):
        curve.bits = surprises(curve.ts, curve.value)
    for curve in files:
        curve.credits = row_credits(curve.nab)
    categories = sorted({curve.group for curve in files})
    rng = np.random.default_rng(1)
    tried = []
    for _ in range(draws):
        setting = {name: float(rng.choice(values)) for name, values in GRID.items()}
        parts = np.zeros((len(THRESHOLDS), len(categories), 3))
        for curve in files:
            stream = combine(curve.bits, setting)
            for k, fire in enumerate(THRESHOLDS.tolist()):
                hit = _spoken(stream, fire, *_gate(setting))
                parts[k, categories.index(curve.group)] += nab_parts(curve, hit)
        streams = [combine(curve.bits, setting) for curve in kpis]
        kpi = [kpi_f1(kpis, streams, fire, setting) for fire in THRESHOLDS.tolist()]
        tried.append((setting, parts, np.array(kpi)))

    def best(drop: int | None) -> tuple[float, int, int]:
        """(aim, setting, threshold) chosen without category `drop`."""
        found = (-np.inf, 0, 0)
        for i, (_, parts, kpi) in enumerate(tried):
            kept = parts.sum(axis=1) if drop is None else np.delete(parts, drop, axis=1).sum(axis=1)
            value = np.where(kpi >= KPI_FLOOR, smooth(np.array([aim(p) for p in kept])), -np.inf)
            k = int(value.argmax())
            found = max(found, (float(value[k]), i, k))
        return found

    held_out = np.zeros(3)
    for c in range(len(categories)):
        _, i, k = best(c)
        held_out += tried[i][1][k, c]
    value, i, k = best(None)
    setting, parts, kpi = tried[i]
    total = parts[k].sum(axis=0)
    return {
        "setting": {**setting, "FIRE_BITS": float(THRESHOLDS[k])},
        "aim, smoothed": value,
        "standard": nab_score(total),
        "low_fp": nab_score(total, 0.22),
        "kpi18 delay-F1": float(kpi[k]),
        "left out: standard": nab_score(held_out),
        "left out: low_fp": nab_score(held_out, 0.22),
    }


def written(setting: dict[str, float]) -> str:
    """The module of weights."""
    lines = [f"{name} = {value:_}" for name, value in sorted(setting.items())]
    head = (
        '"""The combiner\'s constants, one set for all series.'
        ' Written by `python -m bench.fit_combiner --write`."""'
    )
    return "\n".join((head, "", *lines, ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="replace detectors/weights.py")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = search(args.draws)
    if args.write:
        WEIGHTS.write_text(written(figures["setting"]), encoding="utf-8")
    if args.json:
        print_json(figures)
        return
    for name, value in figures.items():
        print(f"{name:20} {value if isinstance(value, dict) else round(value, 3)}")


if __name__ == "__main__":
    main()
