"""Change records: what was deployed where, on the topic `tocsin.changes`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import asdict, dataclass

from aiokafka import AIOKafkaProducer

CHANGES_TOPIC = "tocsin.changes"


@dataclass(frozen=True, slots=True)
class Change:
    """A deployment of `version` of `service` at `ts` (ms UTC)."""

    id: str
    ts: int
    service: str
    kind: str
    version: str
    summary: str

    @classmethod
    def of(cls, ts_ms: int, service: str, version: str, summary: str) -> Change:
        """A deployment record whose id is a digest of what it says."""
        text = f"{ts_ms}\n{service}\n{version}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return cls(f"chg-{digest}", ts_ms, service, "deployment", version, summary)


def now_ms() -> int:
    """The wall clock, ms UTC."""
    return time.time_ns() // 1_000_000


def publish(kafka: str, change: Change) -> None:
    """Write one change record; blocks until the broker has it. Not to be called inside an event loop."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(CHANGES_TOPIC, json.dumps(asdict(change)).encode())

    asyncio.run(send())
