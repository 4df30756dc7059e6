"""payment: charges cards at a bank. Release 2.1.0 brings a new fee table, and a bug with it."""

from __future__ import annotations

import asyncio
import random

from aiohttp import web

from demo.releases import BAD_PAYMENT, GOOD_PAYMENT
from demo.web import Service

FEES = {
    GOOD_PAYMENT: {"visa": 0.012, "mastercard": 0.013, "amex": 0.024},
    # The new table speaks of "american_express"; the shop still sends "amex". About 3 in 10 charges fail.
    BAD_PAYMENT: {"visa": 0.011, "mastercard": 0.011, "american_express": 0.021},
}


def build(service: Service) -> None:
    """Add the charge route."""
    payments = service.meter.create_counter("shop.payments", "{payment}", "Charges by outcome")
    for outcome in ("charged", "declined", "failed"):
        payments.add(0, {"outcome": outcome})  # so that each series exists from the first export on
    fees = FEES[service.release]

    async def charge(request: web.Request) -> web.Response:
        wish = await request.json()
        order, amount, card = wish["order"], wish["amount"], wish["card"]
        fee = amount * fees[card]
        await asyncio.sleep(max(0.005, random.gauss(0.020, 0.004)))  # the bank
        luck = random.random()
        if luck < 0.003:
            payments.add(1, {"outcome": "failed"})
            service.log.error("bank closed the connection while charging order %s", order)
            raise web.HTTPServiceUnavailable(reason="bank unavailable")
        if luck < 0.02:
            payments.add(1, {"outcome": "declined"})
            service.log.warning("charge of %.2f EUR for order %s declined by the bank", amount, order)
            return web.json_response({"error": "declined"}, status=402)
        payments.add(1, {"outcome": "charged"})
        service.log.info("charged %.2f EUR to a %s card for order %s, fee %.2f", amount, card, order, fee)
        return web.json_response({"charged": amount}, status=201)

    service.app.router.add_post("/charges", charge)
