"""The handler the shell calls, over a sink in memory."""

from __future__ import annotations

import pytest

from config.settings import Settings, Topics
from correlator.incident import Incident
from sinks.handler import SinkHandler, sink_handler
from sinks.memory import MemorySink
from sinks.protocol import SinkUnavailable
from streams.records.messages import DeadLetter, ShardWatermark
from streams.records.stage import Record
from tests.sinks.make import alert, incident, record


def _letters(sink: MemorySink) -> list[DeadLetter]:
    return [item for item in sink.kept.values() if isinstance(item, DeadLetter)]


async def test_records_of_all_topics_reach_the_sink_in_one_write() -> None:
    """One poll, one write: batches stay batches."""
    sink = MemorySink()
    handler = SinkHandler(Topics(), sink)
    await handler.write([record(incident(), 1), record(alert(), 2), record(ShardWatermark(0, 1, 5), 3)])
    assert sink.writes == 1
    assert handler.counts == {"written": 2, "skipped": 1}


async def test_a_poison_record_goes_to_the_dead_letters_and_the_rest_is_written() -> None:
    """The dead letter names topic, partition, offset and reason and carries the bytes."""
    sink = MemorySink()
    handler = SinkHandler(Topics(), sink)
    poison = Record("tocsin.incidents", 2, 41, 5, b"k", b"junk")
    await handler.write([record(incident(), 1), poison])
    (letter,) = _letters(sink)
    assert (letter.topic, letter.partition, letter.offset, letter.reason, letter.value) == (
        "tocsin.incidents", 2, 41, "undecodable", b"junk",
    )  # fmt: skip
    assert handler.counts == {"written": 1, "refused:undecodable": 1}


async def test_what_the_sink_refuses_goes_to_the_dead_letters() -> None:
    """A row no column holds is refused by the sink, not by the reading."""
    sink = MemorySink()
    handler = SinkHandler(Topics(), sink)
    await handler.write([record(incident("bad", version=2**40), 7)])
    assert [(letter.offset, letter.reason) for letter in _letters(sink)] == [(7, "out-of-range")]


async def test_an_unavailable_target_is_reported_as_retryable() -> None:
    """The shell must be able to tell 'again' from 'broken'."""
    sink = MemorySink()
    handler = SinkHandler(Topics(), sink)
    sink.available = False
    with pytest.raises(handler.retryable):
        await handler.write([record(incident())])
    assert SinkUnavailable in handler.retryable


async def test_a_batch_tried_again_is_counted_once() -> None:
    """Counters tell records, not attempts."""
    sink = MemorySink()
    handler = SinkHandler(Topics(), sink)
    batch = [record(incident(), 1), Record("tocsin.incidents", 0, 2, 5, None, b"junk")]
    sink.available = False
    for _ in range(2):
        with pytest.raises(SinkUnavailable):
            await handler.write(batch)
    sink.available = True
    await handler.write(batch)
    assert handler.counts == {"written": 1, "refused:undecodable": 1}


async def test_a_dead_letter_that_is_refused_itself_does_not_block() -> None:
    """The last resort is the log and a counter; the stream goes on."""
    sink = MemorySink(refuse=lambda delivery: not isinstance(delivery.item, Incident))
    handler = SinkHandler(Topics(), sink)
    await handler.write([record(incident(), 1), Record("tocsin.incidents", 0, 2, 5, None, b"junk")])
    assert handler.counts["lost:dead-letter"] == 1
    assert handler.counts["written"] == 1


def test_the_configured_handler_reads_the_output_topics() -> None:
    """The shell subscribes to what the handler names."""
    names = (
        "incidents", "alerts", "suppressions", "problems", "response", "written", "notifications",
        "action-results", "topology", "audit", "deadletters",
    )  # fmt: skip
    assert sink_handler(Settings()).topics == tuple(f"tocsin.{name}" for name in names)
