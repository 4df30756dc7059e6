"""Confidence says how often a hint is right, and never changes which hint comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reliability import Case, figures, fit, left_out, share_of
from correlator.confidence import calibrated, scaled

shares = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6).map(
    lambda found: sorted((x / max(1.0, sum(found)) for x in found), reverse=True)
)
odds = st.floats(0.05, 20.0)


@given(shares, odds)
def test_the_order_stays_and_the_sum_is_at_most_one(found: list[float], odds: float) -> None:
    said = calibrated(found, odds)
    assert said == sorted(said, reverse=True)
    assert sum(said) <= 1.0 + 1e-3
    assert all(0.0 <= confidence <= 1.0 for confidence in said)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), odds)
def test_more_suspicion_is_never_less_confidence(one: float, other: float, odds: float) -> None:
    low, high = sorted((one, other))
    assert scaled(low, odds) <= scaled(high, odds)
    assert share_of(scaled(one, odds), odds) == pytest.approx(one)


def test_next_to_nothing_stays_next_to_nothing() -> None:
    """With thin evidence the rest is left to what nobody has thought of."""
    assert calibrated([0.004, 0.002], 7.5)[0] < 0.03
    assert calibrated([], 7.5) == []
    assert calibrated([1.0], 7.5) == [1.0]
    assert calibrated([0.4, 0.3], 1.0) == [0.4, 0.3]


def _said(data: str, share: float, right: int, of: int) -> list[Case]:
    return [Case(data, share, n < right) for n in range(of)]


def test_the_fit_finds_the_odds_and_each_set_is_judged_without_itself() -> None:
    fair = [
        c for data in ("a", "b") for s, right in ((0.2, 60), (0.5, 86)) for c in _said(data, s, right, 100)
    ]
    assert fit(fair) == pytest.approx(6.0, rel=0.1)
    assert figures(left_out(fair), fair).ece < 0.02
    odd = [*_said("a", 0.5, 10, 100), *_said("b", 0.5, 90, 100)]
    assert left_out(odd)[0] > 0.8, "fitted on b, where nine of ten are right"
    assert left_out(odd)[-1] < 0.2
