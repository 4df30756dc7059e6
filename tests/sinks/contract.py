"""The contract every sink must pass. To add a sink: subclass, give the two fixtures, done."""

from __future__ import annotations

import pytest

from sinks.inbox import Delivery, Origin
from sinks.protocol import Sink
from tests.sinks.make import T0, alert, dead_letter, incident


def deliver(*items: object) -> list[Delivery]:
    """Deliveries with rising offsets."""
    return [Delivery(Origin("tests", 0, at, T0), item) for at, item in enumerate(items)]  # type: ignore[arg-type]


class SinkContract:
    """Facts about any sink. `count(kind)` says how many the target holds now, as a reader sees it."""

    @pytest.fixture
    def sink(self) -> Sink:
        raise NotImplementedError

    @pytest.fixture
    def count(self, sink: Sink):
        raise NotImplementedError

    async def test_what_was_written_can_be_read_after_write_returned(self, sink: Sink, count) -> None:
        """`write` returns only when the target has confirmed."""
        refusals = await sink.write(deliver(incident(), alert(), dead_letter()))
        assert list(refusals) == []
        assert (count("incident"), count("alert"), count("dead letter")) == (1, 1, 1)

    async def test_a_second_delivery_of_the_same_batch_changes_nothing(self, sink: Sink, count) -> None:
        """At least once on the way, once at the target."""
        batch = deliver(incident(), alert(), dead_letter())
        for _ in range(3):
            await sink.write(batch)
        assert (count("incident"), count("alert"), count("dead letter")) == (1, 1, 1)

    async def test_a_duplicate_within_one_batch_counts_once(self, sink: Sink, count) -> None:
        """A batch may hold the same version twice."""
        await sink.write(deliver(incident(), incident(), alert(), alert()))
        assert (count("incident"), count("alert")) == (1, 1)

    async def test_one_bad_delivery_does_not_hold_up_the_others(self, sink: Sink, count) -> None:
        """The bad one is named, its neighbours are written."""
        bad = incident("bad", version=-1)
        refusals = await sink.write(deliver(incident("one"), bad, incident("two")))
        assert [refusal.delivery.item for refusal in refusals] == [bad]
        assert refusals[0].reason == "out-of-range"
        assert count("incident") == 2

    async def test_an_empty_batch_is_fine(self, sink: Sink, count) -> None:
        """Polls without records happen all the time."""
        assert list(await sink.write([])) == []
        assert count("incident") == 0

    async def test_a_sink_can_be_started_twice_and_stopped_twice(self, sink: Sink, count) -> None:
        """A shell that restarts a stage need not know what the sink has done already."""
        await sink.start()
        await sink.write(deliver(incident()))
        assert count("incident") == 1
        await sink.stop()
        await sink.stop()
