"""What every peer does with a sample: an exponentially weighted mean and variance and a threshold in sigmas.

The least a detector can do; ours keeps levels, seasons, shapes and gates beside it.
"""

from __future__ import annotations

ALPHA = 0.01
SIGMAS = 6.0
WARMUP = 20


def step(
    state: tuple[float, float, int] | list[float] | None, value: float
) -> tuple[tuple[float, float, int], bool]:
    """(new state, whether the value is out of bounds) from (mean, variance, samples)."""
    if state is None:
        return (value, 1.0, 1), False
    mean, variance, seen = state
    error = value - mean
    breach = seen >= WARMUP and error * error > SIGMAS * SIGMAS * variance
    return (mean + ALPHA * error, variance + ALPHA * (error * error - variance), int(seen) + 1), breach
