"""What the worker's shell calls: records of the output topics in, nothing out until they are safe."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from config.settings import Settings, Topics
from sinks.clickhouse import ClickHouseSink
from sinks.inbox import Delivery, Origin, Unreadable, open_record, origin_of
from sinks.protocol import Refusal, Sink, SinkUnavailable
from streams.records.messages import DeadLetter
from streams.records.stage import Record

log = logging.getLogger(__name__)


class SinkHandler:
    """Opens records, gives them to the sink, and turns what is bad into dead letters.

    The shell acknowledges the records' offsets after `write` returned, and calls `write` again with the
    same records after one of `retryable`. Anything else is a bug or a wrong configuration: crash.
    """

    retryable: tuple[type[Exception], ...] = (SinkUnavailable,)

    def __init__(self, topics: Topics, sink: Sink) -> None:
        self._topics = topics
        self._sink = sink
        self._counts: Counter[str] = Counter()

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics this handler reads."""
        topics = self._topics
        return (
            topics.incidents, topics.alerts, topics.suppressions, topics.problems, topics.response,
            topics.written, topics.notifications, topics.action_results, topics.topology, topics.audit,
            topics.deadletters,
        )  # fmt: skip

    @property
    def counts(self) -> Mapping[str, int]:
        """Records so far: `written`, `skipped`, and `refused:<reason>`."""
        return dict(self._counts)

    async def start(self) -> None:
        """Raises `SinkUnavailable` or `SinkMisconfigured`, both with a message for a person."""
        await self._sink.start()

    async def stop(self) -> None:
        await self._sink.stop()

    async def write(self, records: Sequence[Record]) -> None:
        """Return when every record is safe: written, of no use to a sink, or in the dead letters."""
        counts: Counter[str] = Counter()
        deliveries: list[Delivery] = []
        letters: list[Delivery] = []
        by_origin: dict[Origin, Record] = {}
        for record in records:
            by_origin[origin_of(record)] = record
            try:
                delivery = open_record(record, self._topics)
            except Unreadable as error:
                counts[f"refused:{error.reason}"] += 1
                letters.append(_letter(record, error.reason, error.detail))
                continue
            if delivery is None:
                counts["skipped"] += 1
            else:
                deliveries.append(delivery)
        refusals = await self._sink.write(deliveries)
        counts["written"] += len(deliveries) - len(refusals)
        for refusal in refusals:
            counts[f"refused:{refusal.reason}"] += 1
            letters.append(_letter(by_origin[refusal.delivery.origin], refusal.reason, refusal.detail))
        if letters:
            self._give_up_on(await self._sink.write(letters))
        # Only now: a batch that is tried again must not be counted twice.
        self._counts.update(counts)

    def _give_up_on(self, refusals: Sequence[Refusal]) -> None:
        """A dead letter that is refused itself: the record stays in its topic, the log says where."""
        for refusal in refusals:
            self._counts["lost:dead-letter"] += 1
            log.error(
                "dead letter refused: %s %s (%s)", refusal.delivery.origin, refusal.reason, refusal.detail
            )


def _letter(record: Record, reason: str, detail: str) -> Delivery:
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        reason=reason,
        detail=detail[:2_000],
        value=record.value,
        key=record.key,
        headers=record.headers,
    )
    return Delivery(origin_of(record), letter)


def sink_handler(settings: Settings) -> SinkHandler:
    """The handler of the sink stage as configured: ClickHouse.

    Little patience of its own: the shell retries too, and shows in its health that it does.
    """
    return SinkHandler(settings.topics, ClickHouseSink(settings.clickhouse, patience_s=2.0))
