"""The shop's customers: random arrivals whose rate follows a day compressed to a minute.

python -m demo.load --gateway 8101 --port 8110
`GET /stats` tells requests, failures (no answer or 5xx) and latency of the last five seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import random
import signal
import time
from collections import Counter, deque

import aiohttp
from aiohttp import web

from demo.service import until_orphaned
from demo.services.goods import PRODUCTS

DAY_S = 60.0
MEAN_RATE = 40.0
SWING = 0.25
WINDOW_S = 5.0
MIX = {"list": 25, "page": 27, "add": 20, "view": 10, "checkout": 18}
CARDS = {"visa": 40, "mastercard": 30, "amex": 30}
CUSTOMERS = 400
AT_ONCE = 300


def rate_at(elapsed_s: float) -> float:
    """Requests a second, `elapsed_s` into the run: morning is quiet, evening busy, within ±25 %."""
    day = 2 * math.pi * elapsed_s / DAY_S
    return MEAN_RATE * (1 + SWING * (0.8 * math.sin(day) + 0.2 * math.sin(2 * day + 0.7)))


class Customers:
    """Open-loop load: arrivals do not wait for answers, so a slow shop gets no mercy."""

    def __init__(self, gateway_port: int, seed: int) -> None:
        self._base = f"http://127.0.0.1:{gateway_port}"
        self._dice = random.Random(seed)
        self._filled: dict[str, None] = {}  # customers who put something into their cart, oldest first
        self._done: deque[tuple[float, int, float]] = deque(maxlen=5_000)  # when, status, seconds
        self._statuses: Counter[int] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send requests until `stop` is set."""
        timeout = aiohttp.ClientTimeout(total=5)
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(self._base, timeout=timeout, connector=connector) as session:
            began = time.monotonic()
            due = began
            while not stop.is_set():
                due += self._dice.expovariate(rate_at(time.monotonic() - began))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(self._running) < AT_ONCE:
                    task = asyncio.create_task(self._one(session))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
            for task in self._running:
                task.cancel()

    def stats(self) -> dict[str, object]:
        """Totals, and rate, failure ratio and median latency (ms) over the last five seconds."""
        now = time.monotonic()
        recent = [(status, taken) for when, status, taken in self._done if now - when <= WINDOW_S]
        failed = sum(1 for status, _ in recent if status >= 500)
        times = sorted(taken for _, taken in recent)
        return {
            "requests": self._statuses.total(),
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "rate": len(recent) / WINDOW_S,
            "failure_ratio": failed / len(recent) if recent else 0.0,
            "p50_ms": times[len(times) // 2] * 1000 if times else None,
            "p95_ms": times[int(len(times) * 0.95)] * 1000 if times else None,
        }

    async def _one(self, session: aiohttp.ClientSession) -> None:
        method, path, body = self._choose()
        started = time.monotonic()
        try:
            async with session.request(method, path, json=body) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 599  # no answer at all
        self._statuses[status] += 1
        self._done.append((time.monotonic(), status, time.monotonic() - started))

    def _choose(self) -> tuple[str, str, dict[str, object] | None]:
        action = self._dice.choices(list(MIX), list(MIX.values()))[0]
        customer = f"u{self._dice.randrange(CUSTOMERS):03d}"
        product = self._dice.choice(list(PRODUCTS))
        if action == "checkout" and self._filled:
            customer = next(iter(self._filled))
            del self._filled[customer]
            card = self._dice.choices(list(CARDS), list(CARDS.values()))[0]
            return "POST", "/api/checkout", {"user": customer, "card": card}
        if action in ("add", "checkout"):
            self._filled[customer] = None
            item: dict[str, object] = {"product": product, "units": self._dice.randint(1, 3)}
            return "POST", f"/api/carts/{customer}/items", item
        if action == "view":
            return "GET", f"/api/carts/{customer}", None
        return "GET", "/api/products" if action == "list" else f"/api/products/{product}", None


async def serve(options: argparse.Namespace) -> None:
    """Generate load and serve `/stats` and `/healthz` on loopback."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    customers = Customers(options.gateway, options.seed)

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(customers.stats())

    app = web.Application()
    app.router.add_get("/stats", stats)
    app.router.add_get("/healthz", stats)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    load = asyncio.create_task(customers.run(stop))
    await until_orphaned(stop)
    stop.set()
    await load
    await runner.cleanup()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", type=int, required=True, help="the gateway's port")
    parser.add_argument("--port", type=int, required=True, help="port of /stats")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
