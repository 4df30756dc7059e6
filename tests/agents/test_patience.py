"""A broker that is away is waited for; what no waiting cures is not."""

from __future__ import annotations

import math

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)
from faust.exceptions import ProducerSendError

from streams.agents import patience
from streams.agents.app import AppConfig, build_app
from tests.agents.fakes import Idle


def wrapped(error: Exception) -> ProducerSendError:
    """As Faust hands it on."""
    made = ProducerSendError("Error while sending")
    made.__cause__ = error
    return made


@pytest.mark.parametrize(
    "error",
    [
        KafkaConnectionError(),
        KafkaTimeoutError(),
        NotLeaderForPartitionError(),
        wrapped(KafkaTimeoutError()),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_passes_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer counts: it is full because the broker is away."""
    monkeypatch.setattr(patience, "PAUSE_S", 0.0)
    left = [error, error]

    async def call() -> str:
        if left:
            raise left.pop()
        return "sent"

    assert await patience.patiently("test", call) == "sent"


@pytest.mark.parametrize("error", [MessageSizeTooLargeError(), wrapped(MessageSizeTooLargeError())])
async def test_what_does_not_pass_is_raised(error: Exception) -> None:
    """Waiting would not make the message smaller."""

    async def call() -> None:
        raise error

    with pytest.raises(type(error)):
        await patience.patiently("test", call)


class Gone:
    """A stream whose transport uvloop has closed, or that has a bug."""

    def __init__(self, closing: bool) -> None:
        self.closing = closing

    def write(self, data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None: ...


@pytest.mark.parametrize(("closing", "raised"), [(True, KafkaConnectionError), (False, RuntimeError)])
async def test_a_write_to_a_closed_connection_says_that_it_is_closed(
    closing: bool, raised: type[Exception]
) -> None:
    """aiokafka retries that; anything else would end its consumer, and the worker."""
    connection = patience.SteadyConnection("127.0.0.1", 1)
    connection._writer = Gone(closing)
    connection._versions = {}
    request = type("Request", (), {"prepare": lambda self, versions: Encoded()})()
    with pytest.raises(raised):
        connection.send(request)
    connection._writer = connection._reader = None


class Encoded:
    """A request, ready for the wire."""

    def build_request_header(self, **_: object) -> Encoded:
        return self

    def encode(self) -> bytes:
        return b""


async def test_a_batch_is_tried_for_ever_and_a_request_only_for_seconds() -> None:
    """aiokafka has one timeout for both."""
    app = build_app(AppConfig("group", "127.0.0.1:1", ("in",)), Idle())
    producer = app.producer._new_producer()
    try:
        assert producer._message_accumulator._batch_ttl == math.inf
        assert producer._request_timeout_ms == 30_000
    finally:
        producer._closed = True
