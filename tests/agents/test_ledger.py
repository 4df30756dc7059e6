"""Bookkeeping of chunks with any gaps between their offsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.agents.ledger import PartitionLedger

chunks = st.lists(st.integers(1, 5_000), min_size=1, max_size=40).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


@given(chunks, st.randoms(use_true_random=False))
def test_commit_never_passes_an_unacked_chunk_whatever_the_order_of_acks(
    lasts: list[int], dice: object
) -> None:
    """Only the acked prefix, in the order of delivery, is committable."""
    ledger = PartitionLedger()
    for last in lasts:
        ledger.deliver(last)
    order = list(lasts)
    dice.shuffle(order)  # type: ignore[attr-defined]
    acked: set[int] = set()
    for last in order:
        assert ledger.ack(last)
        acked.add(last)
        prefix = [one for i, one in enumerate(lasts) if set(lasts[: i + 1]) <= acked]
        assert ledger.committable() == (prefix[-1] + 1 if prefix else None)
    assert ledger.outstanding == 0


@given(chunks, st.integers(0, 10_000))
def test_commit_never_passes_the_ceiling(lasts: list[int], ceiling: int) -> None:
    """However much is acked."""
    ledger = PartitionLedger()
    for last in lasts:
        ledger.deliver(last)
        ledger.ack(last)
    assert ledger.committable(ceiling) == min(ceiling, lasts[-1] + 1)


def test_an_ack_of_a_chunk_that_was_seeked_away_is_refused() -> None:
    """After a seek the books start afresh; late acks mean nothing."""
    ledger = PartitionLedger()
    ledger.deliver(9)
    assert not ledger.ack(4)
    assert ledger.committable() is None


def test_an_ack_counts_once() -> None:
    """The second ack of a chunk changes nothing."""
    ledger = PartitionLedger()
    ledger.deliver(3)
    ledger.deliver(7)
    assert ledger.ack(7)
    assert not ledger.ack(7)
    assert ledger.committable() is None
