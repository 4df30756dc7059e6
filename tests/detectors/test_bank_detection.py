"""What the detectors find, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import Detect
from detectors.bank import STATES, Bank
from detectors.level import ACCEPT_MS
from tests.detectors.bankdata import T0, feed, firing, noise, scores, series

DAY = 1_440


def daily(days: int, seed: int = 5) -> np.ndarray:
    """Minute samples with a strong daily rhythm."""
    t = np.arange(days * DAY)
    rng = np.random.default_rng(seed)
    return 100 + 60 * np.sin(2 * np.pi * t / DAY) + rng.normal(0, 3, len(t))


def test_warm_up_is_silent_and_explicit() -> None:
    """The first `warmup_samples` have score 0 and state warming, whatever they are."""
    values = np.random.default_rng(0).standard_cauchy(20) * 1e6
    out = scores(values)
    assert (out.score == 0).all()
    assert {STATES[i] for i in out.state} == {"warming"}


def test_a_step_fires_within_the_hold_time() -> None:
    """A jump of ten spreads right after warm-up fires at its second sample."""
    values = noise(60)
    values[40:] += 80
    alerts = firing(feed(Bank(Detect()), series(), values))
    assert [(a.started_at, a.detected_at) for a in alerts] == [(T0 + 40 * 60_000, T0 + 41 * 60_000)]


def test_a_drop_to_zero_fires() -> None:
    """Deviations downward count as much."""
    values = noise(200)
    values[150:] = 0
    alerts = firing(feed(Bank(Detect()), series(), values))
    assert len(alerts) == 1
    assert alerts[0].strength < -5


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 1e12, 1e-12])
def test_a_constant_series_is_quiet(value: float) -> None:
    """No deviation, no score above 0."""
    out = scores(np.full(500, value))
    assert out.score.max() == 0
    assert "firing" not in {STATES[i] for i in out.state}


def test_a_quantised_series_is_quiet() -> None:
    """Flipping by one unit of resolution is no anomaly."""
    values = 50 + (np.random.default_rng(4).random(2_000) < 0.1)
    assert firing(feed(Bank(Detect()), series(), values)) == []


@pytest.mark.parametrize("value", [1e18, 1e30, 1e300, -1e308])
def test_huge_values_do_not_break_it(value: float) -> None:
    """A value beyond all reason gives finite scores and is forgotten again."""
    values = noise(3_000)
    values[100:105] = value
    values[2_900:2_905] = 1_000
    out = scores(values)
    assert np.isfinite(out.score).all()
    assert (out.score <= 1).all()
    assert (out.score >= 0).all()
    assert STATES[out.state[2_902]] == "firing"


def test_an_incident_does_not_become_normal_within_minutes() -> None:
    """The alert stays up for as long as the deviation does, here 50 minutes."""
    values = noise(400)
    values[300:350] += 100
    out = scores(values)
    assert {STATES[i] for i in out.state[302:350]} == {"firing"}


def test_a_level_shift_is_accepted_after_the_stated_time() -> None:
    """An hour (and 60 samples) later the new level is normal and the alert says so."""
    values = noise(1_000)
    values[300:] += 100
    alerts = feed(Bank(Detect()), series(), values)
    assert [a.state for a in alerts if a.version != 2 or a.state == "resolved"][-1] == "resolved"
    last = alerts[-1]
    assert last.resolved_at is not None
    assert 0 <= last.resolved_at - last.started_at - ACCEPT_MS <= 60_000
    assert "accepted as its new normal" in last.summary
    assert len(firing(alerts)) == 1


def test_a_short_spike_does_not_fire() -> None:
    """One sample is below `hold_samples`."""
    values = noise(300)
    values[200] += 100
    assert firing(feed(Bank(Detect()), series(), values)) == []


def test_a_planted_daily_season_is_found() -> None:
    """After two weeks the expected value follows the day, and the band is far narrower than the range."""
    values = daily(14)
    out = scores(values)
    last = slice(-DAY, None)
    clean = 100 + 60 * np.sin(2 * np.pi * np.arange(DAY) / DAY)
    assert np.abs(out.expected[last] - clean).max() < 8
    assert np.median(out.upper[last] - out.lower[last]) < 60


def test_a_value_at_the_wrong_time_of_day_fires() -> None:
    """What is usual at noon is an anomaly at midnight, once the season is known."""
    values = daily(14)
    at = 13 * DAY + 3 * DAY // 4
    values[at : at + 30] = 150
    bank = Bank(Detect())
    alerts = firing(feed(bank, series(), values))
    assert T0 + at * 60_000 <= alerts[-1].detected_at <= T0 + (at + 2) * 60_000


def test_a_series_without_season_is_not_given_one() -> None:
    """On noise the plain level stays in use."""
    out = scores(noise(14 * DAY))
    assert np.abs(out.expected[-DAY:] - 100).max() < 2


def test_a_series_with_a_season_is_quiet() -> None:
    """Three weeks of a clean daily rhythm raise at most one alert."""
    assert len(firing(feed(Bank(Detect()), series(), daily(21)))) <= 1


def test_young_series_are_quiet_on_clean_noise() -> None:
    """200 series over five minutes at 2 s: less than two false alerts in all."""
    rng = np.random.default_rng(11)
    bank = Bank(Detect())
    many = [series("s", "m", i=str(i)) for i in range(200)]
    for one in many:
        bank.describe(one)
    fps = np.tile(np.array([one.fp for one in many], np.uint64), 150)
    ts = np.repeat(T0 + 2_000 * np.arange(150, dtype=np.int64), 200)
    wander = np.zeros((150, 200))
    for k in range(1, 150):
        wander[k] = 0.7 * wander[k - 1] + rng.normal(0, 0.7, 200)
    assert len(firing(bank.feed(fps, ts, (100 + 10 * wander).ravel()))) <= 1


def test_minute_data_is_quiet_on_clean_noise() -> None:
    """Ten series over two weeks of minutes: less than one false alert per series and ten days."""
    bank = Bank(Detect())
    fired = sum(
        len(firing(feed(bank, series("s", "m", i=str(i)), noise(14 * DAY, seed=i)))) for i in range(10)
    )
    assert fired <= 14


def test_memory_growing_without_end_is_noticed() -> None:
    """A leak after a quiet time fires although every single step is small."""
    values = noise(400, level=1e8, spread=2e5)
    values[200:] += 4e5 * np.arange(200)
    alerts = firing(
        feed(Bank(Detect()), series(metric="process.memory.usage", unit="By"), values, every=2_000)
    )
    assert len(alerts) >= 1
    assert alerts[0].detected_at <= T0 + 260 * 2_000


def test_the_band_holds_what_does_not_fire_by_level() -> None:
    """A calm sample lies between lower and upper."""
    values = noise(500)
    out = scores(values)
    assert ((out.lower[30:] <= values[30:]) & (values[30:] <= out.upper[30:])).mean() > 0.999


def test_the_score_sinks_while_the_surprise_wears_off() -> None:
    """The score says how surprising a sample is given what just happened; the state stays firing."""
    values = noise(400)
    values[300:340] += 100
    out = scores(values)
    assert out.score[300] > out.score[310] > out.score[339]
    assert STATES[out.state[339]] == "firing"


@pytest.mark.parametrize("seed", [4, 14, 16, 17, 26])
def test_what_the_score_has_said_fires_when_it_lasts(seed: int) -> None:
    """Several statistics agree on a shift that the heavy tail of the level alone would let pass."""
    values = 100 + 3 * np.random.default_rng(seed).standard_t(2.5, 700)
    values[650:670] += 45
    (alert,) = firing(feed(Bank(Detect()), series(), values))
    assert 0 <= alert.started_at - (T0 + 650 * 60_000) <= 2 * 60_000


def test_what_never_moved_is_clear_when_back_at_its_constant() -> None:
    """An error rate that is always zero: the alert ends with the errors, not after an hour."""
    bank = Bank(Detect())
    values = np.concatenate([np.zeros(150), [0.4, 0.3, 0.4, 0.0, 0.5, 0.2, 0.1, 0.3, 0.4], np.zeros(10)])
    alerts = feed(bank, series(metric="log.errors", unit="1/s"), values, every=10_000)
    assert [a.state for a in alerts if a.state == "resolved"] == ["resolved"]


def test_a_gap_ends_what_was_pending() -> None:
    """One odd sample before a pause and one after it are no two in a row."""
    one, bank = series(), Bank(Detect())
    feed(bank, one, noise(60))
    end = T0 + 60 * 60_000
    assert not feed(bank, one, np.array([500.0]), start=end)
    assert not feed(bank, one, np.array([500.0]), start=end + 3_600_000)


def test_a_series_that_may_stop_and_fires_lapses() -> None:
    """Resolved once nobody has measured it for a while, also after a restart."""
    one, bank = series(), Bank(Detect())
    bank.describe(one, sparse=True)
    values = np.concatenate([noise(60), [500.0, 510.0, 505.0]])
    ts = T0 + 10_000 * np.arange(63, dtype=np.int64)
    alerts = bank.feed(np.full(63, one.fp, np.uint64), ts, values)
    assert [a.state for a in alerts] == ["firing"]
    last = T0 + 62 * 10_000
    again = Bank(Detect())
    again.restore(bank.snapshot())
    for each in (bank, again):
        assert each.next_due() == last + 180_000
        assert not each.advance(last + 179_000)
        (over,) = each.advance(last + 180_000)
        assert (over.id, over.state, over.version) == (alerts[0].id, "resolved", alerts[0].version + 1)
        assert each.next_due() is None
