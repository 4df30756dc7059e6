"""The short form of `make fuzz`: the same checks on a few thousand records a format, always the same ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.decode import formats
from tests.fuzz import chunks, hostile
from tests.fuzz.enlarge import ways
from tests.fuzz.families import names
from tests.fuzz.feed import Feeder
from tests.fuzz.seeds import Seed, seeds

NAMES = names()
CHUNKS = 4
JSON_SEEDS = [seed for name in NAMES for seed in seeds()[name] if seed.json is not None]

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_records_are_used_or_dead_lettered(name: str, tmp_path: Path) -> None:
    """Rows in pages, messages and dead letters add up, and decoding alone says the same as in a chunk."""
    chunks.warm_up(name)
    feeder = Feeder(name)
    for number in range(CHUNKS):
        failure, feeder = chunks.run_chunk(feeder, 1, number, tmp_path)
        assert failure is None, failure.text
    tally = feeder.tally
    assert tally.records == CHUNKS * chunks.SIZE
    assert tally.decoded > 0
    assert tally.decoded + tally.partly + tally.refused.total() + tally.silent == tally.records


@settings(max_examples=300, deadline=None)
@given(seed=st.sampled_from(JSON_SEEDS), data=st.data())
def test_anything_in_any_place_of_a_json_record_adds_up(seed: Seed, data: st.DataObject) -> None:
    """A value of any type where another was expected."""
    assert seed.json is not None
    start, end = data.draw(st.sampled_from(seed.json.values))
    value = json.dumps(data.draw(anything)).encode()
    Feeder(seed.format).chunk([(seed.raw[:start] + value + seed.raw[end:], seed.ts)] * 2)


@pytest.mark.parametrize("name", NAMES)
def test_records_made_large_stay_cheap(name: str) -> None:
    """Time, memory and the size of what comes out are bounded, however a record was made large."""
    chunks.warm_up(name)
    seed = seeds()[name][0]
    for way in ways(seed):
        hostile.cost_of(name, way.make(100_000), seed.ts)


@pytest.mark.parametrize("name", [formats.TOCSIN, formats.OTLP])
def test_bombs_do_not_go_off(name: str) -> None:
    """Half a gigabyte in a few kilobytes costs neither the memory nor the time."""
    chunks.warm_up(name)
    for _, value, ts in hostile.bombs(seeds()[name], empty=1_000_000):
        hostile.cost_of(name, value, ts, most_bytes=256 << 20)
