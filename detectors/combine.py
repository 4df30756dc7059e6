"""From ten surprises to one score that speaks once and rests.

The statistics of `detectors.evidence`, each as bits of surprise (`detectors.rank`), give two readings:

    together  A = sqrt(mean of squares over TOGETHER),  M += MEMORY_RATE * (A - M)
              (1 - MEMORY_SHARE) * A + MEMORY_SHARE * M
    alone     (mean of fourth powers over ALONE) ** (1/4)  -  offset(n)
              offset falls from ALONE_EARLY to ALONE_LATE bits, halfway at ALONE_HALF samples

Several views that agree, for more than an instant, say more than one that shouts; a single one is believed
once its tail has been learned from many samples rather than extrapolated from few. The larger of both
counts. A series that reports every hour is allowed more bits than one that reports every five minutes,
`PACE_BITS` a factor of two: what matters to a person is alerts a day, not alerts a sample.

A surprise of FIRE_BITS (raised by ALARM_BITS for each time this series has spoken lately: flap control)
is spoken: its score is 0.9 or more. Then the series rests for REST_SAMPLES or half a day, whichever is
shorter; until then only a surprise larger by AGAIN_BITS is spoken, anything else scores at most half.

    score = b^4 / (b^4 + c),  c such that FIRE_BITS gives 0.9

All constants are in `detectors/weights.py`, found by `bench/fit_combiner.py`, the same for every series.
State: 16 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import weights
from detectors.compiled import part
from detectors.rank import bits_of

SHARE = weights.MEMORY_SHARE
RATE = weights.MEMORY_RATE
LATE, EARLY, HALF = weights.ALONE_LATE, weights.ALONE_EARLY, weights.ALONE_HALF
FIRE_BITS = weights.FIRE_BITS
AGAIN_BITS = weights.AGAIN_BITS
ALARM_BITS = weights.ALARM_BITS
FORGET = 1.0 - 1.0 / weights.ALARM_MEMORY
REST_SAMPLES = float(weights.REST_SAMPLES)
REST_MS = 43_200_000.0
PACE_BITS, PACE_MS, PACE_MOST = 0.6, 300_000.0, 2.5
SPOKEN = 0.9
CURVE = FIRE_BITS**4 * (1.0 - SPOKEN) / SPOKEN

VALUE, MEAN, DAILY, SWING, SHAPE, SLOW_SHAPE, DAY_SIZE, OFF_FAST, OFF_SLOW, MOVE = range(10)
"""the statistics, by their place among the surprises"""
TOGETHER, ALONE = 7, 7
"""how many take part in each reading"""

FIELDS = [
    ("memory", "<f4"),
    ("spoken", "<f4"),  # bits of the last time it spoke
    ("alarms", "<f4"),  # times it has spoken, fading
    ("resting", "<f4"),  # samples since it spoke
]

Bits = npt.NDArray[np.float64]


@part
def together(b: Bits) -> float:
    """Root mean square of the seven views."""
    total = 0.0
    for j in range(TOGETHER):
        total += b[j] * b[j]
    return float(np.sqrt(total / TOGETHER))


@part
def alone(b: Bits) -> float:
    """Close to the largest of the seven that may speak for themselves."""
    total = 0.0
    for j in (VALUE, DAILY, SHAPE, DAY_SIZE, OFF_FAST, OFF_SLOW, MOVE):
        square = b[j] * b[j]
        total += square * square
    return float(np.sqrt(np.sqrt(total / ALONE)))


@part
def pace(interval_ms: float) -> float:
    """Bits granted to a series that reports seldom."""
    if interval_ms <= PACE_MS:
        return 0.0
    return min(PACE_MOST, -PACE_BITS * bits_of(interval_ms / PACE_MS))


@part
def combined(r: Any, b: Bits, n: float, interval_ms: float) -> float:
    """Bits of surprise of this sample, from what each view says; moves the memory."""
    now = together(b)
    memory = float(r["memory"]) + RATE * (now - float(r["memory"]))
    r["memory"] = memory
    offset = LATE + (EARLY - LATE) * HALF / (n + HALF)
    bits = max((1.0 - SHARE) * now + SHARE * memory, alone(b) - offset)
    return bits + pace(interval_ms) * min(1.0, 0.5 * bits) if bits > 0.0 else 0.0


@part
def speak(r: Any, bits: float, interval_ms: float) -> float:
    """The score: at least 0.9 when it speaks, at most half of that while it rests."""
    alarms = FORGET * float(r["alarms"])
    r["resting"] = min(float(r["resting"]) + 1.0, 1e6)
    bits -= ALARM_BITS * alarms
    if bits <= 0.0:
        r["alarms"] = alarms
        return 0.0
    fourth = bits * bits * bits * bits
    score = fourth / (fourth + CURVE)
    if bits >= FIRE_BITS:
        rest = REST_SAMPLES
        if interval_ms > 0.0:
            rest = min(rest, REST_MS / interval_ms)
        if float(r["resting"]) > rest or bits > float(r["spoken"]) + AGAIN_BITS:
            r["resting"] = 0.0
            r["spoken"] = bits
            alarms += 1.0
        else:
            score *= 0.5
    r["alarms"] = alarms
    return score
