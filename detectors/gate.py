"""The gate: from scores to the life of an alert, pending -> firing -> resolved.

A run begins with a sample that reaches `fire_score` by the tails the gate keeps for itself
(`detectors.tail`) or by its novelty, or whose combined score was spoken (`detectors.combine`). Since
that speaks once and rests, such a run goes on while a sample is at least half as far out as the first, and
not clear; until it fires the series learns on. The deviations at which the score would
reach `fire_score` and `clear_score` are kept as they were at that sample: the tails go on learning, the
run is judged by its onset. `hold_samples` anomalous samples that are large enough to matter (minimum
effect, from the series' name and unit) fire; one that is not anomalous drops a pending run. So a slow
climb is pending while it is small, and fires with its true onset once it matters. A firing run
resolves after `clear_samples` clear ones in a row (flap control: after the second alert, times the
number raised since, one of them forgotten an hour; so what fires again and again becomes one long
alert), or when its level has been accepted as the new
normal (`detectors.level`).

Severity comes from size, duration, and whether the direction is the bad one for this metric:

    info      the good direction (latency fell)
    warning   anything else that fires
    error     ten spreads and twice (or half) the expected value, or a warning that lasts 10 minutes
    critical  bad direction for sure, 30 spreads and five times (or a tenth of) the expected value,
              for a minute and ten samples

How long, in which directions and up to which severity may differ by series: `detectors.control`.

State: 173 bytes.
"""

from __future__ import annotations

from typing import Any

from detectors.compiled import part
from detectors.control import NOT_CRITICAL, threshold_severity
from detectors.level import ACCEPT_MS, ACCEPT_SAMPLES

WARMING, OK, PENDING, FIRING = 0, 1, 2, 3
STATES = ("warming", "ok", "pending", "firing")

NOTHING, FIRE, RAISE, RESOLVE, ACCEPT, DROP = 0, 1, 2, 3, 4, 5
"""what a sample made of the run; ACCEPT and DROP: it has lasted, its level is the new normal"""

BY_LEVEL, BY_DAY, BY_WEEK, BY_SHAPE, BY_RULE = 0, 1, 2, 3, 4
"""what gave the score"""

INFO, WARNING, ERROR, CRITICAL = 0, 1, 2, 3

UP, DOWN, NOVEL, GATE_UP, GATE_DOWN = 0, 1, 2, 3, 4
TAILS = 5
"""rows of the tails"""

FLAPS, FLAP_MS = 9.0, 3_600_000.0

FIELDS = [
    ("state", "u1"),  # OK, PENDING or FIRING
    ("spoken_of", "u1"),  # the run began with a spoken score
    ("severity", "u1"),
    ("version", "u1"),
    ("reason", "u1"),  # at the worst sample
    ("sense", "i1"),  # 1: up is bad, -1: down is bad, 0: unknown
    ("hold", "<i4"),
    ("clear", "<i4"),
    ("run_n", "<i4"),
    ("run_start", "<i8"),
    ("fired_at", "<i8"),
    ("fire_limit", "<f8", (TAILS,)),
    ("clear_limit", "<f8", (TAILS,)),
    ("min_abs", "<f8"),
    ("min_rel", "<f8"),
    ("flaps", "<f4"),  # alerts raised lately, one forgotten an hour
    ("worst_value", "<f8"),
    ("worst_expected", "<f8"),
    ("worst_lower", "<f8"),
    ("worst_upper", "<f8"),
    ("worst_score", "<f8"),
    ("worst_strength", "<f8"),
]


@part
def is_material(s: Any, value: float, expected: float, change: float) -> bool:
    """Whether the deviation reaches the minimum effect."""
    effect = max(abs(value - expected), change)
    return bool(effect >= s["min_abs"] and effect >= s["min_rel"] * abs(expected))


@part
def severity_of(s: Any, ts: int) -> int:
    """Severity of the run so far, from its worst sample and its duration."""
    strength = s["worst_strength"]
    up = strength > 0.0
    if s["reason"] == BY_RULE:
        return threshold_severity(s, ts)
    if s["sense"] != 0 and (s["sense"] > 0) != up:
        return INFO
    off = abs(s["worst_value"] - s["worst_expected"])
    usual = abs(s["worst_expected"])
    lasted = ts - s["run_start"]
    size = abs(strength)
    twice = off >= usual if up else off >= 0.5 * usual
    fivefold = off >= 4.0 * usual if up else off >= 0.9 * usual
    if s["sense"] != 0 and size >= 30.0 and fivefold and s["run_n"] >= 10 and lasted >= 60_000:
        return CRITICAL
    if (size >= 10.0 and twice) or (lasted >= 600_000 and s["run_n"] >= 10):
        return ERROR
    return WARNING


@part
def begin_run(s: Any, ts: int) -> None:
    """The first anomalous sample."""
    s["state"] = PENDING
    s["run_start"] = ts
    s["run_n"] = 0
    s["hold"] = 0
    s["clear"] = 0
    s["version"] = 0
    s["severity"] = 0
    s["worst_strength"] = 0.0
    s["worst_score"] = 0.0
    s["candidate_n"] = 0.0
    s["critical_since"] = NOT_CRITICAL


@part
def lower_limit(s: Any, row: int, enough: float) -> None:
    """Let `enough` keep a pending run going, unless it is clear."""
    s["fire_limit"][row] = min(s["fire_limit"][row], max(s["clear_limit"][row], enough))


@part
def remember_worst(
    s: Any,
    value: float,
    expected: float,
    lower: float,
    upper: float,
    score: float,
    strength: float,
    reason: int,
) -> None:
    """Keep the sample that is farthest out; beyond a threshold the value itself says how far."""
    farther = abs(strength) > abs(s["worst_strength"])
    if reason == BY_RULE:
        farther = value > s["worst_value"] if strength > 0.0 else value < s["worst_value"]
    if s["run_n"] == 0 or farther:
        s["worst_value"] = value
        s["worst_expected"] = expected
        s["worst_lower"] = lower
        s["worst_upper"] = upper
        s["worst_strength"] = strength
        s["reason"] = reason
    s["worst_score"] = max(s["worst_score"], score)


@part
def step_run(s: Any, ts: int, hot: bool, matters: bool, clear: bool) -> int:
    """Move a run on by one sample; what it made of it, NOTHING to DROP."""
    s["run_n"] += 1
    lasting = s["run_n"] >= ACCEPT_SAMPLES and ts - s["run_start"] >= ACCEPT_MS and s["reason"] != BY_RULE
    if s["state"] == PENDING:
        if not hot:
            s["state"] = OK
            return NOTHING
        if matters:
            s["hold"] += 1
        if s["hold"] < s["hold_samples"] or ts - s["run_start"] < s["hold_ms"]:
            if lasting:
                s["state"] = OK
                return DROP
            return NOTHING
        s["state"] = FIRING
        if s["flaps"] > 0.0:
            s["flaps"] = max(0.0, float(s["flaps"]) - (ts - s["fired_at"]) / FLAP_MS)
        s["flaps"] = min(FLAPS, float(s["flaps"]) + 1.0)
        s["fired_at"] = ts
        s["severity"] = min(severity_of(s, ts), s["cap"])
        s["version"] = 1
        return FIRE
    s["clear"] = s["clear"] + 1 if clear else 0
    if s["clear"] == 1:
        s["clear_since"] = ts
    enough = s["clear_samples"] * int(max(1.0, float(s["flaps"]) - 1.0))
    if s["clear"] >= enough and ts - s["clear_since"] >= s["clear_ms"]:
        s["state"] = OK
        s["version"] += 1
        return RESOLVE
    if lasting:
        s["state"] = OK
        s["version"] += 1
        return ACCEPT
    severity = min(severity_of(s, ts), s["cap"])
    if severity > s["severity"]:
        s["severity"] = severity
        s["version"] += 1
        return RAISE
    return NOTHING
