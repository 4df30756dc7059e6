"""What every service of the shop has: an instrumented HTTP server and client, and admin endpoints."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from demo.injection import Injection
from demo.telemetry import SECONDS_BUCKETS, Telemetry

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROPAGATOR = TraceContextTextMapPropagator()
SLOW_S = 1.0


class UpstreamError(Exception):
    """A callee failed: `peer`, the `kind` (timeout, unreachable, status) and the HTTP status to return."""

    def __init__(self, peer: str, kind: str, detail: str) -> None:
        super().__init__(f"{peer}: {detail}")
        self.peer = peer
        self.kind = kind
        self.status = 504 if kind == "timeout" else 502


@dataclass(frozen=True, slots=True)
class Reply:
    """A callee's answer below 500."""

    status: int
    body: Any


class NameResolver(AbstractResolver):
    """Service names are host names, all of them on loopback."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every name is 127.0.0.1."""
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Service:
    """One service: its web application, its peers (name to port) and its telemetry."""

    def __init__(self, name: str, release: str, peers: dict[str, int], telemetry: Telemetry) -> None:
        self.name = name
        self.release = release
        self.peers = peers
        self.tracer = telemetry.tracer
        self.meter = telemetry.meter
        self.log = telemetry.logger
        self._sender = telemetry.sender
        self.injection = Injection()
        self.app = web.Application(middlewares=[self._instrument])
        self.app.router.add_get("/healthz", self._healthz)
        self.app.router.add_post("/_fault", self._set_fault)
        self.app.router.add_delete("/_fault", self._clear_fault)
        self.app.cleanup_ctx.append(self._open_client)
        self._client: aiohttp.ClientSession | None = None
        self._served = self.meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._called = self.meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self._active = self.meter.create_up_down_counter("http.server.active_requests", "{request}")
        self._calling = self.meter.create_up_down_counter("http.client.active_requests", "{request}")

    async def call(
        self, peer: str, method: str, path: str, *, json: Any = None, timeout_s: float = 2.0
    ) -> Reply:
        """Call `path` of `peer`; answers below 500 are returned, everything else raises UpstreamError."""
        assert self._client is not None  # noqa: S101 - opened before the first request
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "server.address": peer,
            "server.port": self.peers[peer],
            "peer.service": peer,
        }
        started = time.perf_counter()
        labels = {"peer.service": peer}
        self._calling.add(1, labels)
        with self.tracer.start_as_current_span(
            method, kind=SpanKind.CLIENT, attributes=attributes, set_status_on_exception=False
        ) as span:
            headers: dict[str, str] = {}
            PROPAGATOR.inject(headers)
            try:
                async with self._client.request(
                    method,
                    f"http://{peer}:{self.peers[peer]}{path}",
                    json=json,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=timeout_s),
                ) as response:
                    attributes["http.response.status_code"] = response.status
                    span.set_attribute("http.response.status_code", response.status)
                    reply = Reply(response.status, await response.json())
            except TimeoutError as error:
                attributes["error.type"] = "timeout"
                raise UpstreamError(peer, "timeout", f"no answer within {timeout_s:.1f} s") from error
            except aiohttp.ClientError as error:
                attributes["error.type"] = type(error).__name__
                raise UpstreamError(peer, "unreachable", f"connection failed: {error}") from error
            else:
                if reply.status < 500:
                    return reply
                attributes["error.type"] = str(reply.status)
                raise UpstreamError(peer, "status", f"answered {reply.status}")
            finally:
                self._calling.add(-1, labels)
                if "error.type" in attributes:
                    span.set_status(Status(StatusCode.ERROR, str(attributes["error.type"])))
                    span.set_attribute("error.type", attributes["error.type"])
                self._called.record(time.perf_counter() - started, attributes)

    async def _open_client(self, _: web.Application) -> Any:
        connector = aiohttp.TCPConnector(resolver=NameResolver(), limit=200)
        async with aiohttp.ClientSession(connector=connector) as self._client:
            yield

    @web.middleware
    async def _instrument(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unmatched"
        if route in ("/healthz", "/_fault"):
            return await handler(request)
        labels: dict[str, str | int] = {"http.request.method": request.method, "url.scheme": "http"}
        self._active.add(1, labels)
        started = time.perf_counter()
        attributes = {**labels, "http.route": route}
        # The context is attached by hand because the handler must run inside it and the span must end last.
        token = attach(PROPAGATOR.extract(request.headers))
        try:
            with self.tracer.start_as_current_span(
                f"{request.method} {route}",
                kind=SpanKind.SERVER,
                attributes={**attributes, "url.path": request.path},
            ) as span:
                response = await self._answer(request, handler)
                attributes["http.response.status_code"] = response.status
                span.set_attribute("http.response.status_code", response.status)
                elapsed = time.perf_counter() - started
                if response.status >= 500:
                    attributes["error.type"] = str(response.status)
                    span.set_status(Status(StatusCode.ERROR))
                elif elapsed > SLOW_S:
                    self.log.warning("slow request: %s %s took %d ms", request.method, route, elapsed * 1000)
                self._served.record(elapsed, attributes)
                return response
        finally:
            self._active.add(-1, labels)
            detach(token)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self.injection.before_request()
            return await handler(request)
        except UpstreamError as error:
            self.log.error("%s %s failed: upstream %s", request.method, request.path, error)  # noqa: TRY400
            return web.json_response({"error": str(error)}, status=error.status)
        except web.HTTPException as error:
            return web.json_response({"error": error.reason}, status=error.status)
        except ConnectionResetError:
            # The caller gave up and went; nobody reads this, but the metrics should not say 500.
            return web.json_response({"error": "client closed the request"}, status=499)
        except Exception as error:  # the last line of a web server: log the trace, answer 500
            self.log.exception("%s %s failed: %s", request.method, request.path, type(error).__name__)
            return web.json_response({"error": "internal error"}, status=500)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"service": self.name, "version": self.release})

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            self.injection.apply(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._sender.muted = self.injection.mute
        return web.json_response({})

    async def _clear_fault(self, _: web.Request) -> web.Response:
        self.injection.clear()
        self._sender.muted = False
        return web.json_response({})
