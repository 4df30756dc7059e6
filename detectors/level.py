"""Robust level and spread of what a baseline leaves over.

For the residual r = value - baseline (the baseline is 0 for the plain level, a seasonal profile for
the others):

    e       = r - level,    se = 1.2533 * spread * (1 + 4 / n)     (1.2533: mean |e| -> sigma)
    clipped = max(-3 se, min(3 se, e))                             (Huber's psi)
    level  += clipped / (min(n, MEMORY) + 1)
    spread += (|clipped| - spread) / (min(n, MEMORY) + 1)

that is a running mean until MEMORY samples, then an exponential one, with every sample's pull
bounded. While the gate sees an anomaly, the weight is `DAMP` of that: an incident does not become
normal. A candidate level and spread learn at full weight during the run; when the run has lasted
`ACCEPT_MS` and `ACCEPT_SAMPLES`, the candidate is accepted as the new normal (a real level shift).

The spread has a floor, from the level (`RELATIVE_FLOOR`) and from the smallest step the series has
ever made (its resolution), so that constant or quantised series do not scream.

When not to use it: alone on a series with strong trend or season, where the spread swallows both.
State: 3 levels of 24 bytes (plain, day, week), candidate and resolution 40 bytes.
"""

from __future__ import annotations

from typing import Any

from detectors.compiled import part

MEMORY = 1000.0
CLIP = 3.0
DAMP = 0.1
SIGMA = 1.2533141373155003
RELATIVE_FLOOR = 0.001
TINY = 1e-9
MIN_CHANGES = 2.0
"""the smallest change is believed to be the resolution after this many"""
ACCEPT_SAMPLES = 60
ACCEPT_MS = 3_600_000
CANDIDATE_MEMORY = 60.0
PLAIN, DAY, WEEK = 0, 1, 2

FIELDS = [
    ("count", "<f8"),  # samples learned
    ("level", "<f8", (3,)),
    ("spread", "<f8", (3,)),  # mean absolute residual
    ("weight", "<f8", (3,)),  # samples learned by each
    ("step", "<f8"),  # smallest change ever seen, 0 before the first
    ("changes", "<f8"),
    ("last_value", "<f8"),
    ("previous", "<f8"),  # value of the last sample that was not anomalous
    ("candidate", "<f8"),
    ("candidate_spread", "<f8"),
    ("candidate_n", "<f8"),
]


@part
def floor_of(s: Any) -> float:
    """Smallest sigma that is believed, in units of the value."""
    floor: float = max(RELATIVE_FLOOR * abs(s["level"][PLAIN]), TINY)
    if s["changes"] >= MIN_CHANGES:
        floor = max(floor, 0.5 * s["step"])
    return floor


@part
def sigma(s: Any, which: int) -> float:
    """The series' own normal spread around level `which`, in units of the value."""
    n = s["weight"][which]
    if n < 1.0:
        return floor_of(s)
    spread: float = SIGMA * s["spread"][which] * (1.0 + 4.0 / n)
    return max(spread, floor_of(s))


@part
def learn_level(s: Any, which: int, residual: float, weight: float) -> None:
    """Move level and spread `which` towards a residual; `weight` 1 normally, DAMP in an anomaly."""
    n = s["weight"][which]
    if n < 1.0:
        s["level"][which] = residual
        s["spread"][which] = 0.0
        s["weight"][which] = 1.0
        return
    error = residual - s["level"][which]
    if n >= 8.0:
        bound = CLIP * sigma(s, which)
        error = max(-bound, min(bound, error))
    rate = weight / (min(n, MEMORY) + 1.0)
    s["level"][which] += rate * error
    s["spread"][which] += rate * (abs(error) - s["spread"][which])
    s["weight"][which] = n + 1.0


@part
def learn_step(s: Any, value: float) -> None:
    """Remember the smallest change: the resolution of the values."""
    change = abs(value - s["last_value"])
    if change > 0.0:
        s["changes"] += 1.0
        if s["step"] == 0.0 or change < s["step"]:
            s["step"] = change
    s["last_value"] = value


@part
def learn_candidate(s: Any, value: float) -> None:
    """During an anomalous run: what the new normal would be."""
    n = s["candidate_n"]
    if n < 1.0:
        s["candidate"] = value
        s["candidate_spread"] = 0.0
    else:
        error = value - s["candidate"]
        rate = 1.0 / (min(n, CANDIDATE_MEMORY) + 1.0)
        s["candidate"] += rate * error
        s["candidate_spread"] += rate * (abs(error) - s["candidate_spread"])
    s["candidate_n"] = n + 1.0


@part
def accept_candidate(s: Any) -> None:
    """The run has lasted: its level is the new normal, for the seasonal levels shifted alike."""
    shift = s["candidate"] - s["level"][PLAIN]
    s["level"][PLAIN] = s["candidate"]
    s["spread"][PLAIN] = s["candidate_spread"]
    s["weight"][PLAIN] = min(s["weight"][PLAIN], CANDIDATE_MEMORY)
    for which in (DAY, WEEK):
        if s["weight"][which] >= 1.0:
            s["level"][which] += shift
            s["weight"][which] = min(s["weight"][which], CANDIDATE_MEMORY)
