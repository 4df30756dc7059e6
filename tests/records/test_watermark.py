"""The event time of a shard over its source partitions."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.records.pages import NO_WATERMARK, SourceState
from streams.records.watermark import MAX_EPOCHS, SourceClock

ACTIVE, IDLE, BEGIN, ENDED = SourceState.ACTIVE, SourceState.IDLE, SourceState.BEGIN, SourceState.ENDED
PEERS = ["r/0", "r/1"]


def test_it_waits_for_sources_not_yet_heard_of() -> None:
    """However far the others are."""
    clock = SourceClock()
    assert clock.observe("a", 100, ACTIVE, "", 2) == NO_WATERMARK
    assert clock.observe("b", 50, ACTIVE, "", 2) == 50


def test_it_is_the_slowest_active_source() -> None:
    """The minimum, and never less than before."""
    clock = SourceClock()
    clock.observe("a", 100, ACTIVE, "", 2)
    clock.observe("b", 50, ACTIVE, "", 2)
    assert clock.observe("b", 80, ACTIVE, "", 2) == 80
    assert clock.observe("b", 60, ACTIVE, "", 2) == 80


def test_an_idle_source_holds_nothing_back() -> None:
    """Also one that never had a row."""
    clock = SourceClock()
    clock.observe("a", 100, ACTIVE, "", 2)
    assert clock.observe("b", NO_WATERMARK, IDLE, "", 2) == 100


def test_when_all_are_idle_the_furthest_decides() -> None:
    """Nobody will send anything older but by mistake."""
    clock = SourceClock()
    clock.observe("a", 100, IDLE, "", 2)
    assert clock.observe("b", 70, IDLE, "", 2) == 100


def test_what_an_idle_source_guessed_does_not_count_once_it_is_active() -> None:
    """Its wall clock ran ahead of the rows that then came: the others are not overtaken."""
    clock = SourceClock()
    clock.observe("a", 100, ACTIVE, "", 2)
    clock.observe("b", 900, IDLE, "", 2)
    clock.observe("b", 120, ACTIVE, "", 2)
    assert clock.observe("a", 500, ACTIVE, "", 2) == 120


def test_a_begin_claims_all_partitions_of_its_topic() -> None:
    """One that was idle a moment ago holds the watermark until it has been read, too."""
    clock = SourceClock()
    clock.observe("r/0", NO_WATERMARK, IDLE, "", 2)
    clock.observe("r/1", NO_WATERMARK, IDLE, "", 2)
    clock.observe("r/0", 9, BEGIN, "e", 2, PEERS)
    assert clock.observe("r/0", 500, ACTIVE, "e", 2) == 9
    clock.observe("r/1", 9, BEGIN, "e", 2, PEERS)
    assert clock.observe("r/1", 300, ACTIVE, "e", 2) == 300


def test_live_pages_do_not_speak_for_a_partition_in_a_replay() -> None:
    """They were written before its worker read the begin."""
    clock = SourceClock()
    clock.observe("r/0", 9, BEGIN, "e", 2, PEERS)
    clock.observe("r/1", 9_999, IDLE, "", 2)
    assert clock.observe("r/0", 500, ACTIVE, "e", 2) == 9


def test_a_replay_is_over_when_all_its_partitions_have_ended() -> None:
    """Then everything up to its newest row is decided."""
    clock = SourceClock()
    for source in PEERS:
        clock.observe(source, 9, BEGIN, "e", 2, PEERS)
    clock.observe("r/0", 700, ENDED, "e", 2)
    assert clock.watermark == 9
    assert clock.observe("r/1", 650, ENDED, "e", 2) == 700


def test_pages_read_again_do_not_reopen_what_has_ended() -> None:
    """A worker that died after the end wrote them a second time."""
    clock = SourceClock()
    for source in PEERS:
        clock.observe(source, 9, BEGIN, "e", 2, PEERS)
        clock.observe(source, 700, ENDED, "e", 2)
    clock.observe("r/0", 9, BEGIN, "e", 2, PEERS)
    clock.observe("r/0", 100, ACTIVE, "e", 2)
    assert {source.state for source in clock.sources.values()} == {ENDED}


def test_an_earlier_replay_read_again_does_not_take_the_partitions_of_a_later_one() -> None:
    """Replays of a topic follow each other in the same order in all its partitions."""
    clock = SourceClock()
    for epoch, at in (("e1", 9), ("e2", 1_000)):
        for source in PEERS:
            clock.observe(source, at, BEGIN, epoch, 2, PEERS)
            clock.observe(source, at + 100, ENDED, epoch, 2)
    clock.observe("r/0", 9, BEGIN, "e1", 2, PEERS)
    clock.observe("r/0", 50, ACTIVE, "e1", 2)
    assert {(source.epoch, source.state) for source in clock.sources.values()} == {("e2", ENDED)}


def test_a_partition_still_in_the_earlier_replay_holds_the_later_one_back() -> None:
    """Its peer has announced the later one on its behalf."""
    clock = SourceClock()
    for source in PEERS:
        clock.observe(source, 9, BEGIN, "e1", 2, PEERS)
    clock.observe("r/0", 100, ENDED, "e1", 2)
    clock.observe("r/0", 1_000, BEGIN, "e2", 2, PEERS)
    clock.observe("r/0", 5_000, ACTIVE, "e2", 2)
    clock.observe("r/1", 100, ENDED, "e1", 2)
    assert clock.watermark <= 1_000


def test_live_data_goes_on_after_a_replay() -> None:
    """Once it has ended, the partition speaks for itself again."""
    clock = SourceClock()
    clock.observe("a", 9, BEGIN, "e", 1)
    clock.observe("a", 100, ENDED, "e", 1)
    assert clock.observe("a", 200, ACTIVE, "", 1) == 200


def test_replays_are_remembered_up_to_a_bound() -> None:
    """The oldest are forgotten and counted."""
    clock = SourceClock()
    for i in range(MAX_EPOCHS + 10):
        clock.observe("a", i, BEGIN, f"e{i}", 1)
        clock.observe("a", i, ENDED, f"e{i}", 1)
    assert len(clock.epochs) == MAX_EPOCHS
    assert clock.forgotten == 10
    assert clock.sources["a"].epoch == f"e{MAX_EPOCHS + 9}"


pages = st.tuples(
    st.sampled_from(["r/0", "r/1", "a"]),
    st.integers(-1, 1_000),
    st.sampled_from(list(SourceState)),
    st.sampled_from(["", "e1", "e2"]),
)


@given(st.lists(pages, max_size=60))
def test_the_watermark_never_goes_back_and_survives_a_snapshot(
    observed: list[tuple[str, int, int, str]],
) -> None:
    """Whatever the sources say, in any order, with a restart after every page."""
    straight, restarted = SourceClock(), SourceClock()
    before = NO_WATERMARK
    for source, mark, state, epoch in observed:
        peers = PEERS if state == BEGIN else None
        now = straight.observe(source, mark, state, epoch, 3, peers)
        assert now >= before
        before = now
        restarted = msgspec.msgpack.decode(msgspec.msgpack.encode(restarted), type=SourceClock)
        assert restarted.observe(source, mark, state, epoch, 3, peers) == now
