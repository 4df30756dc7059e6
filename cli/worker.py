"""`tocsin worker`: run stages of the pipeline until stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
import typer

from cli.catalogue import check_templates, checked, in_a_line
from cli.common import ClickHouseUrl, ConfigFile, KafkaAddress, settings_from
from cli.errors import CliError
from cli.receive import address, token
from config.settings import Settings
from streams.agents import footprint, logs
from streams.agents.observe import ObserveConfig
from streams.agents.process import WorkerConfig, run_worker, use_fast_loop
from streams.agents.receiver import Receiver
from streams.agents.stages import STAGES, StagePlan, build_plan, expanded, topic_specs
from streams.agents.topics import StartError

log = logging.getLogger(__name__)

LEAVE_S = 5.0
"""after everything has been stopped, what is still waiting for something gets this much more time"""
SETTLE_AGAIN_S = 20.0
TRIM_EVERY_S = 10.0


def worker(
    stages: Annotated[
        str, typer.Option("--stages", "-s", help="Which stages to run, separated by commas.")
    ] = ",".join(STAGES),
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    health_port: Annotated[
        int,
        typer.Option(
            "--health-port",
            envvar="TOCSIN_HEALTH_PORT",
            min=-1,
            max=65535,
            help="Port of /livez, /readyz, /healthz, /lag and /metrics; 0: any free one; -1: none.",
        ),
    ] = 8390,
    health_bind: Annotated[
        str,
        typer.Option(
            "--health-bind",
            envvar="TOCSIN_HEALTH_BIND",
            help="Address the health port listens on; 0.0.0.0: all of this machine.",
        ),
    ] = "127.0.0.1",
    receive: Annotated[
        str | None,
        typer.Option(
            "--receive",
            envvar="TOCSIN_RECEIVE",
            metavar="HOST:PORT",
            help="Also receive alerts by HTTP there, as tocsin receive does.",
            show_default=False,
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option("--log-level", envvar="TOCSIN_LOG_LEVEL", help=" | ".join(logs.LEVELS))
    ] = "warning",
    log_format: Annotated[
        str,
        typer.Option(
            "--log-format",
            envvar="TOCSIN_LOG_FORMAT",
            help=" | ".join(logs.FORMATS) + "; auto: console on a terminal, JSON lines otherwise.",
        ),
    ] = "auto",
) -> None:
    """Run the pipeline: Kafka in, incidents out.

    One worker runs all stages, notify once for each target that is configured. Start more of them, on any
    machine, and they share the partitions; give the heavy stage workers of its own with --stages. Topics are
    created as configured when they are missing. Stop with Ctrl-C or SIGTERM: what has begun is finished and
    checkpointed.

    Examples:

      tocsin worker

      tocsin worker --kafka broker:9092 --clickhouse http://clickhouse:8123

      tocsin worker --stages ingest,detect --health-port 0

    Exit code: 0 stopped, 1 an error, 2 could not start, 3 no progress for too long.
    """
    chosen = _chosen(stages)
    if log_level not in logs.LEVELS:
        raise CliError(f"--log-level is {log_level!r}", f"use one of {', '.join(logs.LEVELS)}")
    if log_format not in logs.FORMATS:
        raise CliError(f"--log-format is {log_format!r}", f"use one of {', '.join(logs.FORMATS)}")
    say = _teller(logs.set_up(log_level, log_format))
    settings = settings_from(config, kafka, clickhouse)
    if "correlate" in chosen:
        check_templates(settings)
        reading = checked(settings)  # before anything is started: what is wrong with it stops the start
        if reading.catalogue:
            say(f"catalogue: {in_a_line(reading)}")
    named, chosen = chosen, expanded(chosen, settings)
    if not chosen:
        if "notify" in named:
            raise CliError("--stages notify: no target is configured", "add one under notify.targets")
        raise CliError("--stages history: history.enabled is false", "switch it on to keep samples")
    alerts = None if receive is None else (*address(receive, "--receive"), token())
    try:
        use_fast_loop()
        port = None if health_port < 0 else health_port
        code = asyncio.run(_run(settings, chosen, port, health_bind, alerts, say))
    except StartError as error:
        raise CliError(str(error)) from None
    sys.exit(code)


def _chosen(stages: str) -> list[str]:
    named = [name.strip() for name in stages.split(",") if name.strip()]
    wrong = [name for name in named if name not in STAGES]
    if wrong or not named:
        raise CliError(f"--stages {stages!r} names no stage", f"use some of {','.join(STAGES)}")
    return [stage for stage in STAGES if stage in named]


async def _run(
    settings: Settings,
    stages: list[str],
    health_port: int | None,
    health_bind: str,
    alerts: tuple[str, int, str] | None,
    say: Callable[[str], None],
) -> int:
    footprint.keep_small()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)  # asked twice: no more patience
        say("stopping: finishing what has begun (again to exit at once)")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    def plan_for(stage: str, counts: Mapping[str, int]) -> StagePlan:
        plan = build_plan(stage, settings, counts)
        footprint.settle()  # whatever this stage compiles has been compiled
        return plan

    # Some kernels are loaded when the first data of their kind come.
    loop.call_later(SETTLE_AGAIN_S, footprint.settle)
    footprint.trim_every(TRIM_EVERY_S, loop)
    worker_config = WorkerConfig(
        broker=settings.kafka,
        group_prefix=settings.kafka.group_prefix,
        replication=settings.kafka.replication,
        checkpoint_s=settings.kafka.checkpoint_seconds,
        health_port=health_port,
        observe=ObserveConfig(health_host=health_bind, **msgspec.structs.asdict(settings.telemetry)),
    )
    running = run_worker(
        worker_config,
        stages,
        topic_specs(settings),
        plan_for,
        stop,
        announce=say,
    )
    if alerts is None:
        return _ending(await running)
    receiver = Receiver(settings, alerts[2], stop.set)
    try:
        say(f"alerts at http://{alerts[0]}:{await receiver.start(*alerts[:2])}/v1/alerts")
        return _ending(await running)
    finally:
        running.close()  # nothing, unless it was never awaited
        await receiver.stop()


def _ending(code: int) -> int:
    """The exit code. The process ends soon, also if something in a client waits for a service that is away.

    All that can be saved has been by now; what clients have left to say goes with them.
    """
    timer = threading.Timer(LEAVE_S, os._exit, (code,))
    timer.daemon = True
    timer.start()
    return code


def _teller(form: str) -> Callable[[str], None]:
    """How the worker says where it stands: a line for a person, or one more JSON line."""
    if form == "json":
        log.setLevel(logging.INFO)  # said whatever the level of the rest
        return log.info
    return lambda line: print(f"tocsin worker: {line}", file=sys.stderr, flush=True)
