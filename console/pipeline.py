"""What is wrong with the pipeline, in sentences, and its charts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console.watching import Look
from streams.agents.watching import Frame

SLOW_S = 10.0
"""a stage whose slowest effects take longer is told of"""


def wrong(frame: Frame) -> list[str]:
    """The worst first; nothing when all is well."""
    found = []
    for worker in frame.workers:
        at = worker.url.removesuffix("/metrics")
        if worker.now is None:
            known = "its address is one of console.workers"
            found.append(f"No worker answers at {at} ({worker.error}): is it running? ({known})")
        found += [f"The worker at {at} is not ready: {why}." for why in worker.reasons]
    for row in frame.stages:
        if row.p99_s is not None and row.p99_s > SLOW_S:
            found.append(
                f"{row.name} takes {row.p99_s:.0f} s for the slowest hundredth of its records: "
                "more workers for this stage share its partitions (tocsin worker --stages)."
            )
    found += [
        f"{what.capitalize()} in {stage}{f' ({which})' if which else ''}: {rate:.3g} a second."
        for what, stage, which, rate, _ in frame.trouble
        if rate and what in ("dead letters", "dropped rows", "sink retries")
    ]
    return found


def charts(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Lag and rate of each stage over the last quarter of an hour."""
    times = sorted({look.at_ms for look in looks})
    stages = list(dict.fromkeys(look.stage for look in looks))
    if len(times) < 2:
        return []
    tones = ("main", "warn", "ok", "mark", "bad", "calm", "main", "warn")
    by = {(look.at_ms, look.stage): look for look in looks}

    def series(part: str) -> list[dict[str, Any]]:
        return [
            {
                "name": stage,
                "tone": tones[at % len(tones)],
                "dash": at >= 6,
                "values": [getattr(by.get((ts, stage)), part, None) for ts in times],
            }
            for at, stage in enumerate(stages)
        ]

    return [
        {"title": "Lag", "unit": "records", "t": times, "series": series("lag"), "sync": "pipeline"},
        {"title": "Rows", "unit": "a second", "t": times, "series": series("rows"), "sync": "pipeline"},
    ]
