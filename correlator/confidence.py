"""From a hint's share of all suspicion to how often such a hint is right.

The share of the squared scores says too little, or too much, of the first hint: its odds, share over the
rest, are multiplied by one fixed number. That keeps 0, 1 and every order, and what is next to nothing stays
so: with thin evidence most is left to "unknown". The hints behind it share what it leaves in the proportions
they had, and none gets more than the one before it, so that their order stays and the sum is at most 1.

`bench/fit_confidence.py` fits the numbers, and says how right they are on data that was left out.
"""

from __future__ import annotations

from collections.abc import Sequence

DIAGNOSE = 7.5
"""of `correlator.diagnose`"""
HINTS = 1.0
"""of `correlator.hints`"""


def calibrated(shares: Sequence[float], odds: float) -> list[float]:
    """Confidences of hints with these shares, best first; their order is the same."""
    if not shares:
        return []
    first = shares[0]
    best = scaled(first, odds)
    rest = (1.0 - best) / (1.0 - first) if first < 1.0 else 0.0
    return [round(best, 4), *(round(min(best, share * rest), 4) for share in shares[1:])]


def scaled(share: float, odds: float) -> float:
    """`share` with its odds multiplied by `odds`."""
    return odds * share / (1.0 + (odds - 1.0) * share)
