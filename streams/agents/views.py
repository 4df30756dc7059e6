"""A worker's stages as those see them who report on it: lag per partition, and what stands still.

Faust's detector of stalled partitions compares a monotonic with an epoch clock and cannot fire, so
this one looks at the only thing that matters: is there something to read, and has it moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from streams.agents.runner import CoreRunner
from streams.agents.sinkrunner import SinkRunner


@dataclasses.dataclass(frozen=True, slots=True)
class StageView:
    """A stage as seen from outside."""

    name: str
    runner: CoreRunner | SinkRunner
    app: Any = None
    """its `StageApp`; None in tests"""

    def waiting_for(self) -> str:
        """What it still waits for before it can work, or nothing."""
        if self.runner.partitions or self.app is None:
            return ""
        if self.app.unassigned:
            return ""  # more workers than partitions: it stands by
        return "no partitions yet, it is joining its group or restoring checkpoints"

    def queued_chunks(self) -> int:
        """Chunks read and not yet taken by the stage."""
        return 0 if self.app is None else sum(channel.queue.qsize() for channel in self.app.topics)


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionHealth:
    """Lag in records, age of the last progress, and for how long the broker has answered without a gap."""

    stage: str
    topic: str
    partition: int
    lag: int
    progress_age_s: float
    commit_ceiling: int | None
    broker_answers_s: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.stage, self.topic, self.partition


@dataclasses.dataclass(frozen=True, slots=True)
class Stall:
    """A partition with lag that does not move."""

    stage: str
    topic: str
    partition: int
    lag: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.stage} made no progress on {self.topic}/{self.partition} for {self.seconds:.0f} s "
            f"with {self.lag} records waiting"
        )


def partitions_health(views: Sequence[StageView], now: float) -> list[PartitionHealth]:
    """One line per assigned partition; `now` is monotonic seconds."""
    return [
        PartitionHealth(
            view.name,
            tp.topic,
            tp.partition,
            max(0, (placed.high if placed.high is not None else placed.done_offset) - placed.done_offset),
            max(0.0, now - placed.progress_at),
            placed.ceiling,
            now - placed.heard_since if placed.broker_answers(now) else 0.0,
        )
        for view in views
        for tp, placed in sorted(view.runner.partitions.items())
    ]


def stalled_for(
    views: Sequence[StageView], now: float, retrying_counts: bool = False, outage_counts: bool = True
) -> Stall | None:
    """The partition that has stood still longest while it has lag, if any.

    A sink that is retrying its target, and everyone while the broker does not answer, stand still for a
    known reason that a restart would not cure: it counts as unhealthy (`retrying_counts`, `outage_counts`),
    but not as a reason to end the worker.
    """
    retrying = {
        v.name for v in views if isinstance(v.runner, SinkRunner) and v.runner.retrying_since is not None
    }
    stalls = [
        Stall(
            p.stage,
            p.topic,
            p.partition,
            p.lag,
            p.progress_age_s if outage_counts else min(p.progress_age_s, p.broker_answers_s),
        )
        for p in partitions_health(views, now)
        if p.lag > 0 and (retrying_counts or p.stage not in retrying)
    ]
    return max(stalls, key=lambda stall: stall.seconds, default=None)
