"""Dead letters and the command that lists them and puts them back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from cli.errors import CliError
from cli.main import app
from embedded.broker import broker_child
from embedded.probe import free_port
from embedded.supervisor import Supervisor
from streams.agents import reinject as command
from streams.decode import deadletter
from streams.decode.columns import Refusal
from streams.records.messages import DeadLetter
from tests.decode.support import T0, record


def letter(
    offset: int = 7, reason: str = "undecodable", value: bytes | None = b"\x00bad", **more: object
) -> DeadLetter:
    dead = deadletter.letter(record(value, offset)._replace(key=b"k"), Refusal(reason, "why", 0))
    return DeadLetter(**{**{name: getattr(dead, name) for name in dead.__struct_fields__}, **more})


@pytest.mark.parametrize("value", [None, b"", b"\x00\xff", b"x" * 2_000_000])
def test_a_dead_letter_comes_back_as_it_was(value: bytes | None) -> None:
    """Through its JSON form, large ones compressed on the way."""
    raw = deadletter.output("dead", letter(value=value)).value
    assert raw is not None
    assert len(raw) < 1_000_000
    assert deadletter.original(deadletter.read(raw)) == value


def test_what_does_not_fit_even_compressed_is_cut_and_says_so() -> None:
    """It can be looked at, but not put back."""
    noise = random.Random(1).randbytes(2_000_000)
    raw = deadletter.output("dead", letter(value=noise)).value
    assert raw is not None
    assert len(raw) < 1_000_000
    dead = deadletter.read(raw)
    assert dead.cut + len(dead.value or b"") == len(noise)
    with pytest.raises(deadletter.Unreadable, match="too many to keep"):
        deadletter.original(dead)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b"[1]"])
def test_anything_else_on_the_topic_is_not_a_dead_letter(raw: bytes) -> None:
    """Readers step over it."""
    with pytest.raises(deadletter.Unreadable):
        deadletter.read(raw)


def test_a_preview_is_one_printable_line() -> None:
    """No control characters reach the terminal."""
    assert command.preview(b"a\n\x1b[31mb\xff") == "a..[31mb."
    assert command.preview(b"x" * 100) == "x" * 60 + "…"
    assert command.preview(None) == "(no value)"


def test_filters_are_by_reason_topic_and_place() -> None:
    """All given ones must fit."""
    dead = letter()
    assert command.Wanted().takes(dead)
    assert command.Wanted("undecodable", "in", "in/0/7").takes(dead)
    assert not command.Wanted(reason="future").takes(dead)
    assert not command.Wanted(topic="other").takes(dead)
    assert not command.Wanted(offset="in/0/8").takes(dead)


def test_a_record_with_several_reasons_is_put_back_once() -> None:
    """One dead letter a reason, one record to return, with its bytes, key and headers."""
    headers = (("trace", b"\x01"), ("tocsin-reinjected", b"old"))
    back, left = command.returns([letter(headers=headers), letter(reason="future", headers=headers)])
    assert back == [
        command.Return("in", 0, b"k", b"\x00bad", (("trace", b"\x01"), ("tocsin-reinjected", b"in/0/7")))
    ]
    assert left == []


def test_a_record_that_was_put_back_and_refused_again_is_put_back_once() -> None:
    """Else each round would double them."""
    again = letter(offset=9, headers=(("tocsin-reinjected", b"in/0/7"),))
    third = letter(offset=12, headers=(("tocsin-reinjected", b"in/0/9"),))
    back, left = command.returns([letter(), again, third])
    assert [dict(one.headers)["tocsin-reinjected"] for one in back] == [b"in/0/12"]
    assert left == []


def test_a_record_that_was_cut_is_left_out_with_the_reason() -> None:
    """Half a record would be a lie."""
    back, left = command.returns([letter(cut=5)])
    assert back == []
    assert left == ["in/0/7: 5 bytes of the record were too many to keep"]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """HOST:PORT of an embedded broker."""
    with Supervisor() as supervisor:
        port = free_port()
        supervisor.start(broker_child(port))
        yield f"127.0.0.1:{port}"


async def prepare(broker: str, letters: list[DeadLetter]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("in", 2, 1), NewTopic("tocsin.deadletters", 1, 1)])
    finally:
        await admin.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        await producer.send_and_wait("tocsin.deadletters", b"not a dead letter")
        for dead in letters:
            output = deadletter.output("tocsin.deadletters", dead)
            await producer.send_and_wait(output.topic, output.value, output.key)
    finally:
        await producer.stop()


async def everything(broker: str, topic: str) -> list[aiokafka.ConsumerRecord]:
    consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        found = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


def test_the_command_lists_filters_and_puts_back(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a broker, as a person would use it."""
    monkeypatch.setenv("TOCSIN_KAFKA", broker)
    letters = [letter(i, "future" if i % 2 else "undecodable", headers=(("h", b"1"),)) for i in range(6)]
    asyncio.run(prepare(broker, letters))
    run = CliRunner().invoke

    listed = json.loads(run(app, ["deadletters", "--json", "--limit", "4"]).output)
    assert [found["offset"] for found in listed] == [2, 3, 4, 5]
    assert listed[0]["timestamp_ms"] == T0
    shown = run(app, ["deadletters", "--reason", "future"]).output
    assert "in/0/5" in shown
    assert "in/0/4" not in shown

    done = json.loads(run(app, ["deadletters", "--reason", "future", "--reinject", "--json"]).output)
    assert done == {"reinjected": 3, "left": []}
    records = asyncio.run(everything(broker, "in"))
    assert [(r.partition, r.key, r.value) for r in records] == [(0, b"k", b"\x00bad")] * 3
    assert [dict(r.headers)["tocsin-reinjected"] for r in records] == [b"in/0/1", b"in/0/3", b"in/0/5"]
    assert all(dict(r.headers)["h"] == b"1" for r in records)


def test_without_a_broker_the_command_says_so_in_one_line() -> None:
    """No traceback; the next step is named."""
    result = CliRunner().invoke(app, ["deadletters", "--kafka", f"127.0.0.1:{free_port()}"])
    assert isinstance(result.exception, CliError)
    assert "no Kafka at" in result.exception.message
    assert result.exception.next_step


def test_an_unknown_reason_is_refused_with_the_known_ones() -> None:
    """A typo must not look like "no dead letters"."""
    result = CliRunner().invoke(app, ["deadletters", "--reason", "undecodeable"])
    assert isinstance(result.exception, CliError)
    assert "undecodable" in result.exception.next_step
