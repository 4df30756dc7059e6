"""Exponential histograms on the fixed ladder of bounds."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from streams.decode.exponential import BOUNDS, explicit


def test_the_ladder_rises_by_the_square_root_of_two() -> None:
    """Two steps per doubling."""
    assert all(math.isclose(b / a, math.sqrt(2)) for a, b in itertools.pairwise(BOUNDS))


@given(
    scale=st.integers(-10, 20),
    offset=st.integers(-(2**31), 2**31 - 1),
    counts=st.lists(st.integers(0, 1000), max_size=50),
    below=st.integers(0, 1000),
)
def test_no_observation_is_lost(scale: int, offset: int, counts: list[int], below: int) -> None:
    """Whatever the scale and the offset, also far outside the ladder."""
    assert sum(explicit(scale, offset, counts, below)) == sum(counts) + below


@given(scale=st.integers(1, 20), value=st.floats(1e-3, 1e9))
def test_a_fine_bucket_lies_in_the_step_that_holds_its_values(scale: int, value: float) -> None:
    """At scale 1 and finer nothing straddles a bound."""
    index = math.ceil(math.log2(value) * 2**scale) - 1
    middle = 2.0 ** ((index + 0.5) / 2**scale)
    (step,) = [i for i, count in enumerate(explicit(scale, index, [1], 0)) if count]
    assert BOUNDS[step - 1] < middle <= BOUNDS[step]
