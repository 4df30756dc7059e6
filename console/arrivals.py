"""How many records came in over a period, by Kafka's offsets: nobody counts, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition


class Arrived(msgspec.Struct, frozen=True):
    """On the input topics, at most: compacted topics and transactions have offsets without records."""

    records: int
    by_topic: Mapping[str, int]
    """topics that had any"""
    cut: bool
    """older records of the period are deleted already: there were more"""


async def arrived(consumer: Any, topics: Iterable[str], since_ms: int, until_ms: int) -> Arrived:
    """Records whose Kafka timestamps are in [since, until). Raises `KafkaError` and `OSError`."""
    cluster = await consumer._client.fetch_all_metadata()  # also of topics it does not read
    homes = [
        TopicPartition(topic, number)
        for topic in sorted(set(topics) & cluster.topics())
        for number in sorted(cluster.partitions_for_topic(topic) or ())
    ]
    if not homes:
        return Arrived(0, {}, False)
    ends = await consumer.end_offsets(homes)
    begins = await consumer.beginning_offsets(homes)
    first = await consumer.offsets_for_times(dict.fromkeys(homes, since_ms))
    after = await consumer.offsets_for_times(dict.fromkeys(homes, until_ms))
    counts: dict[str, int] = {}
    for home in homes:
        n = _offset(after[home], ends[home]) - _offset(first[home], ends[home])
        if n > 0:
            counts[home.topic] = counts.get(home.topic, 0) + n
    cut = any(begins[home] > 0 and _offset(first[home], ends[home]) == begins[home] for home in homes)
    return Arrived(sum(counts.values()), counts, cut)


def _offset(found: Any, end: int) -> int:
    """Where the first record at or after a time stands. All are before it: None, or a time of -1."""
    return end if found is None or found.timestamp < 0 else int(found.offset)
