"""Equal logs give equal decisions, however they are cut, interleaved or read again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detectors.pagelog import alerts, decided, feed, interleaved, make, records, shop, watermarks

SEEDS = st.integers(0, 2**32)
CUTS = st.lists(st.integers(0, 120), max_size=20)


@settings(max_examples=40, deadline=None)
@given(SEEDS, CUTS)
def test_any_cutting_into_calls_gives_the_same_decisions(seed: int, cuts: list[int]) -> None:
    """Decisions depend on the log, not on how many pages a call brings."""
    log = records(interleaved(shop(seed), random.Random(seed)))
    one_call = decided(feed(make(), log))
    assert decided(feed(make(), log, cuts)) == one_call
    assert decided(feed(make(), log, range(len(log)))) == one_call


@settings(max_examples=40, deadline=None)
@given(SEEDS, SEEDS, st.integers(1, 3))
def test_any_interleaving_of_sources_gives_the_same_decisions(seed: int, order: int, sources: int) -> None:
    """Which source's pages come first does not matter, as long as each keeps its own order."""
    pages = shop(seed, sources)
    first = feed(make(), records(interleaved(pages, random.Random(0))))
    second = feed(make(), records(interleaved(pages, random.Random(order))))
    assert decided(first) == decided(second)
    assert max(watermarks(first)) == max(watermarks(second))


@settings(max_examples=40, deadline=None)
@given(SEEDS, CUTS, st.integers(0, 120), st.integers(0, 40))
def test_restore_and_reading_again_repeat_exactly_what_followed_the_snapshot(
    seed: int, cuts: list[int], at: int, lost: int
) -> None:
    """A core restored from a snapshot says what the original said after it, byte for byte."""
    log = records(interleaved(shop(seed), random.Random(seed)))
    at = min(at, len(log))
    whole = decided(feed(make(), log))
    first = make()
    before = decided(feed(first, log[:at], cuts))
    blob, needed = first.snapshot(), first.needed_offset(at)
    feed(first, log[at : at + lost])  # decided, but lost with the process
    assert needed <= at
    second = make()
    assert blob is not None
    second.restore(blob)
    after = decided(feed(second, log[needed:], [c + 1 for c in cuts]))
    assert before + after == whole


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 110))
def test_a_snapshot_survives_a_round_trip_unchanged(seed: int, at: int) -> None:
    """Restoring and taking a snapshot again gives the same state."""
    log = records(interleaved(shop(seed), random.Random(seed)))[:at]
    core = make()
    feed(core, log)
    blob = core.snapshot()
    again = make()
    assert blob is not None
    again.restore(blob)
    assert again.snapshot() == blob


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_an_alert_is_said_before_the_watermark_that_covers_it(seed: int) -> None:
    """The correlator may take a watermark's word: nothing detected at or before it follows."""
    core = make()
    said = -1
    for record in records(interleaved(shop(seed), random.Random(seed))):
        outputs = core.process([record])
        for alert in alerts(outputs):
            assert (
                alert.detected_at if alert.version == 1 else alert.resolved_at or alert.last_seen_at
            ) > said
        marks = watermarks(outputs)
        assert not marks or watermarks(outputs[-1:]) == marks[-1:]
        said = max([said, *marks])


@pytest.mark.parametrize("kind", ["metric", "log", "absent"])
def test_the_random_shop_brings_every_kind_of_alert(kind: str) -> None:
    """The properties above are not about empty lists."""
    kinds = {
        alert.kind
        for seed in range(10)
        for alert in alerts(feed(make(), records(interleaved(shop(seed), random.Random(seed)))))
    }
    assert kind in kinds
