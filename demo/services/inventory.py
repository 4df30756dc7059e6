"""inventory: what is on the shelf, in a real store."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from demo.services.goods import PRODUCTS
from demo.store import Store
from demo.web import Service


def build(service: Service, store_path: Path) -> None:
    """Add the routes on the store at `store_path`."""
    store = Store(store_path, PRODUCTS, service.meter, service.tracer)

    async def stock(request: web.Request) -> web.Response:
        units = await store.stock(request.match_info["product"])
        if units is None:
            raise web.HTTPNotFound(reason="unknown product")
        return web.json_response({"units": units})

    async def reserve(request: web.Request) -> web.Response:
        wish = await request.json()
        order, lines = wish["order"], wish["lines"]
        try:
            restocked = await store.move(lines)
        except sqlite3.OperationalError:
            service.log.exception("reservation for order %s failed in the store", order)
            raise web.HTTPServiceUnavailable(reason="store is busy") from None
        for product in restocked:
            service.log.info("shelf of %s restocked", product)
        units = sum(lines.values())
        verb = "reserved" if units > 0 else "released"
        service.log.info("%s %d units in %d lines for order %s", verb, abs(units), len(lines), order)
        return web.json_response({}, status=201)

    async def closing(_: web.Application) -> AsyncIterator[None]:
        yield
        store.close()

    service.app.cleanup_ctx.append(closing)
    service.app.router.add_get("/stock/{product}", stock)
    service.app.router.add_post("/reservations", reserve)
