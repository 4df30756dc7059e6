"""Which worker has which partition, how far behind, and up to when event time is decided there. Pure."""

from __future__ import annotations

from typing import NamedTuple

from streams.agents import metric_names as names
from streams.agents.watching import Frame


class Place(NamedTuple):
    """A partition a worker has for a stage."""

    worker: str
    """address"""
    stage: str
    topic: str
    partition: int
    lag: int
    watermark_ms: int | None
    """ms UTC, event time; None: the stage has none there, or nothing came in yet"""


def address_of(url: str) -> str:
    return url.removesuffix("/metrics")


def places(frame: Frame, at_ms: int) -> list[Place]:
    """All of them, largest lag first. `at_ms`: when the workers were asked, from which delays count."""
    found = []
    for worker in frame.workers:
        if worker.now is None:
            continue
        delays = {_key(labels): seconds for labels, seconds in worker.now.of(names.WATERMARK_DELAY.name)}
        for labels, lag in worker.now.of(names.LAG.name):
            key = _key(labels)
            delay = delays.get(key)
            watermark = None if delay is None else at_ms - round(delay * 1000)
            found.append(Place(address_of(worker.url), *key, int(lag), watermark))
    return sorted(found, key=lambda p: (-p.lag, p.stage, p.topic, p.partition, p.worker))


def _key(labels: dict[str, str]) -> tuple[str, str, int]:
    return labels["stage"], labels["topic"], int(labels["partition"])
