"""gateway: the shop's public door; passes requests on and maps failures."""

from __future__ import annotations

from aiohttp import web

from demo.web import Reply, Service


def build(service: Service) -> None:
    """Add the public routes."""

    def answer(reply: Reply) -> web.Response:
        return web.json_response(reply.body, status=reply.status)

    async def products(_: web.Request) -> web.Response:
        return answer(await service.call("catalogue", "GET", "/products", timeout_s=2.5))

    async def product(request: web.Request) -> web.Response:
        path = f"/products/{request.match_info['product']}"
        return answer(await service.call("catalogue", "GET", path, timeout_s=2.5))

    async def view_cart(request: web.Request) -> web.Response:
        return answer(await service.call("cart", "GET", f"/carts/{request.match_info['user']}"))

    async def add_item(request: web.Request) -> web.Response:
        path = f"/carts/{request.match_info['user']}/items"
        return answer(await service.call("cart", "POST", path, json=await request.json()))

    async def checkout(request: web.Request) -> web.Response:
        body = await request.json()
        return answer(await service.call("checkout", "POST", "/orders", json=body, timeout_s=4.0))

    router = service.app.router
    router.add_get("/api/products", products)
    router.add_get("/api/products/{product}", product)
    router.add_get("/api/carts/{user}", view_cart)
    router.add_post("/api/carts/{user}/items", add_item)
    router.add_post("/api/checkout", checkout)
