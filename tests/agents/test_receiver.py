"""Alerts by HTTP, against a broker: 2xx when it has the record, and a reason otherwise."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import msgspec
import pytest

from cli.main import main
from config.settings import Ingest, InputTopic, Kafka, Receive, Settings, Topics
from correlator import external
from embedded.probe import free_port
from streams.agents.process import WorkerConfig
from streams.agents.receiver import Receiver, group_of
from streams.agents.stages import build_plan, topic_specs
from streams.agents.topics import StartError
from streams.decode import onward
from tests.agents import kit
from tests.agents.test_worker import working

GOLDEN = Path(__file__).parents[1] / "decode" / "golden"
WEBHOOK = (GOLDEN / "alertmanager" / "firing.json").read_bytes()
GRAFANA = (GOLDEN / "grafana" / "alerting.json").read_bytes()
TOKEN = "t0"  # noqa: S105
TRIGGER = (GOLDEN / "pagerduty" / "trigger.json").read_bytes()


def webhook(*alerts: dict[str, Any]) -> bytes:
    top = {"receiver": "r", "status": "firing", "version": "4", "groupKey": "{}", "alerts": alerts}
    return json.dumps(top).encode()


def settings(bootstrap: str, topic: str = "tocsin.external", **receive: Any) -> Settings:
    return Settings(
        kafka=Kafka(bootstrap=bootstrap),
        topics=Topics(inputs=(InputTopic(name=topic, format="alerts", partitions=1),)),
        receive=Receive(topic=topic, **receive),
    )


@asynccontextmanager
async def receiving(of: Settings, token: str = "", ready: bool = True) -> AsyncIterator[Any]:
    """A receiver, and a client for it: (method, path, body, headers) -> (status, answer)."""
    receiver = Receiver(of, token)
    port = await receiver.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def call(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
            async with http.request(method, path, data=body or None, headers=headers) as answer:
                return answer.status, await answer.json()

        try:
            if ready:
                await kit.eventually(lambda: receiver._producer is not None, 30, "connected")
            yield call
        finally:
            await receiver.stop()


async def values(bootstrap: str, topic: str, count: int) -> list[tuple[bytes | None, bytes]]:
    """Keys and values of a topic's first records."""
    reader = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await reader.start()
    try:
        async with asyncio.timeout(20):
            return [(r.key, r.value) for r in [await reader.getone() for _ in range(count)]]
    finally:
        await reader.stop()


async def test_what_is_accepted_is_on_the_topic_as_it_came(bootstrap: str) -> None:
    """Each system at its own path, any at the common one; the group keeps its order."""
    topic = kit.unique("external")
    async with receiving(settings(bootstrap, topic)) as call:
        assert (await call("POST", "/v1/alerts/alertmanager", WEBHOOK))[0] == 202
        assert (await call("POST", "/v1/alerts/grafana", GRAFANA))[0] == 202
        assert (await call("POST", "/v1/alerts", WEBHOOK))[0] == 202
        status, answer = await call("POST", "/v2/enqueue", TRIGGER)
        assert (status, answer["status"], answer["dedup_key"]) == (202, "success", "samplekeyhere")
        packed = {"Content-Encoding": "gzip"}
        assert (await call("POST", "/v1/alerts", gzip.compress(WEBHOOK), **packed))[0] == 202
        found = await values(bootstrap, topic, 5)
    assert [value for _, value in found] == [WEBHOOK, GRAFANA, WEBHOOK, TRIGGER, WEBHOOK]
    assert found[0][0] == found[2][0] == json.loads(WEBHOOK)["groupKey"].encode()


async def test_what_cannot_be_used_is_answered_with_the_reason(bootstrap: str) -> None:
    """And is not on the topic."""
    topic = kit.unique("external")
    async with receiving(settings(bootstrap, topic, max_bytes=5_000)) as call:
        for path, body, status, word in (
            ("/v1/alerts", b"text", 400, "undecodable"),
            ("/v1/alerts", b'{"a": 1}', 400, "unknown-format"),
            ("/v1/alerts/pagerduty", WEBHOOK, 400, "of alertmanager, not of pagerduty"),
            ("/v1/alerts/alertmanager", webhook(), 400, "without alerts"),
            ("/v1/alerts/alertmanager", webhook({"status": "x", "labels": {}}), 400, "status"),
            ("/v1/alerts/alertmanager", b'{"alerts": []}', 400, "unknown-format"),
            ("/v1/alerts", b" " * 5_001, 413, "5000"),
            ("/v1/alerts/nagios", WEBHOOK, 404, "nagios"),
        ):
            answer = await call("POST", path, body)
            assert answer[0] == status, (path, body[:40], answer)
            assert word in answer[1]["message"]
        bomb = gzip.compress(bytes(50_000_000))
        assert (await call("POST", "/v1/alerts", bomb, **{"Content-Encoding": "gzip"}))[0] == 413
        await call("POST", "/v1/alerts", WEBHOOK)
        assert [value for _, value in await values(bootstrap, topic, 1)] == [WEBHOOK]


def acting(bootstrap: str) -> Settings:
    """Settings with a topic for actions, too."""
    of = settings(bootstrap, kit.unique("r"))
    topic = InputTopic(name=f"{of.receive.topic}.actions", format="actions", partitions=1)
    topics = msgspec.structs.replace(of.topics, inputs=(*of.topics.inputs, topic))
    return msgspec.structs.replace(of, topics=topics)


async def test_actions_of_other_programs_are_on_their_topic(bootstrap: str) -> None:
    """One or several, each with its id, keyed by the incident."""
    of = acting(bootstrap)
    one = {"id": "x1", "ts": 1_700_000_000_000, "incident": "a1", "action": "acknowledge", "actor": "ann"}
    more = [{**one, "id": "x2"}, {**one, "id": "", "action": "impact", "fields": {"customers": 5}}]
    async with receiving(of) as call:
        assert await call("POST", "/v1/actions", json.dumps(one).encode()) == (
            202,
            {"status": "success", "ids": ["x1"]},
        )
        status, answer = await call("POST", "/v1/actions", json.dumps(more).encode())
        assert (status, answer["ids"][0], len(answer["ids"])) == (202, "x2", 2)
    found = await values(bootstrap, of.topics.inputs[1].name, 3)
    assert [key for key, _ in found] == [b"a1"] * 3
    sent = [json.loads(value) for _, value in found]
    assert [s["id"] for s in sent] == ["x1", *answer["ids"]]
    assert sent[2]["fields"] == {"customers": "5"}


async def test_actions_that_cannot_be_are_answered_with_the_reason(bootstrap: str) -> None:
    """Nothing of them is sent on."""
    of = acting(bootstrap)
    async with receiving(of, TOKEN) as call:
        head = {"Authorization": f"Bearer {TOKEN}"}
        for body, reason in (
            (b"{", "JSON expected"),
            (b"[]", "1 to 100 actions expected"),
            (b'{"ts": 1, "action": "x"}', "an action needs an action, and an incident"),
            (b'{"ts": -1, "action": "x", "incident": "a"}', "ts must be milliseconds"),
        ):
            status, answer = await call("POST", "/v1/actions", body, **head)
            assert status == 400
            assert reason in json.dumps(answer)
        assert (await call("POST", "/v1/actions", b"{}"))[0] == 401


async def test_only_who_has_the_token_is_heard(bootstrap: str) -> None:
    """It is not said what was wrong with it."""
    async with receiving(settings(bootstrap, kit.unique("external")), token="s3cret") as call:  # noqa: S106 - of this test
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic s3cret"}):
            assert (await call("POST", "/v1/alerts", WEBHOOK, **headers))[0] == 401
        assert (await call("POST", "/v1/alerts", WEBHOOK, Authorization="bearer s3cret"))[0] == 202


async def test_without_a_broker_senders_are_told_to_come_back() -> None:
    """Nothing is kept here: 503 makes them send it again."""
    async with receiving(settings(f"127.0.0.1:{free_port()}"), ready=False) as call:
        assert (await call("GET", "/healthz"))[0] == 503
        assert (await call("POST", "/v1/alerts", WEBHOOK))[0] == 503
        assert (await call("POST", "/v1/alerts", b"text"))[0] == 400


async def test_a_record_the_broker_does_not_confirm_is_not_accepted(bootstrap: str) -> None:
    """A producer that gets no answer in time."""
    receiver = Receiver(settings(bootstrap, timeout_ms=100))

    class Silent:
        async def send_and_wait(self, *_: object, **__: object) -> None:
            await asyncio.Event().wait()

    receiver._producer = Silent()
    answer = await receiver._produce(WEBHOOK, 2)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_it_listens_elsewhere_only_with_a_token(bootstrap: str) -> None:
    """And only for a topic that somebody reads."""
    with pytest.raises(StartError, match="TOCSIN_RECEIVE_TOKEN"):
        await Receiver(settings(bootstrap)).start("0.0.0.0", 0)  # noqa: S104 - refused
    unread = Settings(receive=Receive(topic="nowhere"))
    with pytest.raises(StartError, match="nowhere"):
        await Receiver(unread).start("127.0.0.1", 0)


async def test_a_posted_alert_becomes_an_incident_without_any_telemetry(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By HTTP in, on the incident topic out; and on the alerts topic for the sinks."""
    monkeypatch.setattr(onward, "MARK_EVERY_MS", 300)
    monkeypatch.setattr(external, "PATIENCE_MS", 1_000)
    name = kit.unique("t")
    topic = InputTopic(name=f"{name}.external", format="alerts", partitions=1)
    names = {
        k: f"{name}.{k}"
        for k in (
            "pages",
            "alerts",
            "incidents",
            "suppressions",
            "response",
            "written",
            "notifications",
            "problems",
            "topology",
            "action_results",
            "audit",
            "deadletters",
        )
    }
    of = Settings(
        kafka=Kafka(bootstrap=bootstrap),
        topics=Topics(inputs=(topic,), **names),
        ingest=Ingest(shards=1),
        receive=Receive(topic=topic.name),
    )
    specs = topic_specs(of)
    await kit.create(bootstrap, *specs)
    counts = {spec.name: spec.partitions for spec in specs}
    plans = [build_plan(stage, of, counts) for stage in ("ingest", "correlate")]
    async with receiving(of) as call, working(WorkerConfig(bootstrap, name), plans, specs):
        labels = {"alertname": "Down", "service": "cart", "severity": "critical"}
        alerts = [{"status": "firing", "labels": labels, "startsAt": "", "endsAt": ""}]
        body = webhook(*alerts)
        assert (await call("POST", "/v1/alerts/alertmanager", body))[0] == 202
        events = await kit.read_until(bootstrap, of.topics.incidents, bool, 60)
        told = await kit.read_until(
            bootstrap, of.topics.alerts, lambda s: any(m["type"] == "alert" for m in s), 20
        )
    assert events[0]["data"]["members"][0]["metric"] == "Down"
    (alert,) = [m for m in told if m["type"] == "alert"]
    assert (alert["kind"], alert["service"], alert["severity"]) == ("external", "cart", "critical")


def test_a_bad_address_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With what was expected."""
    with pytest.raises(SystemExit) as ended:
        main(["receive", "--listen", "8391"])
    assert ended.value.code == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_body_without_a_group_has_no_key() -> None:
    """The broker then chooses a partition."""
    assert group_of(b'{"dedup_key": null}') is None
    assert group_of(b"text") is None
    assert group_of(b'{"dedup_key": "k"}') == b"k"
