"""checkout: turns a basket into an order: cart, stock reservation, charge, confirmation."""

from __future__ import annotations

import secrets
import time

from aiohttp import web

from demo.services.goods import PRODUCTS
from demo.web import Service, UpstreamError


def build(service: Service) -> None:
    """Add the order route."""
    orders = service.meter.create_counter("shop.orders", "{order}", "Orders by outcome")
    for outcome in ("placed", "declined", "failed", "empty"):
        orders.add(0, {"outcome": outcome})  # so that each series exists from the first export on

    async def release(order: str, lines: dict[str, int]) -> None:
        try:
            body = {"order": order, "lines": {product: -units for product, units in lines.items()}}
            await service.call("inventory", "POST", "/reservations", json=body, timeout_s=1.0)
        except UpstreamError as error:
            service.log.warning("reservation of order %s not released: %s", order, error)

    async def place(request: web.Request) -> web.Response:
        started = time.perf_counter()
        wish = await request.json()
        user, order = wish["user"], f"ord-{secrets.token_hex(4)}"
        cart = await service.call("cart", "GET", f"/carts/{user}", timeout_s=1.0)
        lines: dict[str, int] = cart.body["lines"]
        if not lines:
            orders.add(1, {"outcome": "empty"})
            service.log.warning("checkout of %s refused: cart is empty", user)
            raise web.HTTPConflict(reason="cart is empty")
        amount = round(sum(PRODUCTS[product][1] * units for product, units in lines.items()), 2)
        body = {"order": order, "lines": lines}
        await service.call("inventory", "POST", "/reservations", json=body, timeout_s=1.5)
        charge = {"order": order, "amount": amount, "card": wish["card"]}
        try:
            paid = await service.call("payment", "POST", "/charges", json=charge, timeout_s=1.5)
        except UpstreamError:
            orders.add(1, {"outcome": "failed"})
            await release(order, lines)
            raise
        if paid.status == 402:
            orders.add(1, {"outcome": "declined"})
            await release(order, lines)
            return web.json_response(paid.body, status=402)
        await service.call("cart", "DELETE", f"/carts/{user}", timeout_s=1.0)
        orders.add(1, {"outcome": "placed"})
        elapsed_ms = (time.perf_counter() - started) * 1000
        service.log.info(
            "order %s placed: %d lines, %.2f EUR in %d ms", order, len(lines), amount, elapsed_ms
        )
        return web.json_response({"order": order, "amount": amount}, status=201)

    service.app.router.add_post("/orders", place)
