"""`tocsin top`: what the workers do right now, in a terminal."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.live import Live

from cli.common import console
from cli.errors import CliError
from cli.topview import Picture
from streams.agents import metric_names as names
from streams.agents.watching import Worker, frame, metrics_url, scrape, unready_reasons

MOST_WORKERS = 64


def top(
    url: Annotated[
        list[str] | None,
        typer.Option(
            "--url",
            "-u",
            help="Address of a worker's health port, HOST:PORT or a URL; may be given several times.",
            show_default="127.0.0.1:8390, or TOCSIN_HEALTH_PORT",
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, max=60.0, help="Seconds between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
) -> None:
    """Watch workers live: rates, lag, delays, latency, dead letters, memory.

    Rates and latencies are of the time between two looks. Delay: how far event time is behind the wall
    clock. p50, p99: from a record's time to its effect being safe. Unsaved: age of the oldest work that a
    crash would repeat.

    Examples:

      tocsin top

      tocsin top --url 10.0.0.5:8390 --url 10.0.0.6:8390

      tocsin top --once
    """
    urls = [metrics_url(one) for one in url or [f"127.0.0.1:{os.environ.get('TOCSIN_HEALTH_PORT', '8390')}"]]
    if len(urls) > MOST_WORKERS:
        raise CliError(f"{len(urls)} workers", f"name at most {MOST_WORKERS}; more are for Prometheus")
    with ThreadPoolExecutor(len(urls)) as pool:
        first = look(pool, [Worker(one) for one in urls])
        if all(worker.now is None for worker in first):
            raise CliError(
                f"no worker answers at {', '.join(urls)} ({first[0].error})",
                "start one with `tocsin worker`, or name its health port with --url HOST:PORT",
            )
        if once:
            time.sleep(interval)
            console.print(Picture(frame(look(pool, first)), live=False))
            return
        _watch(pool, first, interval)


def look(pool: ThreadPoolExecutor, workers: Sequence[Worker]) -> list[Worker]:
    """Ask all workers again, side by side."""
    at = time.monotonic()

    def ask(worker: Worker) -> Worker:
        answer = scrape(worker.url, at)
        if isinstance(answer, str):
            return Worker(worker.url, worker.now, worker.before, answer)
        reasons = () if answer.total(names.READY.name) else unready_reasons(worker.url)
        return Worker(worker.url, answer, worker.now, reasons=reasons)

    return list(pool.map(ask, workers))


def _watch(pool: ThreadPoolExecutor, workers: list[Worker], interval: float) -> None:
    with _keys() as quits, Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                live.update(Picture(frame(workers), live=True), refresh=True)
                if quits(interval):
                    return
                workers = look(pool, workers)
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds and says whether q was pressed meanwhile."""
    if not sys.stdin.isatty():

        def wait(for_s: float) -> bool:
            time.sleep(for_s)
            return False

        yield wait
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(for_s: float) -> bool:
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0] and os.read(descriptor, 16) in (b"q", b"Q"):
                return True
        return False

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
