"""One run: workers, data, faults, and the verdict."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError

from config.load import load as load_settings
from config.settings import Settings
from streams.agents.stages import STAGES, stage_inputs, topic_specs
from tests.chaos.audit import Audit, audit_clickhouse, audit_topics
from tests.chaos.crew import Crew, Worker
from tests.chaos.faults import Done, NotInjected, NotPossible, Scene, inject
from tests.chaos.findings import findings_of
from tests.chaos.ground import Ground
from tests.chaos.schedule import ALL, Fault, Plan
from tests.chaos.watch import Recovery, Watch
from tests.chaos.workload import EDGES, SOURCES, Fed, Workload

DEADLINE_S = 90.0
"""After data and faults are over, everything must have come right within this many seconds."""
START_S = 300.0
"""Workers may have to compile their kernels first."""


@dataclass(slots=True)
class Verdict:
    """What came of a run."""

    plan: Plan
    audit: Audit = field(default_factory=Audit)
    problems: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.audit.clean and not self.problems


class Chaos:
    """State of a run while it goes on."""

    def __init__(self, ground: Ground, plan: Plan, folder: Path, name: str, speed: float = 25.0) -> None:
        self.ground, self.plan, self.folder, self.speed = ground, plan, folder, speed
        folder.mkdir(parents=True, exist_ok=True)
        self.raw = _raw_settings(name, folder)
        base = folder / "tocsin.yaml"
        base.write_text(yaml.safe_dump(self.raw))
        self.settings: Settings = load_settings(base)
        self.work = Workload(plan.seed, self.settings)
        self.watch = Watch(ground, self.settings, self.work.seconds)
        self.crew = Crew([self._worker(number, stages) for number, stages in enumerate(plan.layout)])
        self.verdict = Verdict(plan)
        self.scene = Scene(ground, self.crew, self._reinforce, self.verdict.problems)
        self.sent_s = 0.0
        """seconds of event time sent so far"""

    def _worker(self, number: int, stages: str) -> Worker:
        return Worker(
            number, self.folder, self.raw, stages, self.ground.kafka_port, self.ground.clickhouse_port
        )

    async def run(self) -> Verdict:
        """From empty topics to a verdict. Whatever happens, no worker is left."""
        began = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._set_up(tasks)
            async with self.ground.producer() as producer:
                feeding = asyncio.create_task(self._feed(producer, self.work.data))
                try:
                    await asyncio.gather(feeding, *(self._fault(fault) for fault in self.plan.faults))
                finally:
                    feeding.cancel()
                await self.until("what the data give", self._data_done)
                await self._feed(producer, self.work.actions)
            await self.until("the answers to actions", self._actions_done)
            await self.until("everything in ClickHouse", self._stored)
            await self.until("recovery from every fault", self._recovered, 20)
            await self._stop_workers()
        except _Late as late:
            self.verdict.problems.append(str(late))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(worker.close() for worker in self.crew.workers))
        await self._audit()
        self.verdict.recoveries = self.watch.recoveries
        self.verdict.restarts = self.crew.restarts
        self.verdict.seconds = time.monotonic() - began
        return self.verdict

    async def _set_up(self, tasks: list[asyncio.Task[None]]) -> None:
        await self.ground.create(topic_specs(self.settings))
        for worker in self.crew.workers:
            await worker.open()
            worker.start()
        tasks += [asyncio.create_task(self.watch.run()), asyncio.create_task(self.crew.watch())]
        await self.until("every partition in the hands of a worker", self.all_held, START_S)
        async with self.ground.producer() as producer:
            await self._feed(producer, self.work.changes)
        # A change counts from where it stands in the log: before the data, as in the reference.
        await self.until("the change", lambda: len(self.watch.changes) == len(self.work.changes))

    async def _feed(self, producer: Any, records: list[Fed]) -> None:
        """Send records when they are due; a broker that is away is waited for."""
        started, pending = time.monotonic(), []
        for record in records:
            await asyncio.sleep(started + record.at_s / self.speed - time.monotonic())
            pending.append(
                await producer.send(
                    record.topic,
                    record.value,
                    key=None if record.value is not None else b"control",
                    partition=record.partition,
                    headers=list(record.headers),
                )
            )
            if len(pending) >= 30:
                await asyncio.gather(*pending)
                pending.clear()
            if record.value is not None:
                self.sent_s = max(self.sent_s, record.at_s)
        await asyncio.gather(*pending)

    async def _fault(self, fault: Fault) -> None:
        """Wait for its turn, do it, and begin to time the recovery."""
        await self.until("its turn", lambda: self.sent_s >= fault.at * self.work.seconds, math.inf)
        if self.sent_s >= self.work.seconds - 1:
            self.verdict.problems.append(f"{fault}: no more data came when it began")
            return
        began = time.monotonic()
        try:
            done: Done = await inject(fault, self.scene)
        except NotPossible as why:
            self.verdict.skipped.append(f"{fault}: {why}")
            return
        except NotInjected as why:
            self.verdict.problems.append(f"{fault}: {why}")
            return
        self.verdict.proofs.append(f"{fault}: {done.proof}")
        what = f"{fault.kind} {fault.how}".strip() if fault.kind != "skew" else "skew"
        self.watch.fault_over(what, began, done.ended, self.sent_s)

    async def _reinforce(self) -> Worker:
        worker = self._worker(len(self.crew.workers), ALL)
        await worker.open()
        self.crew.workers.append(worker)
        return worker

    # -- conditions ------------------------------------------------------------------------------

    async def until(
        self, what: str, condition: Callable[[], bool | Awaitable[bool]], within_s: float = DEADLINE_S
    ) -> None:
        """Wait for a condition; what does not come in time ends the run as a problem."""
        until = time.monotonic() + within_s
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            if time.monotonic() > until:
                raise _Late(f"not within {within_s:.0f} s: {what}")
            await asyncio.sleep(0.05)

    async def all_held(self) -> bool:
        """Whether every partition of every stage is in the hands of a worker."""
        counts = {spec.name: spec.partitions for spec in topic_specs(self.settings)}
        wanted = {
            (stage, topic, partition)
            for stage in STAGES
            if stage
            not in ("notify", "history")  # no targets; nothing that is decided depends on samples kept
            for topic in stage_inputs(stage, self.settings)
            for partition in range(counts[topic])
        }
        return wanted <= set(await self.crew.holders())

    def _data_done(self) -> bool:
        """Every incident version the data alone give is on the topic."""
        return self.watch.versions >= self.work.decided

    def _actions_done(self) -> bool:
        return self.watch.answers >= set(self.work.expected.answers) and self.watch.versions >= set(
            self.work.expected.incidents
        )

    async def _stored(self) -> bool:
        expected = self.work.expected
        try:
            stored = await self.watch.stored()
        except Exception:  # noqa: BLE001 - away, or not ready yet
            return False
        wanted = (len(expected.alerts), len(expected.incidents), len(expected.letters))
        return all(have >= want for have, want in zip(stored, wanted, strict=True))

    def _recovered(self) -> bool:
        return all(recovery.done for recovery in self.watch.recoveries)

    # -- the end ---------------------------------------------------------------------------------

    async def _stop_workers(self) -> None:
        ending = [worker for worker in self.crew.workers if worker.wanted and worker.alive()]
        # One that is just starting does not listen yet.
        await self.until("workers that listen", lambda: all(worker.announced() for worker in ending))
        for worker in ending:
            worker.wanted = False
            worker.signal(signal.SIGTERM)
        for worker, code in zip(ending, await asyncio.gather(*(w.gone(20) for w in ending)), strict=True):
            if code != 0:
                self.verdict.problems.append(f"worker {worker.number} ended with exit code {code}")

    async def _audit(self) -> None:
        inputs = {topic.name for topic in self.settings.topics.inputs}
        ours = [spec for spec in topic_specs(self.settings) if spec.name not in inputs]
        found = findings_of(self.settings, await self.ground.read(ours))
        self.verdict.audit = audit_topics(self.work, found)
        try:
            await audit_clickhouse(self.verdict.audit, self.settings, self.work, self.ground)
        except (OSError, ClientError) as why:
            self.verdict.problems.append(f"ClickHouse could not be asked: {why}")
        for number, code in self.crew.restarts:
            # 2: it could not start because a service was away, and its supervisor tries again.
            if code != 2:
                self.verdict.problems.append(f"worker {number} ended by itself with exit code {code}")


class _Late(Exception):
    """Something did not come in time."""


def _raw_settings(name: str, folder: Path) -> dict[str, Any]:
    topology = folder / "topology.json"
    topology.write_text(json.dumps([{"caller": a, "callee": b} for a, b in EDGES]))
    named = {
        key: f"{name}.{key}"
        for key in (
            "pages",
            "alerts",
            "incidents",
            "suppressions",
            "response",
            "written",
            "notifications",
            "topology",
            "problems",
            "action_results",
            "audit",
            "deadletters",
        )
    }
    inputs = [
        {"name": f"{name}.in", "format": "tocsin", "partitions": SOURCES},
        {"name": f"{name}.changes", "format": "changes", "partitions": 1},
        {"name": f"{name}.actions", "format": "actions", "partitions": 1},
    ]
    return {
        "kafka": {"group_prefix": name, "checkpoint_seconds": 0.5},
        "topics": {"inputs": inputs, **named},
        "ingest": {"shards": 3, "allowed_lateness_ms": 1_000},
        "correlate": {"topology": str(topology)},
        "clickhouse": {"database": name},
        # What workers say of themselves hangs on the wall clock: no two runs say the same.
        "telemetry": {"self_topic": ""},
    }
