"""Takes alerts by HTTP and puts them on the external topic: for systems that call webhooks.

The body is produced as it came; it is decoded once here only to answer with a reason what could not be
used later. A sender is told 2xx when the broker has the record, and anything else otherwise, so that it
sends it again: nothing is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from config.connect import kafka_options
from config.settings import Settings
from streams.agents.topics import StartError, TopicSpec, connect, ensure_topics
from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, WRONG_TYPE, BadRecord
from streams.decode.look import Look
from streams.records.messages import Action, ExternalAlert

log = logging.getLogger(__name__)

SYSTEMS = ("alertmanager", "grafana", "pagerduty")
AT_ONCE = 64
"""requests in work at the same time; further ones wait"""
MOST_ACTIONS = 100
"""in one request"""
AGAIN_S = 1.0


class Receiver:
    """Serves `POST /v1/alerts[/SYSTEM]`, PagerDuty's `/v2/enqueue`, `POST /v1/actions`, `GET /healthz`."""

    def __init__(
        self, settings: Settings, token: str = "", broken: Callable[[], None] = lambda: None
    ) -> None:
        """`broken` is called when it cannot go on; `stop` then raises why."""
        self._settings = settings
        self._token = token.encode()
        self._broken = broken
        self._format = formats.ALERTS
        self._producer: AIOKafkaProducer | None = None
        self._runner: web.AppRunner | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(AT_ONCE)

    async def start(self, host: str, port: int) -> int:
        """Listen and connect; returns the port (0 asks for a free one). Raises `StartError`."""
        topic = self._settings.receive.topic
        inputs = {each.name: each for each in self._settings.topics.inputs}
        if topic not in inputs:
            raise StartError(
                f"receive.topic is {topic!r}: expected one of topics.inputs ({', '.join(inputs)})"
            )
        self._format = formats.ALERTS if inputs[topic].format == formats.AUTO else inputs[topic].format
        if self._format not in formats.EXTERNAL:
            known = ", ".join(sorted(formats.EXTERNAL))
            raise StartError(f"receive.topic {topic!r} has format {self._format}: expected one of {known}")
        if not self._token and host not in ("127.0.0.1", "::1", "localhost"):
            raise StartError(
                f"alerts are received at {host} only with a token: "
                "set TOCSIN_RECEIVE_TOKEN or TOCSIN_RECEIVE_TOKEN_FILE, or listen on 127.0.0.1"
            )
        app = web.Application(client_max_size=self._settings.receive.max_bytes)
        app.router.add_post("/v1/alerts", self._any)
        app.router.add_post("/v1/alerts/{system}", self._named)
        app.router.add_post("/v2/enqueue", self._enqueue)
        app.router.add_post("/v1/actions", self._actions)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(f"cannot receive alerts at {host}:{port} ({error.strerror or error})") from error
        self._connecting = asyncio.create_task(self._connect(inputs[topic].partitions))
        self._connecting.add_done_callback(self._connected)
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening, answer what is in work, leave the broker."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._producer is not None:
            await self._producer.stop()
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting  # raises what it ended with

    def _connected(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._broken()

    async def _connect(self, partitions: int) -> None:
        """Until the broker answers; meanwhile senders are told to come back."""
        kafka = self._settings.kafka
        actions = (t for t in self._settings.topics.inputs if t.format == formats.ACTIONS)
        specs = [
            TopicSpec(self._settings.receive.topic, partitions, internal=False),
            *(TopicSpec(topic.name, topic.partitions, internal=False) for topic in actions),
        ]
        while self._producer is None:
            try:
                admin = await connect(kafka, patience_s=0.0)
                try:
                    await ensure_topics(admin, specs, kafka.replication)
                finally:
                    await admin.close()
                producer = AIOKafkaProducer(
                    **kafka_options(kafka),
                    acks="all",
                    request_timeout_ms=self._settings.receive.timeout_ms,
                    max_request_size=2 * self._settings.receive.max_bytes,
                )
                await producer.start()
            except (StartError, KafkaError, OSError) as error:
                log.warning("receiver: no broker yet: %s", error)
                await asyncio.sleep(AGAIN_S)
            else:
                self._producer = producer

    async def _healthz(self, _: web.Request) -> web.Response:
        ready = self._producer is not None
        return web.json_response({"status": "ok" if ready else "no broker"}, status=200 if ready else 503)

    async def _any(self, request: web.Request) -> web.Response:
        return await self._take(request)

    async def _named(self, request: web.Request) -> web.Response:
        system = request.match_info["system"]
        if system not in SYSTEMS:
            return _problem(404, f"no such system {system[:40]!r}: expected one of {', '.join(SYSTEMS)}")
        return await self._take(request, system)

    async def _enqueue(self, request: web.Request) -> web.Response:
        return await self._take(request, formats.PAGERDUTY)

    async def _take(self, request: web.Request, system: str = "") -> web.Response:
        if not self._admits(request):
            return _problem(401, "a bearer token is required", {"WWW-Authenticate": "Bearer"})
        async with self._room:
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return _problem(413, f"at most {self._settings.receive.max_bytes} bytes")
            try:
                alerts = readable(body, self._format, system)
            except BadRecord as bad:
                return _problem(400, str(bad))
            return await self._produce(body, alerts)

    async def _actions(self, request: web.Request) -> web.Response:
        """What people do, from other programs: an action or a list of them (docs/lifecycle.md)."""
        if not self._admits(request):
            return _problem(401, "a bearer token is required", {"WWW-Authenticate": "Bearer"})
        topic = next((t.name for t in self._settings.topics.inputs if t.format == formats.ACTIONS), "")
        if not topic:
            return _problem(404, "no input topic has format actions")
        async with self._room:
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return _problem(413, f"at most {self._settings.receive.max_bytes} bytes")
            try:
                actions = actions_in(body)
            except BadRecord as bad:
                return _problem(400, str(bad))
            for action in actions:
                # With its id, which a second try shares: it is applied once.
                key = (action.incident or action.problem).encode()
                refusal = await self._send(topic, msgspec.json.encode(action), key)
                if refusal is not None:
                    return refusal
        return web.json_response({"status": "success", "ids": [a.id for a in actions]}, status=202)

    def _admits(self, request: web.Request) -> bool:
        if not self._token:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    async def _send(self, topic: str, body: bytes, key: bytes | None) -> web.Response | None:
        """None once the broker has it; else what the sender is told."""
        if self._producer is None:
            return _problem(503, "no broker yet", {"Retry-After": "5"})
        try:
            async with asyncio.timeout(self._settings.receive.timeout_ms / 1000):
                await self._producer.send_and_wait(topic, body, key=key)
        except MessageSizeTooLargeError:
            return _problem(413, "larger than the broker takes")
        except (KafkaError, TimeoutError, OSError) as error:
            # It may have arrived all the same: the sender's second try is then a repetition.
            log.warning("receiver: not confirmed by the broker: %r", error)
            return _problem(503, "not confirmed by the broker", {"Retry-After": "5"})
        return None

    async def _produce(self, body: bytes, alerts: int) -> web.Response:
        key = group_of(body)
        refusal = await self._send(self._settings.receive.topic, body, key)
        if refusal is not None:
            return refusal
        said: dict[str, Any] = {"status": "success", "message": f"{alerts} taken"}
        if key is not None:
            said["dedup_key"] = key.decode("utf-8", "replace")
        return web.json_response(said, status=202)


def actions_in(body: bytes) -> list[Action]:
    """Actions of a request, each with an id. Raises `BadRecord`."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(UNDECODABLE, f"JSON expected: {error}") from None
    many = found if isinstance(found, list) else [found]
    if not 0 < len(many) <= MOST_ACTIONS:
        raise BadRecord(WRONG_TYPE, f"1 to {MOST_ACTIONS} actions expected, found {len(many)}")
    actions = []
    for one in many:
        columns = Columns(Catalog(1, 1_000))
        columns.reference_ms = 0
        formats.DECODERS[formats.ACTIONS](msgspec.json.encode(one), columns)
        for _, message in columns.messages:
            if not isinstance(message, Action):
                raise BadRecord(WRONG_TYPE, "an action on an incident or a problem was expected")
            actions.append(message)
    return actions


def readable(body: bytes, wire_format: str, system: str = "") -> int:
    """How many alerts ingest will find in the body, by the topic's format. Raises `BadRecord`.

    There must be one, and they must be of `system` if it is named.
    """
    columns = Columns(Catalog(1, 1_000))
    columns.reference_ms = 0  # whatever has no time gets one from its record
    formats.DECODERS[wire_format](body, columns)
    columns.finish()
    refused = columns.refusals.get(0, ())
    if not columns.messages:
        raise BadRecord(*refused[0][:2]) if refused else BadRecord(WRONG_TYPE, "no alert in it")
    sources = {message.source for _, message in columns.messages if isinstance(message, ExternalAlert)}
    if system and sources != {system}:
        raise BadRecord(WRONG_TYPE, f"of {', '.join(sorted(sources))}, not of {system}")
    return len(columns.messages)


def group_of(body: bytes) -> bytes | None:
    """What keeps notifications about the same alerts in one partition, in order."""
    fields = Look(body).object or {}
    for name in ("groupKey", "dedup_key"):
        try:
            found = msgspec.json.decode(fields[name], type=str) if name in fields else ""
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if found:
            return found.encode("utf-8", "replace")
    return None


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"status": "error", "message": detail}, status=status, headers=headers)


async def receive(
    settings: Settings,
    host: str,
    port: int,
    token: str,
    stop: asyncio.Event,
    announce: Callable[[str], None],
) -> None:
    """Serve until `stop` is set. Raises `StartError`."""
    receiver = Receiver(settings, token, stop.set)
    try:
        bound = await receiver.start(host, port)
        announce(f"receive: alerts at http://{host}:{bound}/v1/alerts, into {settings.receive.topic}")
        await stop.wait()
    finally:
        await receiver.stop()
