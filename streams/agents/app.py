# mypy: allow-subclassing-any, allow-untyped-decorators
"""A Faust App for one stage: its own consumer group, the batch transport, settings that were measured."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol

import faust
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.types import TP
from mode import CrashingSupervisor

from config.connect import Broker, kafka_options, servers
from streams.agents.transport import BatchTransport, Chunk, ChunkScheduler, ChunkSchema, Placement

MAX_REQUEST_BYTES = 32 * 1024 * 1024
QUEUED_CHUNKS = 6
"""Chunks waiting between the reader and the agent; more only costs memory on a backlog."""


@dataclasses.dataclass(frozen=True, slots=True)
class AppConfig:
    """What a stage's App is built from. Times in the unit of their name."""

    group: str
    broker: Broker
    topics: tuple[str, ...]
    fetch_max_wait_ms: int = 100
    fetch_bytes: int = 1024 * 1024
    """most bytes fetched per partition at once (a larger single record still comes through)"""
    request_timeout_s: float = 30.0
    """a produce request without an answer for this long is sent again"""
    producer_patience_s: float = math.inf
    """a broker away for longer than this ends the worker; until then sends are retried in order"""
    session_timeout_s: float = 6.0


class ChunkRunner(Placement, Protocol):
    """A runner as the agent sees it."""

    async def submit(self, tp: TP, chunk: Chunk, ack: Any) -> None:
        """Take over one chunk; `ack()` is called once its effect is safe. May wait (back-pressure)."""
        ...


class StageApp(faust.App):
    """One stage. Its attributes are read by the batch transport."""

    placement: ChunkRunner
    kafka: Broker
    fetch_max_wait_ms: int
    producer_patience_s: float

    def _create_directories(self) -> None:
        """No tables, so nothing to keep on disk: workers run on read-only file systems."""


def _broker_urls(broker: Broker) -> str:
    return ";".join(f"kafka://{server}" for server in servers(broker))


def _credentials(broker: Broker) -> Credentials | None:
    """What Faust hands to its clients: the same as `kafka_options` gives all others."""
    options = kafka_options(broker)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def build_app(config: AppConfig, runner: ChunkRunner) -> StageApp:
    """The App of one stage with its single agent, ready to `start()` inside a running loop."""
    app = StageApp(
        config.group,
        broker=_broker_urls(config.broker),
        broker_credentials=_credentials(config.broker),
        store="memory://",
        table_standby_replicas=0,  # without tables this selects plain round robin over all partitions
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        ConsumerScheduler=ChunkScheduler,
        broker_session_timeout=config.session_timeout_s,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=1.0,
        broker_client_id=config.group,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=config.fetch_bytes,
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_linger=0.005,
        producer_max_batch_size=512 * 1024,
        producer_max_request_size=MAX_REQUEST_BYTES,
        producer_request_timeout=config.request_timeout_s,
        stream_wait_empty=False,  # the runner drains; Faust would wait for acks and stall the rebalance
        worker_redirect_stdouts=False,
    )
    app.placement = runner
    app.kafka = config.broker
    app.fetch_max_wait_ms = config.fetch_max_wait_ms
    app.producer_patience_s = config.producer_patience_s
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    source = app.topic(*config.topics, schema=ChunkSchema())
    source.maxsize = QUEUED_CHUNKS  # App.topic(maxsize=) is silently dropped

    @app.agent(source, name=f"{config.group}.agent", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def agent(stream: Any) -> None:
        # Acks are ours: under noack() an exception leaves the chunk unacknowledged, so it is read again.
        async for event in stream.noack().events():
            await runner.submit(event.message.tp, event.value, event.ack)

    return app
