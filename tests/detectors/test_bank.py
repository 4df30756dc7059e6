"""The bank: equal input gives equal state, odd rows change nothing, memory is bounded."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Detect
from detectors.bank import STATES, Bank
from detectors.state import BYTES_PER_SERIES
from streams.records.digest import fingerprint
from streams.records.pages import Series
from tests.detectors.bankdata import T0, feed, firing, noise, scores, series

MANY = [series("shop", "load", i=str(i)) for i in range(7)]


def rows(seed: int = 3, steps: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seven series with a fault in two, sorted by (ts, fp), a few rows missing."""
    rng = np.random.default_rng(seed)
    fps = np.array(sorted(one.fp for one in MANY), np.uint64)
    values = rng.lognormal(0, 0.3, (steps, len(fps))) * 10
    values[150:190, :2] *= 30
    ts = T0 + 2_000 * np.arange(steps, dtype=np.int64)
    keep = rng.random(values.size) < 0.97
    return np.tile(fps, steps)[keep], np.repeat(ts, len(fps))[keep], values.ravel()[keep]


def run_cut(cuts: list[int], restore_at: int | None = None):
    fps, ts, values = rows()
    bank = Bank(Detect())
    for one in MANY:
        bank.describe(one)
    alerts, parts = [], []
    edges = [0, *sorted(cuts), len(fps)]
    for i, (a, b) in enumerate(pairwise(edges)):
        if i == restore_at:
            blob = bank.snapshot()
            bank = Bank(Detect())
            bank.restore(blob)
        more, out = bank.feed_scored(fps[a:b], ts[a:b], values[a:b])
        alerts += more
        parts.append(out)
    columns = [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]
    return alerts, columns, bank.snapshot()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(rows()[0])), max_size=12), st.integers(0, 12))
def test_cuts_and_restores_change_nothing(cuts: list[int], restore_at: int) -> None:
    """Alerts, scores and snapshot are equal byte for byte however the rows are cut, restored or not."""
    whole = run_cut([])
    assert len(firing(whole[0])) >= 2
    assert run_cut(cuts, restore_at) == whole


def test_row_by_row_equals_one_call() -> None:
    """A call for every row gives what one call for all gives."""
    n = len(rows()[0])
    assert run_cut(list(range(1, n))) == run_cut([])


def test_scores_of_a_prefix_are_the_prefix_of_the_scores() -> None:
    """No sample's score depends on a later sample."""
    values = noise(800)
    values[500:520] += 80
    whole, part = scores(values), scores(values[:510])
    for all_of_it, first in zip(whole, part, strict=True):
        np.testing.assert_array_equal(all_of_it[:510], first)


def test_plain_python_gives_the_same_bits_as_the_compiled_kernel() -> None:
    """Without numba the same functions give the same snapshot."""
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "import hashlib\n"
        "from tests.detectors.test_bank import run_cut\n"
        "print(hashlib.sha256(run_cut([100])[2]).hexdigest())\n"
    )
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == hashlib.sha256(run_cut([100])[2]).hexdigest()
    assert "numba is not installed" in plain.stderr


def test_rows_at_or_before_the_last_seen_time_change_nothing() -> None:
    """Repeated and backward rows are counted and leave the state as it was."""
    bank, one = Bank(Detect()), series()
    feed(bank, one, noise(50))
    counted = dict(bank.counters)
    before = bank.snapshot()
    assert feed(bank, one, np.full(50, 1e6)) == []
    assert bank.counters["repeated_rows"] == counted["repeated_rows"] + 50
    bank.counters = counted
    assert bank.snapshot() == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_change_nothing(bad: float) -> None:
    """NaN and infinities are counted; the scores of the other rows are as if they were not there."""
    values = noise(200)
    with_bad = values.copy()
    with_bad[50] = bad
    out = scores(with_bad)
    assert np.isnan(out.score[50])
    assert np.isfinite(np.delete(out.score, 50)).all()


def test_unknown_series_are_counted() -> None:
    """Rows of a series nobody described are dropped and counted."""
    bank = Bank(Detect())
    assert bank.feed(np.array([9], np.uint64), np.array([T0]), np.array([1.0])) == []
    assert bank.counters["unknown_rows"] == 1


def test_the_input_is_not_changed() -> None:
    """Feeding leaves the caller's arrays alone, read-only ones included."""
    fps, ts, values = rows()
    for array in (fps, ts, values):
        array.flags.writeable = False
    bank = Bank(Detect())
    for one in MANY:
        bank.describe(one)
    bank.feed(fps, ts, values)
    np.testing.assert_array_equal(values, rows()[2])


def test_describing_twice_changes_nothing() -> None:
    """`describe` is idempotent."""
    bank, one = Bank(Detect()), series()
    feed(bank, one, noise(30))
    before = bank.snapshot()
    bank.describe(one)
    assert bank.snapshot() == before


def test_a_newer_description_replaces_the_older_and_keeps_the_state() -> None:
    """Unit and resource may change; what was learned stays."""
    bank, one = Bank(Detect()), series()
    feed(bank, one, noise(30))
    newer = Series(one.fp, one.service, one.metric, one.labels, "By")
    bank.describe(newer)
    alerts = feed(bank, newer, np.full(3, 1e4), start=T0 + 60_000 * 30)
    assert [alert.unit for alert in firing(alerts)] == ["By"]


def test_the_least_recently_seen_series_is_evicted_and_counted() -> None:
    """A full bank makes room by forgetting the series seen longest ago."""
    bank = Bank(Detect(max_series_per_shard=3))
    a, b, c, d = (series("s", "m", i=str(i)) for i in range(4))
    for i, one in enumerate((b, a, c)):
        feed(bank, one, noise(3), start=T0 + i)
    bank.describe(d)
    known = bank.known(np.array([a.fp, b.fp, c.fp, d.fp], np.uint64))
    assert known.tolist() == [True, False, True, True]
    assert bank.counters["evicted_series"] == 1


def test_a_flood_of_new_series_stays_within_the_limit() -> None:
    """However many series come, no more than the limit are kept."""
    bank = Bank(Detect(max_series_per_shard=100))
    for i in range(1_000):
        bank.describe(series("s", "m", i=str(i)))
    assert len(bank) <= 100
    assert bank.counters["evicted_series"] == 1_000 - len(bank)


def test_an_evicted_series_starts_afresh() -> None:
    """A slot given to another series carries nothing over."""
    bank = Bank(Detect(max_series_per_shard=1))
    old, new = series("s", "old"), series("s", "new")
    feed(bank, old, noise(300))
    values = noise(300, seed=2, level=-7.0)
    bank.describe(new)
    n = np.arange(300)
    _, out = bank.feed_scored(np.full(300, new.fp, np.uint64), T0 + 60_000 * n, values)
    fresh = Bank(Detect())
    fresh.describe(new)
    _, expected = fresh.feed_scored(np.full(300, new.fp, np.uint64), T0 + 60_000 * n, values)
    np.testing.assert_array_equal(out.score, expected.score)


def test_long_silent_series_are_forgotten() -> None:
    """A series unseen for more than `series_idle_ms` is dropped at the end of a step, and counted."""
    bank, one = Bank(Detect(series_idle_ms=3_600_000)), series()
    feed(bank, one, noise(5))
    bank.advance(T0 + 600_000)
    assert len(bank) == 1
    bank.advance(T0 + 3 * 3_600_000)
    assert len(bank) == 0
    assert bank.counters["expired_series"] == 1


def test_a_snapshot_of_another_layout_is_refused() -> None:
    """A snapshot is taken over exactly or not at all."""
    import cramjam
    import msgspec

    from detectors.snapshots import BankState

    state = msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(Bank(Detect()).snapshot())), type=BankState)
    state.layout += 8
    blob = bytes(cramjam.zstd.compress(msgspec.msgpack.encode(state)))
    with pytest.raises(ValueError, match="expected 2/"):
        Bank(Detect()).restore(blob)


def test_state_per_series_is_bounded() -> None:
    """At most 4 KB a series, and an old series' snapshot is no larger than its arrays."""
    assert BYTES_PER_SERIES <= 4_096
    bank = Bank(Detect())
    feed(bank, series(), noise(20_000))
    assert len(bank.snapshot()) <= BYTES_PER_SERIES + 512


def test_states_are_the_published_words() -> None:
    """`score` writes these words; their order is the code."""
    assert STATES == ("warming", "ok", "pending", "firing")


def test_fingerprints_with_equal_low_bits_are_kept_apart() -> None:
    """Colliding places in the index still find their own series."""
    bank = Bank(Detect())
    clash = [Series(7 + (i << 32), "s", f"m{i}") for i in range(200)]
    for one in clash:
        bank.describe(one)
    fps = np.array([one.fp for one in clash], np.uint64)
    alerts = []
    for k in range(40):
        values = np.arange(200.0) + 1
        if k >= 37:
            values[123] += 1e4
        alerts += bank.feed(fps, np.full(200, T0 + k * 1_000), values)
    assert [alert.metric for alert in firing(alerts)] == ["m123"]


def test_fingerprint_of_the_bank_is_the_one_of_the_records() -> None:
    """Alerts carry the series' fingerprint in hex."""
    bank, one = Bank(Detect()), series()
    alerts = feed(bank, one, np.concatenate([noise(50), np.full(3, 1e4)]))
    assert alerts[0].fingerprint == f"{fingerprint(one.service, one.metric, one.labels):016x}"
