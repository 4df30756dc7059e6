"""Each fault changes the real shop as its catalogue entry says, and healing undoes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from aiokafka import ConsumerRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from demo.faults import BY_NAME
from embedded.probe import free_port
from tests.demo.conftest import World, ask, collect, wait_until
from tests.demo.test_telemetry import resource_of

pytestmark = pytest.mark.slow


@contextmanager
def injected(world: World, name: str) -> Iterator[None]:
    BY_NAME[name].inject(world.shop)
    try:
        yield
    finally:
        BY_NAME[name].heal(world.shop)


def fill_cart_and_buy(world: World, user: str, card: str = "visa") -> tuple[int, float]:
    world.ask("gateway", "POST", f"/api/carts/{user}/items", {"product": "p01", "units": 1})
    status, _, taken = world.ask("gateway", "POST", "/api/checkout", {"user": user, "card": card})
    return status, taken


def test_customers_are_served(world: World) -> None:
    """Without a fault, nearly every request of the load succeeds."""
    stats = wait_until(lambda: (s := world.shop.stats()) and s["requests"] > 100 and s)
    assert stats["rate"] > 15
    assert world.ask("gateway", "GET", "/api/products/p03")[0] == 200


def test_killed_cart_fails_its_callers_until_it_is_revived(world: World) -> None:
    """A dead callee is a 502; the revived process serves again."""
    with injected(world, "kill-cart"):
        assert not world.shop.is_up("cart")
        assert world.ask("gateway", "GET", "/api/carts/anna")[0] == 502
        assert world.ask("gateway", "GET", "/api/products")[0] == 200
    assert world.ask("gateway", "GET", "/api/carts/anna")[0] == 200


def test_slow_inventory_makes_product_pages_slow(world: World) -> None:
    """The delay reaches the gateway, and goes when healed."""
    with injected(world, "slow-inventory"):
        times = sorted(world.ask("gateway", "GET", "/api/products/p05")[2] for _ in range(3))
    assert times[1] > 0.3
    assert wait_until(lambda: world.ask("gateway", "GET", "/api/products/p05")[2] < 0.25)


def test_bad_release_fails_amex_and_is_on_record(world: World) -> None:
    """2.1.0 breaks one card type only; both roll-outs are on the change topic."""
    with injected(world, "bad-release-payment"):
        assert world.shop.release("payment") == "2.1.0"
        assert fill_cart_and_buy(world, "amy", "amex")[0] == 502
        assert {fill_cart_and_buy(world, f"vic{n}")[0] for n in range(4)} & {201}
    assert {fill_cart_and_buy(world, f"amy{n}", "amex")[0] for n in range(4)} & {201}
    changes = [json.loads(r.value) for r in collect(world.kafka, "tocsin.changes", lambda rs: len(rs) >= 2)]
    assert [(c["service"], c["kind"], c["version"]) for c in changes[:2]] == [
        ("payment", "deployment", "2.1.0"),
        ("payment", "deployment", "2.0.3"),
    ]
    assert abs(changes[0]["ts"] / 1000 - time.time()) < 120


def test_deployment_leaves_no_gap(world: World) -> None:
    """While payment rolls out and back, something always answers on its port."""
    with injected(world, "bad-release-payment"):
        assert world.shop.is_up("payment")
    assert world.shop.is_up("payment")
    assert world.shop.release("payment") == "2.0.3"


def test_leak_grows_checkout_and_healing_gives_memory_back(world: World) -> None:
    """Resident memory climbs by real megabytes."""
    process = psutil.Process(world.shop.pid("checkout"))
    before = process.memory_info().rss
    with injected(world, "leak-checkout"):
        wait_until(lambda: process.memory_info().rss > before + 12 * 2**20)
    wait_until(lambda: process.memory_info().rss < before + 8 * 2**20)


def test_lock_contention_blocks_real_writers(world: World) -> None:
    """Reservations wait for the write lock or fail with 503; readers go on."""
    order = {"order": "ord-test", "lines": {"p01": 0}}
    with injected(world, "lock-inventory"):
        wait_until(lambda: blocked(world.ask("inventory", "POST", "/reservations", order)))
    wait_until(lambda: world.ask("inventory", "POST", "/reservations", order)[0] == 201)


def test_hog_burns_a_core_of_catalogue(world: World) -> None:
    """The runaway computation shows as CPU time of the process, and ends."""
    process = psutil.Process(world.shop.pid("catalogue"))
    with injected(world, "hog-catalogue"):
        wait_until(lambda: process.cpu_percent(interval=0.5) > 20)
    wait_until(lambda: process.cpu_percent(interval=0.5) < 12)


def test_mute_cart_goes_on_serving_in_silence(world: World) -> None:
    """No metrics from cart while its callers are served; they come back when healed."""

    def services(records: list[ConsumerRecord]) -> list[str]:
        return [
            resource_of(part)["service.name"]
            for record in records
            for part in MetricsData.FromString(record.value).resource_metrics
        ]

    with injected(world, "mute-cart"):
        # Two full export rounds of another service: cart would have been in them.
        seen = services(
            collect(world.kafka, "otlp_metrics", lambda rs: services(rs).count("gateway") >= 3, from_end=True)
        )
        assert "cart" not in seen[len(seen) // 2 :]
        assert world.ask("gateway", "GET", "/api/carts/bob")[0] == 200
    collect(world.kafka, "otlp_metrics", lambda rs: "cart" in services(rs), from_end=True)


def test_dead_broker_neither_blocks_requests_nor_the_end() -> None:
    """Without any broker, a service answers at once and stops on SIGTERM within seconds."""
    port = free_port()
    argv = [sys.executable, "-m", "demo.service", "cart", "--port", str(port), "--release", "1.4.2"]
    process = subprocess.Popen([*argv, "--kafka", f"127.0.0.1:{free_port()}"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        status, _, taken = ask(port, "GET", "/carts/eve")
        assert status == 200
        assert taken < 0.5
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 0
    finally:
        process.kill()
        process.wait()


def test_orphaned_service_ends_by_itself() -> None:
    """When the process that started it dies, a service does not stay behind."""
    port = free_port()
    child = (
        "import subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-m', 'demo.service', 'cart', '--port', '{port}',"
        f"'--release', '1.4.2', '--kafka', '127.0.0.1:{free_port()}']); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", child], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not answers(port))


def blocked(answer: tuple[int, Any, float]) -> bool:
    status, _, taken = answer
    return status == 503 or taken > 0.3


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/healthz")[0] == 200
    except OSError:
        return False
