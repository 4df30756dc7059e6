"""Runs chunks in processes of their own, so that a hang or a crash of the interpreter is a finding, too."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.fuzz import memory
from tests.fuzz.chunks import MINIMISE_S, SIZE, TIME_LIMIT_S, Failure, run_chunk, warm_up
from tests.fuzz.feed import Feeder, Tally

HARD_LIMIT_S = 60 * TIME_LIMIT_S + MINIMISE_S
"""without a finished chunk: the process is stuck where no signal reaches it"""
MOST_FAILURES = 20
"""of one part; more say nothing new"""
GROWTH_BYTES = 300 << 20
"""of RSS between the first tenth of the run and its end"""


@dataclass
class Part:
    """What one process has to say."""

    tally: Tally
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    peak: int = 0
    rss: tuple[int, int] = (0, 0)
    """bytes after a tenth of the run, and at its end"""
    objects: tuple[int, int] = (0, 0)


def _work(wire_format: str, seed: int, numbers: Sequence[int], folder: Path, at: Any, answer: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up(wire_format)
    feeder, part, begun = Feeder(wire_format), Part(Tally()), time.monotonic()
    for count, number in enumerate(numbers):
        at.value = number
        failure, feeder = run_chunk(feeder, seed, number, folder)
        if failure is not None:
            part.failures.append(failure)
            if len(part.failures) == MOST_FAILURES:
                break
        if count == len(numbers) // 10:
            part.rss, part.objects = (memory.resident(), 0), (memory.objects(), 0)
    part.tally, part.seconds, part.peak = feeder.tally, time.monotonic() - begun, memory.peak()
    part.rss = (part.rss[0], memory.resident())
    part.objects = (part.objects[0], memory.objects())
    answer.put(part)


@dataclass
class _Job:
    wire_format: str
    process: BaseProcess
    at: Any
    answer: Any
    seen: int = -2
    seen_at: float = 0.0


def run(
    wire_formats: Sequence[str], records: int, seed: int, jobs: int, folder: Path
) -> Iterator[tuple[str, list[Part]]]:
    """(format, its parts) as they finish; every format's chunks are dealt to `jobs` processes."""
    context = multiprocessing.get_context("spawn")
    chunks = -(-records // SIZE)
    for wire_format in wire_formats:
        running: list[_Job] = []
        for start in range(min(jobs, chunks)):
            at, answer = context.Value("q", -1), context.Queue()
            numbers = range(start, chunks, jobs)
            process = context.Process(
                target=_work, args=(wire_format, seed, numbers, folder, at, answer), daemon=True
            )
            process.start()
            running.append(_Job(wire_format, process, at, answer))
        yield wire_format, [_awaited(job) for job in running]


def _awaited(job: _Job) -> Part:
    while True:
        try:
            found: Part = job.answer.get(timeout=0.2)
        except queue.Empty:
            number, now = job.at.value, time.monotonic()
            if number != job.seen:
                job.seen, job.seen_at = number, now
            if not job.process.is_alive() and job.answer.empty():
                return _dead(job, f"process: ended with {job.process.exitcode} in chunk {number}")
            if now - job.seen_at > HARD_LIMIT_S:
                job.process.kill()
                job.process.join()
                return _dead(job, f"hang: chunk {number} holds the interpreter for {HARD_LIMIT_S} s")
        else:
            job.process.join()
            return found


def _dead(job: _Job, text: str) -> Part:
    failure = Failure(job.wire_format, job.at.value, text.partition(":")[0], text, "")
    return Part(Tally(), [failure])
