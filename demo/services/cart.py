"""cart: baskets in memory; a restart loses them."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from opentelemetry.metrics import CallbackOptions, Observation

from demo.web import Service

MAX_CARTS = 2_000


def build(service: Service) -> None:
    """Add the routes and the gauge of baskets held."""
    carts: dict[str, dict[str, int]] = {}

    async def view(request: web.Request) -> web.Response:
        return web.json_response({"lines": carts.get(request.match_info["user"], {})})

    async def add(request: web.Request) -> web.Response:
        user = request.match_info["user"]
        item = await request.json()
        if user not in carts and len(carts) >= MAX_CARTS:
            oldest = next(iter(carts))
            service.log.warning("cart of %s evicted with %d lines", oldest, len(carts.pop(oldest)))
        lines = carts.setdefault(user, {})
        lines[item["product"]] = lines.get(item["product"], 0) + int(item["units"])
        service.log.info("added %d x %s to the cart of %s", item["units"], item["product"], user)
        return web.json_response({"lines": lines}, status=201)

    async def clear(request: web.Request) -> web.Response:
        carts.pop(request.match_info["user"], None)
        return web.json_response({})

    def held(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(len(carts))

    service.meter.create_observable_gauge("shop.carts.active", [held], "{cart}", "Baskets held")
    service.app.router.add_get("/carts/{user}", view)
    service.app.router.add_delete("/carts/{user}", clear)
    service.app.router.add_post("/carts/{user}/items", add)
