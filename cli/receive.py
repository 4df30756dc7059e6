"""`tocsin receive`: alerts by HTTP, into Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.common import ConfigFile, KafkaAddress, settings_from
from cli.errors import CliError
from config.settings import Settings
from streams.agents.receiver import receive as serve
from streams.agents.topics import StartError

ENVIRONMENT = "TOCSIN_RECEIVE_TOKEN"


def receive(
    listen: Annotated[
        str,
        typer.Option("--listen", "-l", metavar="HOST:PORT", help="Where to listen; port 0: any free one."),
    ] = "127.0.0.1:8391",
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
) -> None:
    """Receive alerts of Alertmanager, Grafana and PagerDuty's senders by HTTP.

    POST /v1/alerts takes any of them, /v1/alerts/SYSTEM only that system's, /v2/enqueue what PagerDuty's
    clients send. Answers 2xx when Kafka has the record. A token is taken from TOCSIN_RECEIVE_TOKEN or
    from the file named by TOCSIN_RECEIVE_TOKEN_FILE; without one it listens on this machine only.

    Examples:

      tocsin receive

      TOCSIN_RECEIVE_TOKEN_FILE=/run/secrets/token tocsin receive --listen 0.0.0.0:8391
    """
    host, port = address(listen, "--listen")
    settings = settings_from(config, kafka)
    try:
        asyncio.run(_run(settings, host, port, token()))
    except StartError as error:
        raise CliError(str(error)) from None


def address(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT as its parts. Raises `CliError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise CliError(f"{option} is {text!r}", "use HOST:PORT, for instance 127.0.0.1:8391")
    return host.strip("[]"), int(port)


def token() -> str:
    """The bearer token senders must show; empty for none. Raises `CliError`."""
    named = os.environ.get(f"{ENVIRONMENT}_FILE")
    if not named:
        return os.environ.get(ENVIRONMENT, "").strip()
    try:
        found = Path(named).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CliError(f"{ENVIRONMENT}_FILE {named!r} cannot be read: {error.strerror}") from None
    if not found:
        raise CliError(f"{ENVIRONMENT}_FILE {named!r} is empty", "write the token into it")
    return found


async def _run(settings: Settings, host: str, port: int, secret: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, host, port, secret, stop, _say)


def _say(line: str) -> None:
    print(f"tocsin {line}", file=sys.stderr, flush=True)
