"""A real Prometheus that scrapes a service, and a real Alertmanager that is told when it fails.

Prometheus knows no Kafka: what it writes remotely is put on a topic as it came, as a bridge would.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from embedded.probe import free_port
from embedded.stack import Stack
from streams.records.pages import Kind
from tests.e2e.pipeline import wait_for
from tests.kafka import programs
from tests.kafka.cluster import KafkaCluster
from tests.kafka.fed import AUTO, NAMED, WAYS, Fed, fed
from tests.kafka.hook import Hook, hook
from tests.kafka.programs import Ended

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

FORMATS = {"remote-write": "prometheus-remote-write", "alerts": "alerts"}
PREFIX = "prom"
MORE = {"receive": {"topic": f"{PREFIX}.alerts.{NAMED}"}}
REMOTE_WRITE, ALERTS = "/api/v1/write", "/v1/alerts/alertmanager"


class Shop:
    """A service with metrics, through Prometheus' own client library."""

    def __init__(self, server: Hook) -> None:
        registry = CollectorRegistry()
        self._server, self._registry = server, registry
        self._ratio = Gauge("shop_error_ratio", "Share of requests that fail", registry=registry)
        self._orders = Counter("shop_orders", "Orders taken", registry=registry)
        self.errors(0.0)

    def errors(self, ratio: float) -> None:
        """From the next scrape on."""
        self._ratio.set(ratio)
        self._orders.inc()
        self._server.page = generate_latest(self._registry)


class Rig(NamedTuple):
    """All of it, running."""

    shop: Shop
    hook: Hook
    logs: Path
    receiver: int
    """port Alertmanager's other webhook goes to"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Target, Prometheus with one rule, Alertmanager with one webhook."""
    prometheus = programs.program("prometheus", "prometheus")
    alertmanager = programs.program("prometheus-alertmanager", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("prometheus")
    own, to = (f"127.0.0.1:{free_port()}" for _ in range(2))
    receiver = free_port()
    with ExitStack() as running:
        server = running.enter_context(hook())
        shop = Shop(server)
        hooks = (f"{server.address}{ALERTS}", f"127.0.0.1:{receiver}{ALERTS}")
        config = programs.alertmanager_config(folder, *(f"http://{each}" for each in hooks))
        argv = [alertmanager, f"--config.file={config}", f"--storage.path={folder}/alerts"]
        argv += [f"--web.listen-address={to}", "--cluster.listen-address="]
        running.enter_context(programs.running(argv, folder / "alertmanager.log"))
        config = programs.prometheus_configs(
            folder, server.address, to, f"http://{server.address}{REMOTE_WRITE}"
        )
        argv = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        running.enter_context(
            programs.running([*argv, f"--web.listen-address={own}"], folder / "prometheus.log")
        )
        yield Rig(shop, server, folder / "prometheus.log", receiver)


@pytest.fixture(scope="module")
def worker(real_kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """One for this module."""
    folder = tmp_path_factory.mktemp("fed")
    with (
        Stack(folder / "stack", kafka=False) as stack,
        fed(folder, real_kafka.bootstrap, stack.clickhouse, PREFIX, FORMATS, **MORE) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def receiver(worker: Fed, rig: Rig) -> Iterator[Ended]:
    """`tocsin receive`, where Alertmanager posts to."""
    argv = [sys.executable, "-m", "cli.main", "receive", "--listen", f"127.0.0.1:{rig.receiver}"]
    argv += ["--config", str(worker.config)]
    with programs.running(argv, worker.folder / "receive.log") as ended:
        yield ended


@pytest.fixture(scope="module")
def written(worker: Fed, rig: Rig) -> None:
    """What Prometheus has written remotely after some scrapes, on both topics."""

    def scraped() -> list[bytes]:
        bodies = rig.hook.posted.get(REMOTE_WRITE, [])
        return bodies if len(bodies) >= 4 else []

    bodies = wait_for("remote writes", scraped, log=rig.logs)
    for topic in worker.topics("remote-write"):
        worker.publish(topic, list(bodies))


@pytest.mark.parametrize("way", WAYS)
def test_remote_write_gives_the_scraped_series(worker: Fed, written: None, way: str) -> None:
    """With the labels of the scrape; the job is the service, what ends in _total a counter."""
    topic = worker.topic("remote-write", way)

    def scraped() -> dict[str, Any]:
        found = {s.series.metric: s.series for s in worker.samples(topic) if "shop" in s.series.metric}
        return found if {"shop_error_ratio", "shop_orders_total"} <= found.keys() else {}

    found = wait_for("the shop's series", scraped, log=worker.workers[-1].log)
    assert {series.service for series in found.values()} == {"checkout"}
    assert found["shop_error_ratio"].kind == Kind.GAUGE
    assert found["shop_orders_total"].kind == Kind.COUNTER


def test_nothing_of_remote_write_is_refused(worker: Fed, written: None) -> None:
    """Not even the marks that a series has ended."""
    wait_for("pages", lambda: worker.samples(worker.topic("remote-write", NAMED)))
    assert [(dead["reason"], dead["detail"]) for dead in worker.dead_letters()] == []


def alerts_in(worker: Fed) -> list[tuple[str, str, str, str]]:
    """(state, kind, service, metric) of every alert in ClickHouse, newest version."""
    try:
        client = worker.clickhouse()
    except DatabaseError as error:
        if "UNKNOWN_DATABASE" not in str(error):
            raise
        return []  # the worker has not made it yet
    try:
        if not client.command("EXISTS TABLE alerts"):
            return []
        found = client.query("SELECT state, kind, service, metric FROM alerts ORDER BY id")
        return [(row[0], row[1], row[2], row[3]) for row in found.result_rows]
    finally:
        client.close()


@pytest.fixture(scope="module")
def episode(worker: Fed, rig: Rig, receiver: Ended) -> None:
    """Prometheus' rule has fired, Alertmanager has posted that to our receiver, and that it was over."""
    log = worker.workers[-1].log

    def state(wanted: str) -> bool:
        assert receiver() is None, receiver()
        return (wanted, "external", "checkout", "HighErrorRatio") in alerts_in(worker)

    rig.shop.errors(0.5)
    wait_for("the firing alert in ClickHouse", lambda: state("firing"), log=log)
    rig.shop.errors(0.0)
    wait_for("its end in ClickHouse", lambda: state("resolved"), log=log)


def test_an_alert_reaches_clickhouse_and_ends_there(worker: Fed, episode: None) -> None:
    """Once, however often it was posted."""
    assert alerts_in(worker) == [("resolved", "external", "checkout", "HighErrorRatio")]


def test_auto_knows_what_alertmanager_posts(worker: Fed, rig: Rig, episode: None) -> None:
    """The same bodies on a topic without a format are read, and are the same alert."""

    def both() -> list[bytes]:
        found = list(rig.hook.posted.get(ALERTS, ()))
        return found if {json.loads(body)["status"] for body in found} == {"firing", "resolved"} else []

    bodies = wait_for("both posts", both, log=rig.logs)
    before = len(worker.read(worker.settings.topics.alerts))
    worker.publish(worker.topic("alerts", AUTO), bodies)
    wait_for(
        "external alerts",
        lambda: len(worker.read(worker.settings.topics.alerts)) > before,
        log=worker.workers[-1].log,
    )
    assert len(alerts_in(worker)) == 1
    assert worker.dead_letters() == []
