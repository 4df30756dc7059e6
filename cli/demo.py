"""`tocsin demo`: the shop, the whole pipeline and three faults, on this machine alone."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

import demo as demo_package
from cli.errors import CliError
from config.settings import Topics
from demo.director import Director
from demo.faults import FAULTS
from demo.schedule import FAULT_S, RECOVERY_S, WARM_UP_S, Plan, UnknownFault, choose, plan
from demo.scoring import score
from demo.screen import Picture, Screen, score_table, summary
from demo.shop import Shop, ShopError
from demo.watch import create_topics
from embedded.broker import MissingExtra
from embedded.probe import free_port, http_ready, port_is_free
from embedded.stack import Stack
from embedded.supervisor import Child, ChildFailed, Supervisor, stop_signals_interrupt

WORKER = "worker"
CONSOLE = "console"
CONSOLE_PORT = 8088
"""where people look for it; another one if it is taken"""
DEMO_CONFIG = Path(demo_package.__file__).with_name("tocsin.yaml")
INSTALL = "pip install 'tocsin[demo]'"


class Supervised:
    """`demo.shop.Processes` on the embedded stack's supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def spawn(self, name: str, argv: Sequence[str], ready: Callable[[], bool] | None) -> None:
        """Start a process without waiting."""
        self._supervisor.spawn(Child(name=name, argv=argv, ready=ready, stop_timeout_s=4.0))

    def wait_ready(self, *names: str) -> None:
        """Wait until the named processes pass their ready check."""
        self._supervisor.wait_ready(*names)

    def stop(self, name: str) -> None:
        """SIGTERM, then SIGKILL; fine for a process that is not there."""
        self._supervisor.stop(name)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self._supervisor.kill(name)

    def pid(self, name: str) -> int:
        """Process id."""
        return self._supervisor.pid(name)

    def free_port(self) -> int:
        """A TCP port nobody listens on."""
        return free_port()


class OutputFiles(NamedTuple):
    """Where to write what was found, if anywhere."""

    json: Path | None = None
    svg: Path | None = None


def demo(
    faults: Annotated[str, typer.Option(help="Faults to inject, in order: NAME,NAME,…")] = "",
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Show the catalogue and stop.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draw three faults and their times by it.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the table, until Ctrl-C.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table here as JSON.")] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Save the last picture and the table here.")
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The worker's settings; see docs/demo.md.")
    ] = DEMO_CONFIG,
    data_dir: Annotated[Path | None, typer.Option(help="Keep logs and data here.")] = None,
    warm_up: Annotated[float, typer.Option(min=0, help="Quiet seconds before the first fault.")] = WARM_UP_S,
    fault_seconds: Annotated[float, typer.Option(min=1, help="Seconds a fault goes on.")] = FAULT_S,
    recovery: Annotated[float, typer.Option(min=0, help="Seconds between two faults.")] = RECOVERY_S,
) -> None:
    """Start a small shop, break it three times, and watch the incidents come in.

    Six real services with OpenTelemetry, a load generator, Kafka, ClickHouse, the worker and the console, all
    on loopback. Open the link it prints to watch in a browser. Takes under five minutes; ends with a table of
    truth against findings and `tocsin report`.

    Examples:
      tocsin demo
      tocsin demo --faults lock-inventory,mute-cart --keep
      tocsin demo --seed 7 --json table.json
    """
    if list_faults:
        Console().print(_catalogue())
        return
    try:
        chosen = choose([name.strip() for name in faults.split(",") if name.strip()], seed)
    except UnknownFault as error:
        raise CliError(str(error), "tocsin demo --list-faults explains them") from None
    timing = plan(chosen, seed, warm_up_s=warm_up, fault_s=fault_seconds, recovery_s=recovery)
    for module in ("opentelemetry.sdk", "psutil", "aiohttp", "fastapi", "uvicorn"):
        if importlib.util.find_spec(module.split(".")[0]) is None or importlib.util.find_spec(module) is None:
            raise CliError(f"the demo needs {module}, which is not installed", INSTALL)
    try:
        with stop_signals_interrupt():
            _run(
                timing,
                config,
                data_dir,
                1 if seed is None else seed,
                keep=keep,
                files=OutputFiles(json_file, svg),
            )
    except MissingExtra as error:
        raise CliError(str(error), INSTALL) from None
    except (ChildFailed, ShopError) as error:
        raise CliError(str(error), "run again; if it stays, open an issue with these lines", 1) from None
    except KeyboardInterrupt:
        raise CliError("stopped; everything that was started is down", code=130) from None


def _run(
    timing: Plan, config: Path, data_dir: Path | None, seed: int, *, keep: bool, files: OutputFiles
) -> None:
    picture = Picture(timing)
    with Screen(picture) as screen:
        screen.say("starting Kafka and ClickHouse")
        with Stack(data_dir) as stack:
            env = {"TOCSIN_KAFKA": stack.kafka, "TOCSIN_CLICKHOUSE": stack.clickhouse}
            inputs = [(topic.name, topic.partitions) for topic in Topics().inputs]
            asyncio.run(create_topics(stack.kafka, inputs))
            screen.say("starting the worker (the first time it compiles its kernels: half a minute)")
            health, page = free_port(), CONSOLE_PORT if port_is_free(CONSOLE_PORT) else free_port()
            stack.supervisor.spawn(_worker(env, config, health))
            # Before the shop: an idle one would be learned as the usual one while the worker compiles.
            stack.supervisor.wait_ready(WORKER)
            watched = env | {"TOCSIN_CONSOLE_WORKERS": f"127.0.0.1:{health}"}
            stack.supervisor.spawn(_console(watched, config, page))
            stack.supervisor.wait_ready(CONSOLE)
            screen.say(f"watch in a browser: http://127.0.0.1:{page}/")
            screen.say("starting six services")
            shop = Shop(Supervised(stack.supervisor), stack.kafka, stack.data_dir / "shop", seed=seed)
            shop.start()
            shop.start_load()
            screen.say(f"the shop is open on http://127.0.0.1:{shop.port('gateway')}/api/products")

            def check() -> None:
                if not stack.supervisor.is_alive(WORKER):
                    raise ChildFailed(f"the worker ended; its last lines:\n{stack.supervisor.tail(WORKER)}")

            director = Director(shop, stack.kafka, timing, picture, screen, check)
            asyncio.run(director.play())
            result = score(director.truth, director.findings.all())
            screen.pause()
            screen.console.print(score_table(result))
            screen.console.print(summary(result))
            if files.json is not None:
                files.json.write_text(json.dumps(result.as_json(), indent=2) + "\n")
            if files.svg is not None:
                screen.save(files.svg, result)
            report = [sys.executable, "-m", "cli.main", "report"]
            subprocess.run(report, env={**os.environ, **env}, check=False)
            if keep:
                _stay(director, stack, page)


def _worker(env: Mapping[str, str], config: Path, port: int) -> Child:
    argv = [sys.executable, "-m", "cli.main", "worker", "--health-port", str(port), "--config", str(config)]
    return Child(
        WORKER,
        argv,
        ready=http_ready(port, "/healthz"),
        env=env,
        ready_timeout_s=180.0,
        stop_timeout_s=10.0,
    )


def _console(env: Mapping[str, str], config: Path, port: int) -> Child:
    argv = [sys.executable, "-m", "cli.main", "console", "--config", str(config)]
    argv += ["--listen", f"127.0.0.1:{port}"]
    return Child(CONSOLE, argv, ready=http_ready(port, "/healthz"), env=env, ready_timeout_s=60.0)


def _stay(director: Director, stack: Stack, page: int) -> None:
    gateway = f"http://127.0.0.1:{director.shop.port('gateway')}"
    console = f"http://127.0.0.1:{page}/"
    addresses = {"console": console, "shop": gateway, **stack.addresses, "logs": str(stack.data_dir / "logs")}
    for name, address in addresses.items():
        director.screen.say(f"{name:<11} {address}")
    director.screen.say("staying up; Ctrl-C ends everything")
    asyncio.run(director.stay())


def _catalogue() -> Table:
    table = Table(title="Faults", title_justify="left")
    for heading in ("name", "root", "what happens", "what is to be seen"):
        table.add_column(heading, overflow="fold")
    for fault in FAULTS:
        table.add_row(fault.name, fault.service, fault.what, fault.seen)
    return table


if __name__ == "__main__":
    from cli.main import main

    main(["demo", *sys.argv[1:]])
