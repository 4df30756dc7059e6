"""TLS and logins on the real Apache Kafka: who is let in, and what is said to those who are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
from faust.types import TP

from cli.bus import explained, partitions_of, send
from cli.errors import CliError
from config.connect import kafka_options
from config.settings import Kafka
from embedded.probe import LOOPBACK
from embedded.stack import Stack
from sinks.protocol import SinkUnavailable
from sinks.targets.ledger import KafkaLedger
from streams.agents.ends import behind
from streams.agents.topics import StartError, TopicSpec, connect, ensure_topics
from tests.agents import kit
from tests.certificates import KEY_PASSWORD
from tests.e2e import scenarios
from tests.e2e.pipeline import pipeline
from tests.kafka.secured import PASSWORD, USER, Secured
from tests.shopdata import write_shop

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def secured(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker for the module."""
    made = Secured(tmp_path_factory.mktemp("secured"))
    with made.cluster:
        yield made


WRONG = "not the password"
WAYS = ("SSL", "MUTUAL", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def way_in(secured: Secured, way: str) -> Kafka:
    """Settings that are right for this way of being let in."""
    if way == "MUTUAL":
        return secured.mutual()
    return secured.settings("SSL") if way == "SSL" else secured.settings("SASL", sasl_mechanism=way)


@pytest.mark.parametrize("way", WAYS)
async def test_every_kind_of_client_is_let_in(secured: Secured, way: str) -> None:
    """Admin, producer and consumer, with what `kafka_options` makes of the settings."""
    kafka = way_in(secured, way)
    topic = kit.unique("t")
    admin = await connect(kafka)
    try:
        assert await ensure_topics(admin, [TopicSpec(topic, 1)]) == {topic: 1}
    finally:
        await admin.close()
    assert await send(kafka, topic, b"key", b"value") == (0, 0)
    reader = aiokafka.AIOKafkaConsumer(topic, **kafka_options(kafka), auto_offset_reset="earliest")
    await reader.start()
    try:
        record = await asyncio.wait_for(reader.getone(), 20)
    finally:
        await reader.stop()
    assert (record.key, record.value) == (b"key", b"value")


async def test_a_key_may_be_encrypted(secured: Secured) -> None:
    """Its password comes from the settings; nobody is asked on a terminal."""
    pair = secured.authority.issue("other.test", common_name="other", password=KEY_PASSWORD)
    kafka = secured.mutual(cert_file=str(pair.cert), key_file=str(pair.key), key_password=KEY_PASSWORD)
    admin = await connect(kafka)
    await admin.close()


def refusals(secured: Secured) -> dict[str, tuple[Kafka, list[str]]]:
    """What is wrong -> settings, and what the message must name."""
    mallory = secured.stranger.issue("mallory.test", common_name="mallory")
    stranger = {"cert_file": str(mallory.cert), "key_file": str(mallory.key)}
    at = {name: f"{LOOPBACK}:{port}" for name, port in secured.ports.items()}
    return {
        "wrong password": (
            secured.settings("SASL", password=WRONG),
            ["refuses user 'tocsin'", "SCRAM-SHA-512", "kafka.password", "TOCSIN_KAFKA_USER"],
        ),
        "wrong password in PLAIN": (
            secured.settings("SASL", password=WRONG, sasl_mechanism="PLAIN"),
            ["refuses user 'tocsin' with PLAIN", "kafka.password"],
        ),
        "unknown user": (secured.settings("SASL", user="nobody"), ["refuses user 'nobody'", "kafka.user"]),
        "unknown authority": (
            secured.settings("SSL", ca_file=str(secured.stranger.ca)),
            ["not trusted", "kafka.ca_file", "TOCSIN_KAFKA_CA_FILE", str(secured.stranger.ca)],
        ),
        "no authority": (secured.settings("SSL", ca_file=""), ["not trusted", "the system's authorities"]),
        "no certificate of ours": (secured.settings("MUTUAL"), ["kafka.cert_file", "kafka.key_file"]),
        "certificate of a stranger": (secured.mutual(**stranger), ["may not accept", str(mallory.cert)]),
        "another host": (
            secured.settings("SSL", bootstrap=f"localhost:{secured.ports['SSL']}"),
            ["another host", "kafka.check_hostname"],
        ),
        "plain words to TLS": (Kafka(bootstrap=at["SSL"]), ["kafka.security (plaintext)"]),
        "TLS to plain words": (
            secured.settings("SSL", bootstrap=secured.cluster.bootstrap),
            ["handshake", "kafka.security (ssl)"],
        ),
        "login where none is asked": (
            secured.settings("SASL", bootstrap=at["SSL"]),
            ["asks for no login", "kafka.security (sasl_ssl)"],
        ),
        "no login where one is asked": (
            secured.settings("SSL", bootstrap=at["SASL"]),
            ["nobody without a login", "kafka.security (ssl)"],
        ),
    }


CASES = (
    "wrong password",
    "wrong password in PLAIN",
    "unknown user",
    "unknown authority",
    "no authority",
    "no certificate of ours",
    "certificate of a stranger",
    "another host",
    "plain words to TLS",
    "TLS to plain words",
    "login where none is asked",
    "no login where one is asked",
)


@pytest.mark.parametrize("case", CASES)
async def test_who_is_not_let_in_is_told_at_once_what_to_check(secured: Secured, case: str) -> None:
    """One line, and no waiting for a broker that will never change its mind."""
    kafka, parts = refusals(secured)[case]
    began = asyncio.get_running_loop().time()
    with pytest.raises(StartError) as refused:
        await connect(kafka, patience_s=60)
    assert asyncio.get_running_loop().time() - began < 15
    for part in parts:
        assert part in str(refused.value)
    assert PASSWORD not in str(refused.value)


async def test_the_host_name_need_not_fit_if_one_says_so(secured: Secured) -> None:
    """The authority is checked all the same."""
    there = f"localhost:{secured.ports['SSL']}"
    admin = await connect(secured.settings("SSL", bootstrap=there, check_hostname=False))
    await admin.close()
    with pytest.raises(StartError, match="not trusted"):
        await connect(
            secured.settings("SSL", bootstrap=there, check_hostname=False, ca_file=str(secured.stranger.ca))
        )


async def test_commands_and_targets_say_it_too(secured: Secured) -> None:
    """In place of "no Kafka at"."""
    wrong = secured.settings("SASL", password=WRONG)
    with pytest.raises(CliError, match=r"refuses user 'tocsin'.*kafka\.password"):
        async with explained(wrong):
            await partitions_of(wrong, "t")
    with pytest.raises(SinkUnavailable, match=r"refuses user 'tocsin'.*kafka\.password"):
        await KafkaLedger("pager", wrong, "t").start()


async def test_the_ledger_and_the_look_behind_ends_use_the_login(secured: Secured) -> None:
    """Those that make clients of their own."""
    kafka = secured.settings("SASL")
    topic = kit.unique("t")
    admin = await connect(kafka)
    try:
        await ensure_topics(admin, [TopicSpec(topic, 1)])
    finally:
        await admin.close()
    await send(kafka, topic, b"", b"no notification")
    ledger = KafkaLedger("pager", kafka, topic)
    await ledger.start()
    await ledger.stop()
    tp = TP(topic, 0)
    assert await behind(kafka, {tp: 0}) == {tp: 1}


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real ClickHouse engine."""
    with Stack(tmp_path_factory.mktemp("stack"), kafka=False) as stack:
        yield stack.clickhouse


def test_the_whole_worker_runs_over_tls_with_a_login(
    secured: Secured, clickhouse: str, tmp_path: Path
) -> None:
    """Replay, all stages (Faust's consumers and producers, checkpoints, topics), ClickHouse."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    kafka = {
        "bootstrap": f"{LOOPBACK}:{secured.ports['SASL']}",
        "security": "sasl_ssl",
        "ca_file": str(secured.authority.ca),
        "user": USER,
        "password": {"file": str(password)},
    }
    data = write_shop(tmp_path / "shop")
    with pipeline(tmp_path, kafka["bootstrap"], clickhouse, "sasl", data, {"kafka": kafka}) as running:
        scenarios.incidents_arrive(running)
        password.write_text("no longer the password")
        refused = running.tocsin("worker", "--health-port", "-1")
    assert refused.returncode != 0
    assert f"refuses user '{USER}'" in refused.stderr
    assert "kafka.password" in refused.stderr
