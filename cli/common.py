"""What most commands share: where the settings come from, and how output is chosen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from cli.errors import CliError
from config.load import ConfigError, load
from config.settings import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TOCSIN_CONFIG", help="Settings file (YAML).", show_default=False),
]
KafkaAddress = Annotated[
    str | None,
    typer.Option("--kafka", envvar="TOCSIN_KAFKA", help="Kafka bootstrap HOST:PORT.", show_default=False),
]
ClickHouseUrl = Annotated[
    str | None,
    typer.Option(
        "--clickhouse", envvar="TOCSIN_CLICKHOUSE", help="ClickHouse http://HOST:PORT.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

console = Console()
"""Standard output. Rich honours NO_COLOR and drops colour when this is not a terminal."""
stderr = Console(stderr=True)


def settings_from(
    config: Path | None = None, kafka: str | None = None, clickhouse: str | None = None
) -> Settings:
    """Settings from file and environment, with the command's own options on top.

    Raises `CliError` naming the key, the value and what was expected.
    """
    environ = dict(os.environ)
    if kafka:
        environ["TOCSIN_KAFKA"] = kafka
    if clickhouse:
        environ["TOCSIN_CLICKHOUSE"] = clickhouse
    try:
        return load(config, environ)
    except ConfigError as error:
        raise CliError(f"bad configuration: {error}", "correct it and start again") from None


def print_json(value: Any) -> None:
    """One JSON document on standard output, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
