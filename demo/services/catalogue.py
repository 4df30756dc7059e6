"""catalogue: product list and product pages; a page asks the inventory what is in stock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

from demo.services.goods import PRODUCTS
from demo.web import Service


def build(service: Service) -> None:
    """Add the routes and the periodic price refresh."""
    prices = {product: price for product, (_, price) in PRODUCTS.items()}

    async def products(_: web.Request) -> web.Response:
        listing = [{"id": key, "name": PRODUCTS[key][0], "price": price} for key, price in prices.items()]
        return web.json_response({"products": listing})

    async def product(request: web.Request) -> web.Response:
        key = request.match_info["product"]
        if key not in prices:
            service.log.warning("unknown product %s asked for", key)
            raise web.HTTPNotFound(reason="unknown product")
        stock = await service.call("inventory", "GET", f"/stock/{key}", timeout_s=1.5)
        page = {"id": key, "name": PRODUCTS[key][0], "price": prices[key], "units": stock.body["units"]}
        return web.json_response(page)

    async def refresh() -> None:
        while True:
            started = time.perf_counter()
            prices.update({key: price for key, (_, price) in PRODUCTS.items()})
            elapsed_ms = (time.perf_counter() - started) * 1000
            service.log.info("price list refreshed: %d products in %.1f ms", len(prices), elapsed_ms)
            await asyncio.sleep(5)

    async def background(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(refresh())
        yield
        task.cancel()

    service.app.cleanup_ctx.append(background)
    service.app.router.add_get("/products", products)
    service.app.router.add_get("/products/{product}", product)
