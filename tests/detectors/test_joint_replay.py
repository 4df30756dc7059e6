"""Joint behaviour in a shard: equal logs give equal decisions, however they are cut or read again."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Joint
from detectors.joint import METRIC
from tests.detectors.pagelog import SETTINGS, alerts, decided, feed, interleaved, make, records, shop

EAGER = Joint(
    enabled=True, window_ms=1_000, memory_windows=32, min_windows=16, refit_windows=16,
    apply_windows=2, trees=8, fire_score=0.3, hold_windows=1, clear_windows=1, max_services=2,
)  # fmt: skip
WITH = msgspec.structs.replace(SETTINGS, detect=msgspec.structs.replace(SETTINGS.detect, joint=EAGER))
SEEDS = st.integers(0, 2**32)
CUTS = st.lists(st.integers(0, 200), max_size=20)


@settings(max_examples=4, deadline=None)
@given(SEEDS, CUTS)
def test_any_cutting_into_calls_gives_the_same_decisions(seed: int, cuts: list[int]) -> None:
    log = records(interleaved(shop(seed, seconds=60), random.Random(seed)))
    one_call = decided(feed(make(WITH), log))
    assert decided(feed(make(WITH), log, cuts)) == one_call
    assert decided(feed(make(WITH), log, range(len(log)))) == one_call


@settings(max_examples=4, deadline=None)
@given(SEEDS, SEEDS)
def test_any_interleaving_of_sources_gives_the_same_decisions(seed: int, order: int) -> None:
    pages = shop(seed, seconds=60)
    first = feed(make(WITH), records(interleaved(pages, random.Random(0))))
    second = feed(make(WITH), records(interleaved(pages, random.Random(order))))
    assert decided(first) == decided(second)


@settings(max_examples=6, deadline=None)
@given(SEEDS, CUTS, st.integers(0, 200), st.integers(0, 40))
def test_restore_and_reading_again_repeat_exactly_what_followed_the_snapshot(
    seed: int, cuts: list[int], at: int, lost: int
) -> None:
    log = records(interleaved(shop(seed, seconds=60), random.Random(seed)))
    at = min(at, len(log))
    whole = decided(feed(make(WITH), log))
    first = make(WITH)
    before = decided(feed(first, log[:at], cuts))
    blob, needed = first.snapshot(), first.needed_offset(at)
    feed(first, log[at : at + lost])  # decided, but lost with the process
    second = make(WITH)
    assert blob is not None
    second.restore(blob)
    assert second.snapshot() == blob
    assert before + decided(feed(second, log[needed:], [c + 1 for c in cuts])) == whole


def test_switching_it_on_changes_no_other_alert() -> None:
    log = records(interleaved(shop(3, seconds=60), random.Random(3)))
    others = [alert for alert in alerts(feed(make(WITH), log)) if alert.metric != METRIC]
    assert others == alerts(feed(make(), log))


@pytest.mark.parametrize("state", ["firing", "resolved"])
def test_the_random_shop_brings_joint_alerts(state: str) -> None:
    """The properties above are not about empty lists."""
    logs = [records(interleaved(shop(seed, seconds=60), random.Random(seed))) for seed in range(6)]
    found = [alert for log in logs for alert in alerts(feed(make(WITH), log)) if alert.metric == METRIC]
    assert state in {alert.state for alert in found}
