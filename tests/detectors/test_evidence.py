"""The contract every statistic of the bank keeps, and what each of them is there to find."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import Detect
from detectors import combine
from detectors.bank import REASONS, Bank
from detectors.evidence import LISTEN, NEWS
from detectors.novelty import AGE
from detectors.state import BYTES_PER_SERIES
from tests.detectors.bankdata import T0, noise, scores, series

ONE = series("", "")
EACH = pytest.mark.parametrize("j", range(len(REASONS)), ids=[word.replace(" ", "-") for word in REASONS])


def surprises(values: np.ndarray, ts: np.ndarray | None = None, bank: Bank | None = None) -> np.ndarray:
    """Bits of surprise, a row a value, a column a statistic."""
    if bank is None:
        bank = Bank(Detect())
    bank.describe(ONE)
    n = len(values)
    at = T0 + 60_000 * np.arange(n, dtype=np.int64) if ts is None else ts
    return bank.surprises(np.full(n, ONE.fp, np.uint64), at, np.asarray(values, np.float64))[1]


def wandering(n: int = 2_500) -> np.ndarray:
    """A daily rhythm with noise, a jump, a flat stretch and spikes."""
    rng = np.random.default_rng(8)
    values = 50 + 20 * np.sin(np.arange(n) / 229) + rng.normal(0, 2, n)
    values[700:760] += 60
    values[1_200:1_260] = 50
    values[[400, 900, 1_500]] *= 4
    return values


WANDERING = wandering()
WHOLE = surprises(WANDERING)


@EACH
def test_silent_while_it_listens(j: int) -> None:
    """No surprise in the first samples, whatever they are."""
    wild = np.random.default_rng(0).standard_cauchy(LISTEN) * 1e9
    assert (surprises(wild)[:, j] == 0).all()


@EACH
def test_a_constant_series_is_no_surprise(j: int) -> None:
    """Nothing to say about what never moves."""
    assert (surprises(np.full(600, 7.25))[:, j] == 0).all()


@EACH
def test_a_prefix_is_scored_as_the_whole(j: int) -> None:
    """No surprise depends on a later sample."""
    np.testing.assert_array_equal(surprises(WANDERING[:911])[:, j], WHOLE[:911, j])


@EACH
def test_state_survives_a_restore_in_mid_stream(j: int) -> None:
    """Snapshot, restore, go on: the same bits."""
    bank = Bank(Detect())
    surprises(WANDERING[:905], bank=bank)
    blob = bank.snapshot()
    later = Bank(Detect())
    later.restore(blob)
    ts = T0 + 60_000 * np.arange(905, len(WANDERING), dtype=np.int64)
    np.testing.assert_array_equal(surprises(WANDERING[905:], ts, later)[:, j], WHOLE[905:, j])


@EACH
def test_the_page_size_does_not_matter(j: int) -> None:
    """One row a call gives what one call gives."""
    bank, parts = Bank(Detect()), []
    for k in range(300):
        at = np.array([T0 + 60_000 * k], np.int64)
        parts.append(surprises(WANDERING[k : k + 1], at, bank))
    np.testing.assert_array_equal(np.concatenate(parts)[:, j], WHOLE[:300, j])


@EACH
def test_the_unit_does_not_matter(j: int) -> None:
    """Values in another unit (here 1/1024 of it) are as surprising."""
    np.testing.assert_array_equal(surprises(WANDERING * 1024)[:, j], WHOLE[:, j])


@EACH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_passed_over(j: int, bad: float) -> None:
    """The others are scored as if they were not there."""
    values = np.insert(WANDERING[:500], [100, 333], bad)
    ts = T0 + 60_000 * np.insert(np.arange(500, dtype=np.int64), [100, 333], [100, 333])
    ts[[100, 334]] -= 30_000
    bits = np.delete(surprises(values, ts), [100, 334], axis=0)
    np.testing.assert_array_equal(bits[:, j], WHOLE[:500, j])


@EACH
def test_repeated_and_backward_times_change_nothing(j: int) -> None:
    """A row at or before the last seen time is not looked at."""
    at = np.arange(500, dtype=np.int64)
    ts = T0 + 60_000 * np.insert(at, [200, 300], [199, 50])
    values = np.insert(WANDERING[:500], [200, 300], 1e6)
    bits = np.delete(surprises(values, ts), [200, 301], axis=0)
    np.testing.assert_array_equal(bits[:, j], WHOLE[:500, j])


@EACH
@pytest.mark.parametrize("odd", [1e300, -1e300, 1e-300])
def test_absurd_values_are_survived(j: int, odd: float) -> None:
    """Finite bits, and the series is seen again as before within a day of minutes."""
    values = np.concatenate([WANDERING, WANDERING])
    values[300:303] = odd
    bits = surprises(values)[:, j]
    assert np.isfinite(bits).all()
    assert (bits >= 0).all()
    assert np.median(bits[-1_000:]) < 4


@EACH
def test_a_change_of_unit_in_mid_stream_is_survived(j: int) -> None:
    """Bytes become kilobytes: finite, and soon the usual again."""
    values = np.concatenate([WANDERING * 1000, WANDERING, WANDERING])
    bits = surprises(values)[:, j]
    assert np.isfinite(bits).all()
    assert np.median(bits[-2_000:]) < 4


@EACH
def test_a_gap_of_a_day_is_survived(j: int) -> None:
    """What comes after a pause is scored, not refused."""
    ts = T0 + 60_000 * np.arange(len(WANDERING), dtype=np.int64)
    ts[1_000:] += 86_400_000
    bits = surprises(WANDERING, ts)[:, j]
    assert np.isfinite(bits).all()
    assert bits[1_500] > 0


def bits_at(values: np.ndarray, at: int, j: int) -> float:
    """The surprise at a place, of one statistic."""
    return float(surprises(values)[at, j])


def test_a_value_between_two_modes_is_new() -> None:
    """Within the range and near the mean, and never seen."""
    rng = np.random.default_rng(2)
    values = np.where(rng.random(3_000) < 0.5, 10.0, 90.0) + rng.normal(0, 1, 3_000)
    values[2_500] = 50
    assert bits_at(values, 2_500, combine.VALUE) > 8


def test_a_sequence_in_the_wrong_order_is_a_new_shape() -> None:
    """Every value is usual, the move between them is not."""
    values = np.tile([0.0, 10.0, 20.0, 30.0, 40.0], 600) + noise(3_000, level=0, spread=0.2)
    values[2_500:2_503] = [0.0, 40.0, 0.0]
    assert bits_at(values, 2_502, combine.SHAPE) > 8
    assert bits_at(values, 2_502, combine.VALUE) < 6


def test_a_missing_swing_is_found() -> None:
    """A rhythm that stops is new although its values are not."""
    values = 50 + 40 * np.sin(np.arange(3_000) * 1.3) + noise(3_000, level=0, spread=0.5)
    values[2_500:2_520] = 50
    assert surprises(values)[2_500:2_520, combine.SWING].max() > 8


def test_a_usual_value_at_the_wrong_time_of_day_is_found() -> None:
    """Noon's value at midnight."""
    n = 1_440 * 6
    values = 100 + 60 * np.sin(2 * np.pi * np.arange(n) / 1_440) + noise(n, level=0, spread=3)
    at = 1_440 * 5 + 1_080
    values[at] = 150
    assert bits_at(values, at, combine.DAY_SIZE) > 8
    assert bits_at(values, at, combine.VALUE) < 6


def test_a_jump_within_the_range_is_found() -> None:
    """A slow random walk that leaps."""
    values = np.cumsum(np.random.default_rng(3).normal(0, 1, 3_000))
    values[2_500:] += 25
    assert bits_at(values, 2_500, combine.MOVE) > 8


def test_what_has_not_happened_for_a_week_is_news_again() -> None:
    """The same spike twice within days is less news than after the memory of it has faded."""
    n = AGE + 3_000
    soon, late = noise(n), noise(n)
    soon[[n - 3_000, n - 10]] = 400
    late[[1_000, n - 10]] = 400
    assert bits_at(soon, n - 10, combine.VALUE) < bits_at(late, n - 10, combine.VALUE) - 2


def test_it_speaks_once_and_rests() -> None:
    """One score of 0.9 or more for an incident, not one a sample."""
    values = noise(3_000)
    values[2_000:2_060] += 80
    assert (scores(values).score[1_990:2_100] >= 0.9).sum() == 1
    assert scores(values).score[2_000] >= 0.9


def test_something_much_larger_is_said_during_the_rest() -> None:
    """A rest is not deafness."""
    values = noise(3_000)
    values[2_000:2_060] += 25
    values[2_030] += 1e5
    spoken = np.flatnonzero(scores(values).score[1_990:2_100] >= 0.9) + 1_990
    assert spoken[-1] == 2_030


def test_a_rare_reporter_is_granted_more() -> None:
    """The same values an hour apart score higher than five minutes apart: it is about alerts a day."""
    values = noise(1_500)
    values[1_000] += 20
    often, seldom = (scores(values, every=ms).score[1_000] for ms in (300_000, 3_600_000))
    assert seldom > often


def test_the_reason_is_the_largest_surprise() -> None:
    """Inside the band of the level it is said in words what was new."""
    values = 50 + 40 * np.sin(np.arange(3_000) * 1.3) + noise(3_000, level=0, spread=0.5)
    values[2_500:2_510] = 115
    out = scores(values)
    at = 2_490 + int((out.score[2_490:2_510] >= 0.9).argmax())
    assert at >= 2_500
    assert values[at] < out.upper[at]
    assert out.reason[at] == NEWS + surprises(values)[at].argmax()


def test_a_series_takes_less_than_four_kilobytes() -> None:
    """All state in memory, without the description."""
    assert BYTES_PER_SERIES <= 4_096
