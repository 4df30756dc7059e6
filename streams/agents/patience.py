# mypy: allow-subclassing-any
"""A broker that is away is waited for: no batch expires, and what could not be sent is sent again in order.

aiokafka has one timeout for two things: how long a request may take, and how long a batch may be tried. The
first must be short, or a connection that died silently holds everything up; the second must be long,
because a worker that gives up after some minutes of outage would only be started again to wait once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError
from faust.exceptions import ProducerSendError
from faust.transport.drivers.aiokafka import Producer

log = logging.getLogger(__name__)

PAUSE_S = 0.5
"""between two attempts to hand something to a producer or to read a checkpoint"""

T = TypeVar("T")


class PatientProducer(Producer):
    """Tries a batch for as long as `app.producer_patience_s` says."""

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        producer._message_accumulator._batch_ttl = self.app.producer_patience_s
        return producer


def passing(error: BaseException | None) -> bool:
    """Whether an error says "not now": the broker is away, changing its leader or busy."""
    if isinstance(error, ProducerSendError):
        error = error.__cause__
    # A full buffer is reported as a timeout, which aiokafka does not call retriable.
    return isinstance(error, OSError | KafkaTimeoutError) or (
        isinstance(error, KafkaError) and error.retriable
    )


async def patiently(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """`call()`, again for as long as it fails in passing; it must be harmless to repeat after a failure."""
    told = False
    while True:
        try:
            return await call()
        except (ProducerSendError, KafkaError, OSError) as error:
            if not passing(error):
                raise
            if not told:
                log.warning("%s: waiting for the broker: %r", what, error)
                told = True
            await asyncio.sleep(PAUSE_S)


class SteadyConnection(AIOKafkaConnection):
    """In place of aiokafka's connection: one that is gone is said to be gone, whatever the event loop says.

    A write to a closed transport is an error of another kind under uvloop, which aiokafka takes for a bug
    of its own; its consumer, and so the worker, would end.
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            if self._writer is None or not self._writer.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self._host}:{self._port} broken: {error}") from error


def install() -> None:
    """Have this process's connections behave so. aiokafka offers no hook, so its name is replaced."""
    aiokafka.conn.AIOKafkaConnection = SteadyConnection
