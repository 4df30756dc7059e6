"""One process of the shop.

python -m demo.service cart --port 8103 --kafka 127.0.0.1:9092 --release 1.4.2 --peers '{"inventory": 8106}'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
from pathlib import Path

from aiohttp import web

from demo import telemetry
from demo.services import cart, catalogue, checkout, gateway, inventory, payment
from demo.web import Service

BUILDERS = {
    "gateway": gateway.build,
    "catalogue": catalogue.build,
    "cart": cart.build,
    "checkout": checkout.build,
    "payment": payment.build,
}


async def serve(service: Service, port: int) -> None:
    """Serve on loopback until SIGTERM, SIGINT or the parent's end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # `reuse_port` lets a new release come up on the same port before the old one goes: no gap.
    runner = web.AppRunner(service.app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True).start()
    service.log.info("%s %s is up", service.name, service.release)
    await until_orphaned(stop)
    service.log.info("%s %s is going down", service.name, service.release)
    await runner.cleanup()


async def until_orphaned(stop: asyncio.Event) -> None:
    """Return when `stop` is set or the parent process is gone."""
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue


def main() -> None:
    """Read the arguments, start telemetry and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*BUILDERS, "inventory"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kafka", required=True, help="bootstrap server")
    parser.add_argument("--release", required=True, help="service.version")
    parser.add_argument("--peers", type=json.loads, default={}, help="JSON object: service to port")
    parser.add_argument("--store", type=Path, help="SQLite file (inventory only)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    signals = telemetry.start(options.name, options.release, options.kafka)
    service = Service(options.name, options.release, options.peers, signals)
    if options.name == "inventory":
        inventory.build(service, options.store)
    else:
        BUILDERS[options.name](service)
    try:
        asyncio.run(serve(service, options.port))
    finally:
        signals.close()


if __name__ == "__main__":
    main()
