"""The catalogue of faults. Each is done to the real processes from outside and can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demo.releases import BAD_PAYMENT, GOOD_PAYMENT
from demo.shop import Shop


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong. `service` is where it does: the truth that findings are held against."""

    name: str
    service: str
    what: str
    seen: str
    """what a person watching the telemetry should see"""
    inject: Callable[[Shop], None]
    heal: Callable[[Shop], None]


def _bad_release(shop: Shop) -> None:
    shop.deploy("payment", BAD_PAYMENT, "payment 2.1.0: new card fee table")


def _rollback(shop: Shop) -> None:
    shop.deploy("payment", GOOD_PAYMENT, "payment rolled back to 2.0.3")


FAULTS: tuple[Fault, ...] = (
    Fault(
        "kill-cart",
        "cart",
        "the cart process is killed with SIGKILL and restarted at the end",
        "cart's telemetry stops; gateway and checkout answer 502 on cart routes and log refused connections",
        lambda shop: shop.kill("cart"),
        lambda shop: shop.revive("cart"),
    ),
    Fault(
        "slow-inventory",
        "inventory",
        "every inventory request takes 700 ms (sd 200 ms) longer",
        "inventory's latency jumps first, then that of catalogue, checkout and gateway; some time-outs (504)",
        lambda shop: shop.misbehave("inventory", delay_ms=700, jitter_ms=200),
        lambda shop: shop.behave("inventory"),
    ),
    Fault(
        "bad-release-payment",
        "payment",
        "payment 2.1.0 is rolled out; its fee table lacks amex, so about 3 in 10 charges raise KeyError",
        "a change record; payment answers 500 with a new stack trace; checkout and gateway answer 502",
        _bad_release,
        _rollback,
    ),
    Fault(
        "leak-checkout",
        "checkout",
        "checkout keeps 8 MB more every second; the memory comes back at the end",
        "checkout's process.memory.usage climbs without end; nothing else changes",
        lambda shop: shop.misbehave("checkout", leak_mb_s=8),
        lambda shop: shop.behave("checkout"),
    ),
    Fault(
        "lock-inventory",
        "inventory",
        "a report job holds the store's write lock 1.4 s at a time with 0.25 s between",
        "store.lock.wait, the pool and inventory's latency rise; 'database is locked' traces and 503; "
        "checkout and gateway answer 502/504",
        lambda shop: shop.contend_for_store(1400, 250),
        lambda shop: shop.leave_store(),
    ),
    Fault(
        "hog-catalogue",
        "catalogue",
        "a runaway computation in catalogue burns a whole core and fights its handlers for the interpreter",
        "catalogue's process.cpu.utilization goes to 1 and its latency rises, as do gateway's product routes",
        lambda shop: shop.misbehave("catalogue", hog=True),
        lambda shop: shop.behave("catalogue"),
    ),
    Fault(
        "mute-cart",
        "cart",
        "cart's exporter dies silently: the service goes on, its metrics, logs and spans stop",
        "cart's telemetry is absent while its callers see nothing wrong",
        lambda shop: shop.misbehave("cart", mute=True),
        lambda shop: shop.behave("cart"),
    ),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
DEFAULT = ("slow-inventory", "bad-release-payment", "kill-cart")
