"""One worker process: any subset of the stages in one event loop, from topics to an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from config.connect import Broker, address
from streams.agents import compression, patience, tolerant
from streams.agents.app import AppConfig, StageApp, build_app
from streams.agents.checkpoints import CheckpointStore
from streams.agents.observe import ObserveConfig, Observer
from streams.agents.placed import PlacedPartition
from streams.agents.runner import CoreRunner, RunnerConfig
from streams.agents.sinkrunner import SinkRunner, start_handler
from streams.agents.stages import StagePlan, checkpoint_spec
from streams.agents.topics import StartError, TopicSpec, connect, ensure_topics
from streams.agents.transport import check_overrides
from streams.agents.views import StageView, stalled_for
from streams.records.stage import Output

try:
    import uvloop
except ImportError:  # it has no Windows
    uvloop = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_CRASHED = 1
EXIT_STALLED = 3
ENDS_EVERY_S = 1.0
"""how often the broker is asked for the ends of the partitions"""


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker runs, apart from what its stages compute."""

    broker: Broker
    group_prefix: str = "tocsin"
    replication: int = 1
    checkpoint_s: float = 5.0
    health_port: int | None = None
    """None: no health endpoint; 0: any free port"""
    unhealthy_after_s: float = 30.0
    exit_after_s: float = 300.0
    """a partition with lag and no progress for this long ends the worker, for its supervisor to restart it"""
    stop_s: float = 8.0
    connect_s: float = 10.0
    drain_s: float = 15.0
    tick_s: float = 0.5
    observe: ObserveConfig = dataclasses.field(default_factory=ObserveConfig)


class Stage:
    """A stage at work: its App, its runner and the task that ticks it."""

    def __init__(
        self,
        plan: StagePlan,
        config: WorkerConfig,
        checkpoints: TopicSpec | None,
        fail: Callable[[BaseException], None],
    ) -> None:
        self.name = plan.name
        self.runner: CoreRunner | SinkRunner
        runner_config = RunnerConfig(
            plan.name, config.checkpoint_s, tick_s=config.tick_s, drain_s=config.drain_s
        )
        if plan.factory is not None:
            store = (
                CheckpointStore(config.broker, checkpoints.name, checkpoints.partitions, self.send)
                if checkpoints
                else None
            )
            self.runner = CoreRunner(
                runner_config, plan.factory, self.send, store, fail, prefetch=plan.prefetch
            )
        elif plan.handler is not None:
            self.runner = SinkRunner(runner_config, plan.handler, fail)
        else:
            raise ValueError(f"stage {plan.name} has neither cores nor a sink")
        self.app: StageApp = build_app(
            AppConfig(
                group=f"{config.group_prefix}-{plan.name}",
                broker=config.broker,
                topics=plan.inputs,
                fetch_max_wait_ms=plan.fetch_max_wait_ms,
            ),
            self.runner,
        )
        self._fail = fail

    async def send(self, output: Output) -> Awaitable[object]:
        """Hand one output to the producer; waits while its buffers are full."""
        topic, value, key, partition, headers = output
        delivery: Awaitable[object] = await patience.patiently(
            self.name,
            lambda: self.app.producer.send(topic, key, value, partition, None, list(headers) or None),
        )
        return delivery

    async def tick_forever(self) -> None:
        """Tick the cores and keep the partitions' ends up to date."""
        asked = 0.0
        try:
            while True:
                await asyncio.sleep(self.runner.config.tick_s)
                partitions = self.runner.partitions
                if partitions and time.monotonic() - asked > ENDS_EVERY_S:
                    asked = time.monotonic()
                    await self._ask_ends(partitions)
                self._hear_ends(partitions)
                await self.runner.tick()
        except Exception as error:
            self._fail(error)
            raise

    def _hear_ends(self, partitions: Mapping[TP, PlacedPartition]) -> None:
        # Between two questions the fetches say how far the log goes: nobody is at the end too early.
        for tp, placed in partitions.items():
            if placed.high is not None:
                placed.hear_end(max(placed.high, self.app.monitor.tp_end_offsets.get(tp, 0)))

    async def _ask_ends(self, partitions: Mapping[TP, PlacedPartition]) -> None:
        # Asked of the broker: what the fetcher knows is stale exactly when reading has stopped.
        asked = time.monotonic()
        try:
            async with asyncio.timeout(5):
                ends = await self.app.consumer.highwaters(*partitions)
        except (KafkaError, TimeoutError) as error:
            log.debug("%s: cannot ask for the ends of its partitions: %r", self.name, error)
            return
        for tp, end in ends.items():
            placed = partitions.get(TP(tp.topic, tp.partition))
            if placed is not None:
                placed.heard_end(end, asked, time.monotonic())

    async def stop(self, within_s: float) -> None:
        """Drain, checkpoint, commit, leave the group. Half of `within_s` (seconds) is for the drain."""
        if self.runner.partitions:
            await self._within(within_s / 2, self.app.consumer.drain(), "drained")
        await self._within(within_s / 2, self.app.stop(), "stopped")

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None], what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            log.warning("%s: not %s within %.1f s; the rest will be read again", self.name, what, seconds)


def calm_collector() -> None:
    """Have the cyclic collector leave alone what is there for good, and look less often at the rest.

    Every fetch makes thousands of objects that live for a moment and are in no cycle. Looking for cycles
    among them, and among all modules and compiled code each time, took more time than unpacking them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def use_fast_loop() -> None:
    """Event loops made from now on, Faust's thread included, are uvloop's where it is installed."""
    if uvloop is not None:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def run_worker(
    config: WorkerConfig,
    stages: Sequence[str],
    specs: Sequence[TopicSpec],
    plan_for: Callable[[str, Mapping[str, int]], StagePlan],
    stop: asyncio.Event,
    announce: Callable[[str], None] = log.info,
) -> int:
    """Run until `stop` is set or something breaks. Returns the exit code; raises StartError."""
    missing = check_overrides()
    if missing:
        raise StartError(f"this Faust lacks {', '.join(missing)}: install the pinned faust-streaming")
    tolerant.install()
    compression.install()
    patience.install()
    preparing = asyncio.create_task(_prepare(config, stages, specs, plan_for))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not preparing.done():
        preparing.cancel()
        return EXIT_OK
    plans, checkpoints = preparing.result()
    calm_collector()
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    handlers = [plan.handler for plan in plans if plan.handler is not None]
    running = [Stage(plan, config, checkpoints.get(plan.name), fail) for plan in plans]
    views = [StageView(stage.name, stage.runner, stage.app) for stage in running]
    observer = Observer(config.observe, views, config.unhealthy_after_s, config.exit_after_s)
    tasks: list[asyncio.Task[None]] = []
    try:
        await observer.start(config.health_port, running[0].send, announce)
        for stage, plan in zip(running, plans, strict=True):
            announce(f"{stage.name}: reading {', '.join(plan.inputs)} as group {stage.app.conf.id}")
            # Each start waits for its group to be joined, so they start side by side.
            tasks.append(asyncio.create_task(_start(stage.app, fail)))
            tasks.append(asyncio.create_task(stage.tick_forever()))
        return await _watch(stop, failed, views, config)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(stage.stop(config.stop_s) for stage in running))
        for handler in handlers:
            await handler.stop()
        await observer.stop()


async def _prepare(
    config: WorkerConfig,
    stages: Sequence[str],
    specs: Sequence[TopicSpec],
    plan_for: Callable[[str, Mapping[str, int]], StagePlan],
) -> tuple[list[StagePlan], dict[str, TopicSpec]]:
    """Topics first (cores want to know the partitions), then the plans, then their checkpoint topics."""
    admin = await connect(config.broker, config.connect_s)
    try:
        counts = await ensure_topics(admin, specs, config.replication)
        plans = [plan_for(stage, counts) for stage in stages]
        checkpoints = {
            plan.name: checkpoint_spec(config.group_prefix, plan, counts) for plan in plans if plan.stateful()
        }
        if checkpoints:
            await ensure_topics(admin, list(checkpoints.values()), config.replication)
    except (KafkaError, OSError) as error:
        if not patience.passing(error):
            raise
        raise StartError(
            f"the Kafka broker at {address(config.broker)} went away while its topics were looked at"
            f" ({error}): start the worker again when it is back"
        ) from error
    finally:
        await admin.close()
    for plan in plans:
        if plan.handler is not None:
            await start_handler(plan.handler, config.connect_s)
    return plans, checkpoints


async def _start(app: StageApp, fail: Callable[[BaseException], None]) -> None:
    """Run an App. Faust services crash quietly into a flag; make it loud."""
    try:
        try:
            await app.start()
        except (KafkaError, OSError) as error:
            if not patience.passing(error):
                raise
            raise StartError(
                f"the Kafka broker went away while {app.conf.id} was started ({error}): "
                "start the worker again when it is back"
            ) from error
        await app.wait_until_stopped()
    except Exception as error:
        fail(error)
        raise
    if app.crashed:
        fail(app.crash_reason or RuntimeError(f"{app.conf.id} crashed"))


async def _watch(
    stop: asyncio.Event, failed: asyncio.Future[None], views: Sequence[StageView], config: WorkerConfig
) -> int:
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stopping.done():
            waiting: set[asyncio.Future[Any]] = {stopping, failed}
            await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                error = failed.exception()
                if isinstance(error, StartError):
                    raise error
                log.critical("worker ends after an error: %r", error, exc_info=error)
                return EXIT_CRASHED
            stuck = stalled_for(views, time.monotonic(), outage_counts=False)
            if stuck is not None and stuck.seconds > config.exit_after_s:
                where = {"stage": stuck.stage, "topic": stuck.topic, "partition": stuck.partition}
                log.critical("worker ends: %s", stuck, extra=where | {"lag": stuck.lag})
                return EXIT_STALLED
        return EXIT_OK
    finally:
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stopping
