"""`tocsin worker`: run stages of the pipeline until stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Annotated

import typer

from cli.common import ClickHouseUrl, ConfigFile, KafkaAddress, settings_from
from cli.errors import CliError
from cli.receive import address, token
from config.settings import Settings
from streams.agents.process import WorkerConfig, run_worker
from streams.agents.receiver import Receiver
from streams.agents.stages import STAGES, build_plan, topic_specs
from streams.agents.topics import StartError

LEVELS = ("debug", "info", "warning", "error")


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
            help="Port of /healthz, /lag and /metrics on 127.0.0.1; 0: any free one; -1: none.",
        ),
    ] = 8390,
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
        str, typer.Option("--log-level", envvar="TOCSIN_LOG_LEVEL", help=" | ".join(LEVELS))
    ] = "warning",
) -> None:
    """Run the pipeline: Kafka in, incidents out.

    One worker runs all four stages. Start more of them, on any machine, and they share the
    partitions; give the heavy stage workers of its own with --stages. Topics are created as configured
    when they are missing. Stop with Ctrl-C or SIGTERM: what has begun is finished and checkpointed.

    Examples:

      tocsin worker

      tocsin worker --kafka broker:9092 --clickhouse http://clickhouse:8123

      tocsin worker --stages ingest,detect --health-port 0

    Exit code: 0 stopped, 1 an error, 2 could not start, 3 no progress for too long.
    """
    chosen = _chosen(stages)
    if log_level not in LEVELS:
        raise CliError(f"--log-level is {log_level!r}", f"use one of {', '.join(LEVELS)}")
    _set_up_logging(log_level)
    settings = settings_from(config, kafka, clickhouse)
    alerts = None if receive is None else (*address(receive, "--receive"), token())
    try:
        code = asyncio.run(_run(settings, chosen, None if health_port < 0 else health_port, alerts))
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
    settings: Settings, stages: list[str], health_port: int | None, alerts: tuple[str, int, str] | None
) -> int:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)  # asked twice: no more patience
        _say("stopping: finishing what has begun (again to exit at once)")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    worker_config = WorkerConfig(
        bootstrap=settings.kafka.bootstrap,
        group_prefix=settings.kafka.group_prefix,
        replication=settings.kafka.replication,
        checkpoint_s=settings.kafka.checkpoint_seconds,
        health_port=health_port,
    )
    running = run_worker(
        worker_config,
        stages,
        topic_specs(settings),
        lambda stage, counts: build_plan(stage, settings, counts),
        stop,
        announce=_say,
    )
    if alerts is None:
        return await running
    receiver = Receiver(settings, alerts[2], stop.set)
    try:
        _say(f"alerts at http://{alerts[0]}:{await receiver.start(*alerts[:2])}/v1/alerts")
        return await running
    finally:
        running.close()  # nothing, unless it was never awaited
        await receiver.stop()


def _say(line: str) -> None:
    print(f"tocsin worker: {line}", file=sys.stderr, flush=True)


def _set_up_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    if level == "info":
        # Their information is about every service started and every group joined.
        for name in ("faust", "mode", "aiokafka", "streams.agents.app", "streams.agents.transport"):
            logging.getLogger(name).setLevel(logging.WARNING)
