"""One pass over rows in order: score, decide, then learn, each row by itself.

Nothing here depends on which rows share a call, so any cutting into calls gives equal bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.cadence import LAPSE_MS, NEVER, bridged, learn_cadence
from detectors.combine import SPOKEN, combined, speak
from detectors.compiled import kernel, part, source_digest
from detectors.control import band_of, is_judged, level_of, note_level, strength_beyond
from detectors.evidence import BOOKS, NEWS, VIEWS, learn_evidence, settle_grid, top_reason, weigh
from detectors.gate import (
    ACCEPT,
    BY_LEVEL,
    BY_RULE,
    BY_SHAPE,
    DOWN,
    DROP,
    FIRING,
    GATE_DOWN,
    GATE_UP,
    NOTHING,
    NOVEL,
    OK,
    PENDING,
    RESOLVE,
    UP,
    WARMING,
    begin_run,
    is_material,
    lower_limit,
    remember_worst,
    step_run,
)
from detectors.index import find
from detectors.level import (
    DAMP,
    DAY,
    PLAIN,
    WEEK,
    accept_candidate,
    floor_of,
    learn_candidate,
    learn_level,
    learn_step,
    sigma,
)
from detectors.rank import STATISTICS
from detectors.seasonal import baseline, bin_of, choose, learn_profile, plain_baseline
from detectors.shapes import LISTEN, WARMUP, learn_codes, nearest
from detectors.tail import CLUSTER, learn_tail, limit, surprise

BOUND = 1e18
"""larger values are taken as this large"""
MAX_STRENGTH = 1000.0
Q_MIN, SCALE_MIN = 1.5, 0.25
"""least quantile and mean excess of the level's tails, in spreads"""
NEAR = 0.1
"""share of the distance at which a run began that is no longer new"""
UNKNOWN, REPEATED, NONFINITE = 0, 1, 2
"""places in the counts"""

F64 = npt.NDArray[np.float64]


@part
def learn_novelty(s: Any, distance: float) -> None:
    """Calibrate the novelty's tail; the first LISTEN distances set its prior."""
    n = s["novel_n"]
    tail = s["tails"][NOVEL]
    floor = floor_of(s)
    if n < LISTEN:
        s["novel_mean"] += (distance - s["novel_mean"]) / (n + 1.0)
        tail[0] = max(tail[0], distance, floor)
        tail[1] = max(0.5 * (tail[0] - s["novel_mean"]), 0.25 * floor)
    else:
        s["novel_mean"] += (distance - s["novel_mean"]) * max(0.001, 1.0 / (n + 1.0))
        mean = s["novel_mean"]
        learn_tail(tail, distance, n, max(mean, floor), max(0.05 * mean, 0.25 * floor), 1.0)
    s["novel_n"] = n + 1.0


@part
def learn_series(
    s: Any,
    r: Any,
    codes: npt.NDArray[np.float32],
    profile: npt.NDArray[np.int16],
    visits: npt.NDArray[np.uint8],
    ts: int,
    value: float,
    where: int,
    square: float,
    u: float,
    side: int,
    warm: bool,
    hot: bool,
) -> None:
    """Everything a series learns from one sample, after it has been scored."""
    calm = s["state"] == OK or (s["state"] == PENDING and s["spoken_of"] != 0)
    weight = 1.0 if calm else DAMP
    if warm:
        for row in (UP, DOWN):
            seen = u if row == side else 0.0
            learn_tail(s["tails"][row], seen, s["count"], Q_MIN, SCALE_MIN, 1.0)
            learn_tail(s["tails"][GATE_UP + row], seen, s["count"], Q_MIN, SCALE_MIN, CLUSTER)
    if where >= 0:
        learn_novelty(s, np.sqrt(square))
    for which in (DAY, WEEK):
        if visits[bin_of(which, ts)] > 0:
            learn_level(s, which, value - baseline(s, r["unit"], profile, visits, which, ts), weight)
    learn_level(s, PLAIN, value, weight)
    learn_codes(s, codes, value - s["anchor"], s["previous"] - s["anchor"], where, square)
    if calm:
        learn_profile(s, r, profile, visits, ts, value)
    else:
        learn_candidate(s, value)
    learn_step(s, value)
    if not hot:
        s["previous"] = value
    s["count"] += 1.0


def _build(version: int) -> Any:
    @kernel
    def run(
        start: int,
        fps: npt.NDArray[np.uint64],
        ts: npt.NDArray[np.int64],
        values: F64,
        keys: npt.NDArray[np.uint64],
        places: npt.NDArray[np.int32],
        slots: Any,
        due: npt.NDArray[np.int64],
        codes: npt.NDArray[np.float32],
        evidence: Any,
        profile: npt.NDArray[np.int16],
        visits: npt.NDArray[np.uint8],
        config: Any,
        counts: npt.NDArray[np.int64],
        events: Any,
        keep: bool,
        score_out: F64,
        expected_out: F64,
        lower_out: F64,
        upper_out: F64,
        state_out: npt.NDArray[np.uint8],
        reason_out: npt.NDArray[np.uint8],
        bits_out: F64,
    ) -> tuple[int, int, int]:
        """Rows from `start` until the end or until `events` is full: (next row, events, `version`)."""
        n_events = 0
        sizes, bits = np.zeros(STATISTICS), np.zeros(STATISTICS)
        views, found, near = np.zeros(VIEWS, np.int64), np.zeros(BOOKS, np.int64), np.zeros(BOOKS, np.int64)
        warmup = config["warmup"]
        for i in range(start, len(fps)):
            if n_events == len(events):
                return i, n_events, version
            slot = find(keys, places, fps[i])
            if slot < 0:
                counts[UNKNOWN] += 1
                continue
            s = slots[slot]
            at = ts[i]
            fire = s["fire"]
            warm = s["count"] >= warmup
            if keep:
                state_out[i] = s["state"] if warm else WARMING
            if not np.isfinite(values[i]):
                counts[NONFINITE] += 1
                continue
            if at <= s["last_ts"]:
                counts[REPEATED] += 1
                continue
            value = max(-BOUND, min(BOUND, values[i]))
            s["touched"] = at
            if s["last_ts"] == NEVER:
                s["anchor"] = value
                s["previous"] = value
                s["last_value"] = value
            if s["state"] == PENDING and at - s["last_ts"] > bridged(s, config["absent_min_ms"]):
                s["state"] = OK  # what was hot before the gap says nothing of now
            due[slot] = learn_cadence(s, at, warmup, config["absent_intervals"], config["absent_min_ms"])

            r = evidence[slot]
            away = value - s["anchor"]
            settle_grid(r, away, profile[:, slot])

            # score
            which = choose(s, visits[:, slot], at)
            expected = s["level"][which]
            if s["count"] < 1.0:
                expected = value
            elif which != PLAIN:
                expected += baseline(s, r["unit"], profile[:, slot], visits[:, slot], which, at)
            spread = sigma(s, which)
            z = (value - expected) / spread
            side = UP if z > 0.0 else DOWN
            u = abs(z)
            tails = s["tails"]
            score = surprise(u, tails[side, 0], tails[side, 1]) if warm else 0.0
            reason = which
            strength = max(-MAX_STRENGTH, min(MAX_STRENGTH, z))
            where, square = nearest(s, codes[slot], value - s["anchor"], s["previous"] - s["anchor"])
            distance = np.sqrt(square) if where >= 0 else 0.0
            change = 0.0
            novel = warm and s["novel_n"] >= WARMUP
            if novel:
                odd = surprise(distance, tails[NOVEL, 0], tails[NOVEL, 1])
                if odd > score:
                    score = odd
                    reason = BY_SHAPE
                    change = abs(value - s["previous"])
                    size = min(MAX_STRENGTH, max(u, 2.5 * distance / tails[NOVEL, 0]))
                    strength = size if value > expected else -size
            judged = is_judged(s, value > expected)
            if not judged:
                score = 0.0
            residual = 0.0
            if visits[bin_of(DAY, at), slot] > 0:
                residual = value - plain_baseline(s, r["unit"], profile[:, slot], visits[:, slot], at)
            weigh(r, away, residual, views, found, near, sizes, bits)
            news = combined(r, bits, s["count"], s["interval"])
            said = speak(r, news if judged else 0.0, s["interval"]) if warm else 0.0
            spoken = said >= max(SPOKEN, fire)
            level = level_of(s, value)
            ruled = level >= 0
            if ruled:
                score = said = 1.0 if level > 0 else 0.0
                reason = BY_RULE
                if level > 0:
                    beyond = strength_beyond(s, value, z, spread)
                    strength = max(-MAX_STRENGTH, min(MAX_STRENGTH, beyond))
            lower = expected - spread * limit(fire, tails[GATE_DOWN, 0], tails[GATE_DOWN, 1])
            upper = expected + spread * limit(fire, tails[GATE_UP, 0], tails[GATE_UP, 1])
            if value < 0:
                s["signed"] = 1
            if not s["signed"]:
                lower = max(lower, 0.0)
            lower, upper = band_of(s, ruled, lower, upper)

            # decide
            outcome = NOTHING
            # Its thresholds are gone since a restart: what they raised ends.
            stale = s["state"] != OK and s["reason"] == BY_RULE and not ruled
            if s["state"] == OK:
                for row in (NOVEL, GATE_UP, GATE_DOWN):
                    s["fire_limit"][row] = limit(fire, tails[row, 0], tails[row, 1])
                    s["clear_limit"][row] = limit(config["clear_score"], tails[row, 0], tails[row, 1])
                # A move is soon no longer new; its quantile is clear enough.
                s["clear_limit"][NOVEL] = tails[NOVEL, 0]
            if ruled:
                hot, clear = level > 0, level == 0
            elif not judged or stale:
                hot, clear = False, True
            else:
                hot = warm and u >= s["fire_limit"][GATE_UP + side]
                clear = u < s["clear_limit"][GATE_UP + side]
                if novel:
                    hot = hot or distance >= s["fire_limit"][NOVEL]
                    clear = clear and distance < s["clear_limit"][NOVEL]
                hot = hot or spoken
            if s["state"] == OK and hot:
                begin_run(s, at)
                # Of what had never moved the usual distance is nothing; a tenth of the way is near enough.
                s["clear_limit"][NOVEL] = max(s["clear_limit"][NOVEL], NEAR * distance)
                s["spoken_of"] = spoken
                if spoken:  # it goes on while at least half as far out, and not clear
                    lower_limit(s, GATE_UP + side, 0.5 * u)
                    lower_limit(s, NOVEL, 0.5 * distance)
            if s["state"] != OK:
                note_level(s, level, at)
                if level > 0 or not (ruled or stale):
                    remember_worst(s, value, expected, lower, upper, score, strength, reason)
                material = ruled or is_material(s, value, expected, change)
                outcome = step_run(s, at, hot, material, clear)
            if s["sparse"] != 0 and s["state"] == FIRING:
                due[slot] = at + int(max(LAPSE_MS, bridged(s, config["absent_min_ms"])))
            if outcome != NOTHING and outcome != DROP:
                event = events[n_events]
                n_events += 1
                event["slot"] = slot
                event["kind"] = outcome
                event["reason"] = s["reason"]
                event["severity"] = s["severity"]
                event["version"] = s["version"]
                event["started_at"] = s["run_start"]
                event["fired_at"] = s["fired_at"]
                event["ts"] = at
                event["over_at"] = s["clear_since"] if outcome == RESOLVE else at
                event["value"] = s["worst_value"]
                event["expected"] = s["worst_expected"]
                event["lower"] = s["worst_lower"]
                event["upper"] = s["worst_upper"]
                event["score"] = s["worst_score"]
                event["strength"] = s["worst_strength"]
            if keep:
                score_out[i] = said
                if len(bits_out):
                    bits_out[i] = bits
                expected_out[i] = expected
                lower_out[i] = lower
                upper_out[i] = upper
                news_only = said >= SPOKEN and not ruled and lower <= value <= upper
                reason_out[i] = NEWS + top_reason(bits) if news_only else reason
                state_out[i] = s["state"] if warm or ruled else WARMING

            # learn
            if outcome in (ACCEPT, DROP):
                accept_candidate(s)
            learn_evidence(r, away, views, found, near, sizes)
            learn_series(
                s,
                r,
                codes[slot],
                profile[:, slot],
                visits[:, slot],
                at,
                value,
                where,
                square,
                u,
                side,
                warm,
                hot,
            )
        return len(fps), n_events, version

    return run


run = _build(source_digest())

__all__ = ["BY_LEVEL", "NONFINITE", "REPEATED", "UNKNOWN", "run"]
