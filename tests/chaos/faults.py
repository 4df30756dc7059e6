"""How each fault is done. Each answers with proof that it was done, or raises `NotInjected`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.crew import Crew, Worker, suspended
from tests.chaos.ground import Ground
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.schedule import Fault

PATIENCE_S = 60.0
"""how long a fault waits for something to hit"""


class NotInjected(Exception):
    """The fault did not take place as it should have; the run must not count as survived."""


class NotPossible(Exception):
    """This machine or broker cannot have the fault; it is skipped, loudly."""


@dataclass(slots=True)
class Done:
    """A fault that took place. `ended`: monotonic seconds from which recovery counts."""

    proof: str
    ended: float


@dataclass(slots=True)
class Scene:
    """Where faults happen."""

    ground: Ground
    crew: Crew
    reinforce: Callable[[], Awaitable[Worker]]
    """sets up one more worker, not started"""
    problems: list[str]
    """what is wrong with the run, whatever its result"""
    services: dict[str, asyncio.Lock] = field(
        default_factory=lambda: {"kafka": asyncio.Lock(), "clickhouse": asyncio.Lock()}
    )
    """one fault at a time ends, stops or starts a service"""


async def inject(fault: Fault, scene: Scene) -> Done:
    """Do it. Returns when the fault is over (not when it has been recovered from)."""
    async with AsyncExitStack() as held:
        service = {"broker": "kafka", "clickhouse": "clickhouse", "disk": fault.how}.get(fault.kind)
        if service is not None:
            await held.enter_async_context(scene.services[service])
        return await _HOW[fault.kind](fault, scene)


@asynccontextmanager
async def _target(fault: Fault, scene: Scene) -> AsyncIterator[Worker]:
    """The worker the plan names, or the next one that is at work; no other fault gets it meanwhile."""
    workers = scene.crew.workers
    until = time.monotonic() + 90
    while True:
        for number in range(len(workers)):
            worker = workers[(fault.worker + number) % len(workers)]
            if not worker.taken and worker.wanted and worker.alive() and await worker.partitions():
                if worker.taken:
                    continue
                worker.taken = True
                try:
                    yield worker
                finally:
                    worker.taken = False
                return
        if time.monotonic() > until:
            raise NotInjected("no worker at work")
        await asyncio.sleep(0.1)


async def _kill(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        held = len(await worker.partitions())
        worker.wanted = False
        worker.signal(signal.SIGKILL)
        ended = time.monotonic()
        code = await worker.gone(10)
        if code != -signal.SIGKILL:
            raise NotInjected(f"exit code {code}")
        await asyncio.sleep(fault.seconds)
        worker.start()
        return Done(f"killed with {held} partitions", ended)


async def _term(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        return await _stop_and_start(worker, fault, scene)


async def _stop_and_start(worker: Worker, fault: Fault, scene: Scene) -> Done:
    worker.wanted = False
    worker.signal(signal.SIGTERM)
    ended = time.monotonic()
    code = await worker.gone(25)
    if code != 0:
        scene.problems.append(f"worker {worker.number} answered SIGTERM with exit code {code}")
    stopped = time.monotonic() - ended
    await asyncio.sleep(fault.seconds)
    worker.start()
    return Done(f"stopped in {stopped:.1f}s", ended)


async def _leave(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        others = {
            stage
            for other in scene.crew.workers
            if other is not worker and other.wanted
            for stage in other.stages.split(",")
        }
        if not set(worker.stages.split(",")) <= others:
            return await _stop_and_start(worker, fault, scene)
        worker.wanted = False
        worker.signal(signal.SIGTERM)
        ended = time.monotonic()
        code = await worker.gone(25)
        if code != 0:
            scene.problems.append(f"worker {worker.number} answered SIGTERM with exit code {code}")
        return Done(f"left in {time.monotonic() - ended:.1f}s", ended)


async def _join(fault: Fault, scene: Scene) -> Done:
    worker = await scene.reinforce()
    worker.start()
    began = time.monotonic()
    while not (held := await worker.partitions()):
        if time.monotonic() - began > 90:
            raise NotInjected("the new worker got no partition")
        await asyncio.sleep(0.1)
    return Done(f"got {len(held)} partitions after {time.monotonic() - began:.1f}s", time.monotonic())


async def _pause(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        worker.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
            if not worker.suspended():
                raise NotInjected("the process was not stopped")
        finally:
            worker.signal(signal.SIGCONT)
        return Done(f"stopped for {fault.seconds:.1f}s", time.monotonic())


async def _skew(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        worker.wanted = False
        worker.signal(signal.SIGTERM)
        ended = time.monotonic()
        await worker.gone(25)
        worker.skew_s = float(fault.how)
        before = worker.log.stat().st_size
        worker.start()
        await _until(lambda: b"clock is off" in worker.log.read_bytes()[before:], "the clock was not shifted")
        return Done(f"restarted with its clock off by {fault.how}s", ended)


async def _partition(fault: Fault, scene: Scene) -> Done:
    async with _target(fault, scene) as worker:
        return await _network(fault, [worker.kafka], Mode(fault.how))


async def _network(fault: Fault, proxies: list[Proxy], mode: Mode) -> Done:
    before = sum(proxy.seen[mode] for proxy in proxies)
    for proxy in proxies:
        proxy.set(mode)
    try:
        await asyncio.sleep(fault.seconds)
        # Until it bit: a sink writes only when there is something to write.
        await _until(
            lambda: sum(proxy.seen[mode] for proxy in proxies) > before,
            f"nothing to {mode} came by",
            PATIENCE_S,
        )
    finally:
        for proxy in proxies:
            proxy.set(Mode.OPEN)
    times = sum(proxy.seen[mode] for proxy in proxies) - before
    return Done(f"{times} times", time.monotonic())


async def _clickhouse(fault: Fault, scene: Scene) -> Done:
    proxies = [worker.clickhouse for worker in scene.crew.workers]
    supervisor = scene.ground.supervisor
    if fault.how not in ("kill", "freeze"):
        return await _network(fault, proxies, Mode(fault.how))
    if fault.how == "freeze":
        return await _freeze("clickhouse", fault, scene)
    before = sum(proxy.away for proxy in proxies)
    supervisor.kill("clickhouse")
    try:
        await asyncio.sleep(fault.seconds)
        await _until(
            lambda: sum(proxy.away for proxy in proxies) > before, "nobody missed ClickHouse", PATIENCE_S
        )
    finally:
        await asyncio.to_thread(supervisor.restart, "clickhouse")
    return Done(f"missed {sum(proxy.away for proxy in proxies) - before} times", time.monotonic())


async def _freeze(name: str, fault: Fault, scene: Scene) -> Done:
    supervisor = scene.ground.supervisor
    pid = supervisor.pid(name)
    supervisor.kill(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.seconds)
        if not suspended(pid):
            raise NotInjected(f"{name} was not stopped")
    finally:
        supervisor.kill(name, signal.SIGCONT)
    return Done(f"{name} stood still for {fault.seconds:.1f}s", time.monotonic())


async def _broker(fault: Fault, scene: Scene) -> Done:
    name = "apache-kafka" if scene.ground.real else "kafka"
    if fault.how == "freeze":
        return await _freeze(name, fault, scene)
    cluster = scene.ground.cluster
    assert cluster is not None, "the embedded broker forgets everything when it ends"
    before = cluster.pid
    await asyncio.to_thread(cluster.kill if fault.how == "kill" else cluster.stop)
    down = time.monotonic()
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(scene.ground.start_broker)
    if cluster.pid == before:
        raise NotInjected("the broker is the same process as before")
    return Done(f"away for {time.monotonic() - down:.1f}s", time.monotonic())


async def _disk(fault: Fault, scene: Scene) -> Done:
    ground, disk = scene.ground, scene.ground.disks[fault.how]
    if disk not in ground.mounted:
        raise NotPossible(f"no file system of its own for {fault.how}: mounting one needs root")
    filler = disk / "filler"
    logs = [worker.log for worker in scene.crew.workers]
    sizes = [log.stat().st_size for log in logs]

    def bit() -> bool:
        if fault.how == "kafka":
            return not ground.supervisor.is_alive(
                "apache-kafka"
            ) or "No space left" in ground.supervisor.tail("apache-kafka", 200)
        new = b"".join(log.read_bytes()[size:] for log, size in zip(logs, sizes, strict=True))
        return b"space" in new.lower()

    try:
        await asyncio.to_thread(_fill, filler)
        await asyncio.sleep(fault.seconds)
        await _until(bit, f"{fault.how} did not mind its full disk", 20)
    finally:
        filler.unlink(missing_ok=True)
        if fault.how == "kafka":
            assert ground.cluster is not None
            with contextlib.suppress(Exception):
                await asyncio.to_thread(ground.cluster.kill)
            await asyncio.to_thread(ground.start_broker)
        else:
            # A merge that ran out of space has been seen to leave a part without marks, which cannot be read
            # any more; at a start the engine takes up the parts it was made of.
            await asyncio.to_thread(ground.supervisor.restart, "clickhouse")
    return Done(f"{fault.how} had no space", time.monotonic())


def _fill(path: Path) -> None:
    """Leave no byte free on the file system of `path`."""
    with path.open("wb", buffering=0) as out:
        for size in (1 << 20, 4_096, 1):
            with contextlib.suppress(OSError):
                while True:
                    if not out.write(b"\0" * size):
                        break
        os.fsync(out.fileno())


async def _until(condition: Callable[[], bool], otherwise: str, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            raise NotInjected(otherwise)
        await asyncio.sleep(0.05)


_HOW: dict[str, Callable[[Fault, Scene], Awaitable[Done]]] = {
    "kill": _kill,
    "term": _term,
    "leave": _leave,
    "join": _join,
    "pause": _pause,
    "sleep": _pause,
    "skew": _skew,
    "partition": _partition,
    "clickhouse": _clickhouse,
    "broker": _broker,
    "disk": _disk,
}
