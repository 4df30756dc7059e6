"""`tocsin console`: the web page and HTTP API."""

from __future__ import annotations

import importlib.util
import sys
from typing import Annotated

import typer

from cli.common import ClickHouseUrl, ConfigFile, KafkaAddress, settings_from
from cli.errors import CliError
from cli.receive import address

INSTALL = "pip install 'tocsin[console]'"


def console(
    listen: Annotated[
        str,
        typer.Option(
            "--listen", "-l", metavar="HOST:PORT", help="Where to listen.", show_default="console.listen"
        ),
    ] = "",
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
) -> None:
    """Show incidents in a browser: live list, causes with evidence, actions, trends.

    Reads ClickHouse and the output topics; what people do goes to the actions topic. Starts without either
    and says what is missing. On this machine alone it needs no login; elsewhere set console.access.

    Examples:

      tocsin console

      tocsin console --listen 0.0.0.0:8088 --config tocsin.yaml
    """
    settings = settings_from(config, kafka, clickhouse)
    host, port = address(listen or settings.console.listen, "--listen" if listen else "console.listen")
    for module in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise CliError(f"the console needs {module}, which is not installed", INSTALL)
    from console.server import StartError, serve

    try:
        serve(
            settings,
            host,
            port,
            lambda line: print(f"tocsin {line}", file=sys.stderr, flush=True),
            str(config or ""),
        )
    except StartError as error:
        raise CliError(str(error), error.next_step) from None
