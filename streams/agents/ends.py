"""Where partitions really end.

The embedded broker answers the question for the end with the beginning of the last batch. To whoever has
read everything, that looks like a commit or a checkpoint of an earlier topic of the same name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import aiokafka
from aiokafka.errors import KafkaError
from faust.types import TP

from config.connect import Broker, kafka_options

log = logging.getLogger(__name__)

LOOK_MS = 300
"""how long the broker may take to show what lies behind the end it told"""


async def behind(broker: Broker, ends: Mapping[TP, int]) -> dict[TP, int]:
    """The ends of these partitions, corrected by what can be read from there on: one batch at most is."""
    found = dict(ends)
    if not found:
        return found
    reader = aiokafka.AIOKafkaConsumer(
        **kafka_options(broker), enable_auto_commit=False, fetch_max_wait_ms=50
    )
    try:
        await reader.start()
        homes = {aiokafka.TopicPartition(tp.topic, tp.partition): tp for tp in found}
        reader.assign(list(homes))
        for home, tp in homes.items():
            reader.seek(home, found[tp])
        until = asyncio.get_running_loop().time() + LOOK_MS / 1000
        while (left := until - asyncio.get_running_loop().time()) > 0:
            for home, records in (await reader.getmany(timeout_ms=max(1, int(left * 1000)))).items():
                found[homes[home]] = max(found[homes[home]], records[-1].offset + 1)
    except KafkaError as error:
        # What was told stands: at worst something is read twice, and nothing is lost.
        log.warning("cannot look behind the ends of %d partitions: %r", len(found), error)
    finally:
        await reader.stop()
    return found
