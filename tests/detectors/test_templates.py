"""Log templates: masks, ids that stay, exact state, bounds."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.templates import DrainMiner, MinerState, mask

WORDS = st.sampled_from(
    ["get", "put", "user", "order", "failed", "42", "7", "from", "cache", "disk", "n1", "n2"]
)
LINES = st.lists(st.lists(WORDS, min_size=0, max_size=6).map(" ".join), max_size=80)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("took 17 ms", "took <num> ms"),
        ("took 17ms, 3.5%", "took <num>, <num>"),
        ("from 10.0.0.1:8080 to 10.0.0.2", "from <ip> to <ip>"),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id <uuid>"),
        ("mail a.b@example.org now", "mail <mail> now"),
        ("at 0xdeadbeef in cafebabe01", "at <hex> in <hex>"),
        ("2024-02-29T10:11:12.345Z start", "<time> start"),
        ("10:11:12 start", "<time> start"),
        ("node-3 sha256 v2", "node-<num> sha256 v2"),
        ("no digits, defaced", "no digits, defaced"),
    ],
)
def test_masks_replace_what_varies(line: str, masked: str) -> None:
    """Ids, addresses, times and numbers go; names with digits in them stay."""
    assert mask(line) == masked


def test_lines_that_differ_in_numbers_share_a_template() -> None:
    """The second line of a kind is not new."""
    miner = DrainMiner(10)
    first, second = (
        miner.learn("user 17 logged in from 10.0.0.1"),
        miner.learn("user 4 logged in from 10.9.9.9"),
    )
    assert first.is_new
    assert not second.is_new
    assert first.id == second.id


def test_the_id_stays_when_the_template_generalises() -> None:
    """An id is the digest of the first line's skeleton, not of what the template becomes."""
    miner = DrainMiner(10)
    first = miner.learn("cache miss for alice in region north")
    later = miner.learn("cache miss for bob in region north")
    assert later.text == "cache miss for <*> in region north"
    assert later.id == first.id


@settings(max_examples=60, deadline=None)
@given(LINES, st.integers(0, 80))
def test_restored_miner_answers_as_the_original(lines: list[str], at: int) -> None:
    """State is exact: eviction order, tree and counts included."""
    original = DrainMiner(6)
    for line in lines[:at]:
        original.learn(line)
    restored = DrainMiner(6)
    restored.load(msgspec.msgpack.decode(msgspec.msgpack.encode(original.export()), type=MinerState))
    assert [restored.learn(line) for line in lines[at:]] == [original.learn(line) for line in lines[at:]]
    assert msgspec.msgpack.encode(restored.export()) == msgspec.msgpack.encode(original.export())


@settings(max_examples=30, deadline=None)
@given(LINES)
def test_equal_lines_in_equal_order_give_equal_templates(lines: list[str]) -> None:
    """No id depends on anything but the lines."""
    one, other = DrainMiner(50), DrainMiner(50)
    assert [one.learn(line) for line in lines] == [other.learn(line) for line in lines]


def test_templates_are_bounded_and_evictions_counted() -> None:
    """The least recently seen template goes first."""
    miner = DrainMiner(3)
    kept = miner.learn("alpha beta gamma")
    for word in ("one", "two", "three", "four"):
        miner.learn(f"{word} {word}x {word}y {word}z")
        assert not miner.learn("alpha beta gamma").is_new
    assert len(miner) == 3
    assert miner.evicted == 2
    assert miner.learn("alpha beta gamma").id == kept.id


@pytest.mark.parametrize(
    "hostile", ["a" * 5_000, "@" * 5_000, "1." * 3_000, "a@" * 3_000, "a.a@" * 2_000, "-1 " * 2_000]
)
def test_hostile_lines_cost_no_more_than_their_length(hostile: str) -> None:
    """Masks are linear: no line takes more than a few milliseconds."""
    began = time.perf_counter()
    for _ in range(10):
        mask(hostile)
    assert time.perf_counter() - began < 1.0
