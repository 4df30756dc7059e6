"""The driver itself: equal seeds give equal runs, and what is wrong is seen."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path

import pytest

from config.settings import Ingest, InputTopic, Settings, Topics
from tests.chaos.audit import audit_topics
from tests.chaos.faults import NotInjected, _network
from tests.chaos.findings import Findings
from tests.chaos.proxy import Mode, Proxy
from tests.chaos.report import line, summary
from tests.chaos.run import Verdict
from tests.chaos.schedule import KINDS, Fault, plan
from tests.chaos.workload import Workload

SETTINGS = Settings(
    topics=Topics(
        inputs=(
            InputTopic(name="in", format="tocsin", partitions=3),
            InputTopic(name="changes", format="changes", partitions=1),
            InputTopic(name="actions", format="actions", partitions=1),
        )
    ),
    ingest=Ingest(shards=3, allowed_lateness_ms=1_000),
)


@pytest.fixture(scope="module")
def work() -> Workload:
    return Workload(5, SETTINGS)


@pytest.fixture
def found(work: Workload) -> Findings:
    """What a run without fault leaves: the reference itself, to be spoiled by the test."""
    return copy.deepcopy(work.expected)


@pytest.mark.parametrize("broker", ["embedded", "kafka"])
def test_a_seed_is_a_run(broker: str) -> None:
    """The same faults at the same times on the same workers; other seeds give others."""
    assert plan(7, broker) == plan(7, broker)
    assert len({plan(seed, broker) for seed in range(50)}) == 50


def test_every_kind_of_fault_is_drawn() -> None:
    """A hundred seeds leave none out."""
    drawn = {fault.kind for seed in range(100) for fault in plan(seed, "kafka").faults}
    assert drawn == set(KINDS)


def test_a_seed_is_a_data_set(work: Workload) -> None:
    """Byte for byte, and with something to find."""
    again = Workload(5, SETTINGS)
    assert (again.data, again.expected) == (work.data, work.expected)
    assert len(work.expected.final()) >= 2


def test_an_undisturbed_run_is_clean(work: Workload, found: Findings) -> None:
    """Nothing lost, nothing doubled, all equal."""
    assert audit_topics(work, found).clean


@pytest.mark.parametrize("hop", ["rows", "letters", "alerts", "incidents", "answers"])
def test_one_missing_id_is_a_loss(hop: str, work: Workload, found: Findings) -> None:
    """At any hop."""
    ids = getattr(found, hop)
    lost = next(iter(ids))
    ids.remove(lost) if isinstance(ids, set) else ids.pop(lost)
    assert audit_topics(work, found).lost >= 1


def test_an_id_nobody_sent_is_a_double(work: Workload, found: Findings) -> None:
    """A version more than the reference has, for instance."""
    found.alerts["made-up", 1] = b"{}"
    assert audit_topics(work, found).doubled == 1


def test_one_byte_makes_an_incident_unequal(work: Workload, found: Findings) -> None:
    """Byte for byte means that."""
    key, version = next(iter(found.final().items()))
    found.incidents[key, version] += b" "
    assert audit_topics(work, found).unequal == 1


def test_a_fault_that_did_not_take_place_fails_the_run() -> None:
    """A run must not pass because nothing happened."""
    verdict = Verdict(plan(1, "embedded"))
    assert verdict.passed
    verdict.problems.append(f"{verdict.plan.faults[0]}: nothing to refuse came by")
    assert not verdict.passed
    assert "FAIL" in line(verdict, Path("logs"))
    assert "failed seeds: 1" in summary([verdict], 1.0)


async def test_a_network_fault_without_traffic_did_not_take_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy has to have something to drop."""
    proxy = Proxy(1)
    await proxy.start()
    monkeypatch.setattr("tests.chaos.faults.PATIENCE_S", 0.1)
    try:
        with pytest.raises(NotInjected):
            await _network(Fault("partition", 0.5, 0.0, 0, "refuse"), [proxy], Mode.REFUSE)
    finally:
        await proxy.close()


async def test_a_proxy_puts_itself_in_the_place_of_the_broker() -> None:
    """Clients go where the answers send them."""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"host\x00\x09127.0.0.1" + port.to_bytes(4, "big")
        writer.write(len(body).to_bytes(4, "big") + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = Proxy(port, advertised=True)
    await proxy.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        said = await asyncio.wait_for(reader.read(100), 5)
        assert said.endswith(b"127.0.0.1" + proxy.port.to_bytes(4, "big"))
        writer.close()
    finally:
        await proxy.close()
        server.close()
