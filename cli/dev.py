"""`tocsin dev kafka|clickhouse|up`: the services the worker needs, on this machine, from pip packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from cli.errors import CliError
from embedded.broker import MissingExtra
from embedded.probe import port_is_free
from embedded.stack import Stack
from embedded.supervisor import ChildFailed, stop_signals_interrupt

_USUAL: Final = {"kafka": 9092, "clickhouse": 8123}

app = typer.Typer(
    help="Kafka and ClickHouse on this machine, from pip packages alone.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin dev up\n\n  tocsin dev up --data-dir ~/tocsin-data\n\n"
    "  tocsin dev kafka --port 9092\n\n  tocsin dev clickhouse --json",
)

Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65_535,
        show_default=False,
        help="TCP port; 0 = any free one. Default: the usual one if free.",
    ),
]
KafkaPort = Annotated[
    int | None,
    typer.Option(
        "--kafka-port",
        min=0,
        max=65_535,
        show_default=False,
        help="Kafka's port; 0 = any free one. Default: 9092 if free.",
    ),
]
ClickHousePort = Annotated[
    int | None,
    typer.Option(
        "--clickhouse-port",
        min=0,
        max=65_535,
        show_default=False,
        help="ClickHouse's port; 0 = any free one. Default: 8123 if free.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        file_okay=False,
        help="Keep logs and ClickHouse data here; without it they are removed at the end.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the addresses as one line of JSON.")]


@app.command(epilog="Example: tocsin dev kafka --port 9092")
def kafka(port: Port = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Run the embedded Kafka-protocol broker until Ctrl-C. It keeps everything in memory."""
    _run(Stack(data_dir, clickhouse=False, kafka_port=_port("kafka", port)), data_dir, as_json)


@app.command(epilog="Example: tocsin dev clickhouse --data-dir ./data --json")
def clickhouse(port: Port = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Run the embedded ClickHouse until Ctrl-C, on its HTTP port."""
    _run(Stack(data_dir, kafka=False, clickhouse_port=_port("clickhouse", port)), data_dir, as_json)


@app.command(epilog="Example: tocsin dev up --data-dir ~/tocsin-data")
def up(
    kafka_port: KafkaPort = None,
    clickhouse_port: ClickHousePort = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run both until Ctrl-C, and print what to export so that every tocsin command finds them."""
    stack = Stack(
        data_dir,
        kafka_port=_port("kafka", kafka_port),
        clickhouse_port=_port("clickhouse", clickhouse_port),
    )
    _run(stack, data_dir, as_json)


def _port(name: str, asked: int | None) -> int:
    """What was asked for; the usual port when nothing was and it is free; else 0 (any)."""
    if asked is not None:
        return asked
    return _USUAL[name] if port_is_free(_USUAL[name]) else 0


def _run(stack: Stack, data_dir: Path | None, as_json: bool) -> None:
    """Start, say where, stay until Ctrl-C or SIGTERM (both exit 0); a dead service ends it with exit 1."""
    with _clean_exit(), stop_signals_interrupt(), stack:
        _announce(stack, data_dir, as_json)
        stack.supervisor.watch()


def _announce(stack: Stack, data_dir: Path | None, as_json: bool) -> None:
    addresses = stack.addresses
    if as_json:
        typer.echo(msgspec.json.encode({**addresses, "logs": str(stack.data_dir / "logs")}).decode())
        return
    for name, address in addresses.items():
        typer.echo(f"export TOCSIN_{name.upper()}={address}")
    kept = f"Data and logs in {stack.data_dir}." if data_dir else "Nothing is kept (see --data-dir)."
    typer.echo(f"Up, on this machine only. {kept} Ctrl-C stops.", err=True)


@contextmanager
def _clean_exit() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(0) from None  # the asked-for end, after everything was stopped
    except MissingExtra as error:
        raise CliError(str(error), code=2) from error
    except ChildFailed as error:
        raise CliError(str(error), code=1) from error


if __name__ == "__main__":
    app(prog_name="tocsin dev")
