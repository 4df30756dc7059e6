"""The published scoring of the Numenta Anomaly Benchmark (NAB v1.1), for any score per row.

Only the earliest hit in a label window counts, and the earlier in the window the better (a scaled
sigmoid); every hit outside a window costs, less so just after a window. The first rows of a file
(probation) are not scored. One threshold for all files, the one that scores best per profile; the
sum is put on a scale where a detector that never fires is 0 and one that fires exactly at the
start of each window is 100.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PROFILES = {
    "standard": {"tp": 1.0, "fn": 1.0, "fp": 0.11},
    "low_fp": {"tp": 1.0, "fn": 1.0, "fp": 0.22},
    "low_fn": {"tp": 1.0, "fn": 2.0, "fp": 0.11},
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One file: what NAB needs to know of it."""

    name: str
    ts: npt.NDArray[np.int64]
    windows: tuple[tuple[int, int], ...]
    """first and last time stamp of each label window"""


def scaled_sigmoid(position: float) -> float:
    """1 at the far left of a window (-1), 0 at its right edge (0), towards -1 after it."""
    if position > 3.0:
        return -1.0
    return float(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def row_credits(file: Labelled) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Per row the unweighted credit, and the window it lies in: -1 outside one, -2 in probation."""
    n = len(file.ts)
    credit = np.full(n, -1.0)
    window = np.full(n, -1, dtype=np.int64)
    right, width = None, 0
    waiting = list(enumerate(file.windows))
    current: tuple[int, int, int] | None = None
    for i, at in enumerate(file.ts):
        if waiting and current is None and at == waiting[0][1][0]:
            number, (start, end) = waiting.pop(0)
            first = int(np.flatnonzero(file.ts == start)[0])
            last = int(np.flatnonzero(file.ts == end)[0])
            current = (number, last, last - first + 1)
        if current is not None:
            number, last, span = current
            credit[i] = scaled_sigmoid(-(last - i + 1) / span)
            window[i] = number
            if at == file.windows[number][1]:
                right, width, current = i, span, None
        elif right is not None:
            credit[i] = scaled_sigmoid(abs(right - i) / (width - 1))
    window[: min(int(0.15 * n), 750)] = -2
    return credit, window


def score_rows(
    files: list[Labelled], scores: list[npt.NDArray[np.float64]], threshold: float | None = None
) -> dict[str, dict[str, float]]:
    """Profile -> {score, threshold}. `threshold=None` takes each profile's best one, as NAB does."""
    credits, windows, values = [], [], []
    total = 0
    for file, score in zip(files, scores, strict=True):
        credit, window = row_credits(file)
        scored = window >= -1
        credits.append(credit[scored])
        windows.append(np.where(window[scored] >= 0, window[scored] + total, -1))
        values.append(np.nan_to_num(score[scored], nan=-1.0))
        total += len(file.windows)
    credit_, window_, value_ = np.concatenate(credits), np.concatenate(windows), np.concatenate(values)
    order = np.argsort(-value_, kind="stable")
    out = {}
    for name, weight in PROFILES.items():
        best, chosen = _sweep(credit_[order], window_[order], value_[order], weight, total, threshold)
        null, perfect = -weight["fn"] * total, weight["tp"] * total
        out[name] = {"score": 100.0 * (best - null) / (perfect - null), "threshold": chosen}
    return out


def _sweep(
    credit: npt.NDArray[np.float64],
    window: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    weight: dict[str, float],
    total: int,
    threshold: float | None,
) -> tuple[float, float]:
    """Rows by falling score: the raw sum after each distinct score, and the best of them."""
    top = scaled_sigmoid(-1.0)
    won = np.full(total, -weight["fn"])
    raw = -weight["fn"] * total
    best, chosen = raw, 1.1
    for i in range(len(value)):
        if threshold is not None and value[i] < threshold:
            break
        if window[i] >= 0:
            gain = credit[i] * weight["tp"] / top
            if gain > won[window[i]]:
                raw += gain - won[window[i]]
                won[window[i]] = gain
        else:
            raw += credit[i] * weight["fp"]
        last_of_value = i + 1 == len(value) or value[i + 1] != value[i]
        if threshold is None and last_of_value and raw > best:
            best, chosen = raw, float(value[i])
    return (raw, threshold) if threshold is not None else (best, chosen)
