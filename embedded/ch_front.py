"""A ClickHouse server's HTTP face on loopback, with the real engine behind it.

Requests are read and answered on the event loop; every engine call, and every compression, runs in a
small pool of threads. A request waits for its place before its body is read, so a crowd of writers costs
no memory; when too many wait, the next ones are refused as the server refuses them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, web

from embedded.ch_engine import Answer, Engine, EngineError, Statement
from embedded.ch_protocol import (
    TRANSPORT_PARAMETERS,
    UnknownEncoding,
    compress,
    content_type,
    decompress,
    http_status,
)
from embedded.ch_users import Users

log = logging.getLogger("tocsin.clickhouse")

_MAX_BODY: Final = 1 << 30
_MAX_WAITING: Final = 256
_BODY_TIMEOUT_S: Final = 30.0  # the server's http_receive_timeout
_THREADS: Final = 4
_PLACES: Final = 2 * _THREADS  # one request's body arrives while another one's statement runs
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SERVER_NAME: Final = "tocsin-embedded"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """The handlers; one instance per engine. ``max_waiting``: requests that may wait for a place."""

    def __init__(
        self, engine: Engine, users: Users | None = None, *, max_waiting: int = _MAX_WAITING
    ) -> None:
        self._users = users
        self._engine = engine
        self._max_waiting = max_waiting
        self._present = 0
        self._places = asyncio.Semaphore(_PLACES)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="chdb")
        self._count = itertools.count(1)

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[refuse_other_sites])
        app.router.add_get("/ping", self.ping)
        app.router.add_get("/replicas_status", self.ping)
        app.router.add_get("/", self.query)
        app.router.add_post("/", self.query)
        app.on_cleanup.append(self._close)
        return app

    async def ping(self, request: web.Request) -> web.Response:
        """Alive; the engine is not asked, as with the server."""
        return web.Response(text="Ok.\n", content_type="text/html")

    async def query(self, request: web.Request) -> web.Response:
        """Run one statement from the URL, the body, or both joined (an INSERT and its data)."""
        query_id = request.query.get("query_id") or f"tocsin-{os.getpid()}-{next(self._count)}"
        if request.method != "POST" and "query" not in request.query:
            return web.Response(text="Ok.\n", content_type="text/html")
        loop = asyncio.get_running_loop()
        try:
            role = self._role(request)
            async with self._place():
                fields, body = await self._read(request)
                statement = replace(_statement(request, fields, body), role=role)
                answer = await loop.run_in_executor(self._pool, self._engine.run, statement)
        except EngineError as error:
            return self._error(error, query_id)
        payload, encoding = answer.body, None
        if request.query.get("enable_http_compression", "1") not in {"0", "false"}:
            accepted = request.headers.get("Accept-Encoding", "")
            payload, encoding = await loop.run_in_executor(self._pool, compress, answer.body, accepted)
        return web.Response(body=payload, headers=self._headers(answer, query_id, encoding))

    def _role(self, request: web.Request) -> str:
        """Of whoever asks; raises EngineError as the server does for one it does not know."""
        if self._users is None:
            return ""
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        user = self._users.known(request.headers, request.query, certificate)
        if user is None:
            raise EngineError.named(
                516,
                "AUTHENTICATION_FAILED",
                "Authentication failed: no such user, or its password is another",
            )
        return user.role

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the places of requests that are read and run; raises EngineError when too many wait."""
        most = _PLACES + self._max_waiting
        if self._present >= most:
            raise EngineError.named(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many simultaneous queries. Maximum: {most}"
            )
        self._present += 1
        try:
            async with self._places:
                yield
        finally:
            self._present -= 1

    async def _read(self, request: web.Request) -> tuple[dict[str, str], bytes]:
        """Fields of a multipart form (clickhouse-connect's long parameters), and the decompressed body."""
        if request.query.get("decompress") == "1" or request.query.get("compress") == "1":
            raise EngineError.named(
                48, "NOT_IMPLEMENTED", "compress=1 and decompress=1 are not read here; use Content-Encoding"
            )
        if request.content_type == "multipart/form-data":
            fields: dict[str, str] = {}
            async with _patience():
                async for part in await request.multipart():
                    if not isinstance(part, BodyPartReader) or part.filename is not None:
                        raise EngineError.named(
                            48, "NOT_IMPLEMENTED", "external tables are not supported by the embedded server"
                        )
                    fields[part.name or ""] = await part.text()
            return fields, b""
        body = await _body(request)
        encoding = request.headers.get("Content-Encoding", "")
        if not encoding:
            return {}, body
        loop = asyncio.get_running_loop()
        try:
            return {}, await loop.run_in_executor(self._pool, decompress, body, encoding)
        except UnknownEncoding as error:
            raise EngineError.named(89, "UNKNOWN_COMPRESSION_METHOD", str(error)) from error
        except ValueError as error:
            raise EngineError.named(354, "ZLIB_INFLATE_FAILED", str(error)) from error

    def _headers(self, answer: Answer, query_id: str, encoding: str | None) -> dict[str, str]:
        summary = {
            "read_rows": answer.read_rows,
            "read_bytes": answer.read_bytes,
            "written_rows": answer.written_rows,
            "written_bytes": answer.written_bytes,
            "total_rows_to_read": 0,
            "result_rows": answer.written_rows,
            "result_bytes": len(answer.body),
            "elapsed_ns": answer.elapsed_ns,
        }
        headers = {
            **self._common(query_id),
            "X-ClickHouse-Summary": json.dumps({key: str(value) for key, value in summary.items()}),
            "Content-Type": content_type(answer.format),
        }
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        if encoding:
            headers["Content-Encoding"] = encoding
        return headers

    def _error(self, error: EngineError, query_id: str) -> web.Response:
        text = f"{error} (version {self._engine.version})\n"
        headers = {**self._common(query_id), "X-ClickHouse-Exception-Code": str(error.code)}
        return web.Response(status=http_status(error.code), text=text, headers=headers)

    def _common(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Server-Display-Name": _SERVER_NAME,
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }

    async def _close(self, app: web.Application) -> None:
        self._pool.shutdown(wait=True)
        self._engine.close()


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """There is no password here, so a web page of another site must not reach us through a browser."""
    host = urlsplit(f"//{request.host}").hostname or ""
    origin = request.headers.get("Origin")
    if host not in _LOCAL_NAMES or (origin and urlsplit(origin).hostname not in _LOCAL_NAMES):
        return web.Response(status=403, text="this service answers only to this machine\n")
    return await handler(request)


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """A silent sender must not keep a place from the others: raises EngineError after a while."""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            yield
    except TimeoutError:
        raise EngineError.named(
            209, "SOCKET_TIMEOUT", f"Timeout exceeded while reading the request ({_BODY_TIMEOUT_S:g} s)"
        ) from None


async def _body(request: web.Request) -> bytes:
    """The whole body, however long it takes, as long as something comes."""
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            async with _patience():
                part = await request.content.readany()
        except ConnectionError as error:
            # Nobody reads this answer; it keeps half a body from the engine.
            raise EngineError.named(210, "NETWORK_ERROR", f"The sender went away: {error}") from error
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > _MAX_BODY:
            raise EngineError.named(
                307, "TOO_MANY_BYTES", f"the request body is larger than {_MAX_BODY} bytes"
            )


def _statement(request: web.Request, fields: dict[str, str], body: bytes) -> Statement:
    everything = {**request.query, **fields}
    in_url = everything.get("query", "").strip().encode()
    sql = in_url + b"\n" + body if in_url and body else in_url or body
    return Statement(
        sql=sql,
        format=everything.get("default_format")
        or request.headers.get("X-ClickHouse-Format")
        or "TabSeparated",
        database=everything.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        params={key[6:]: value for key, value in everything.items() if key.startswith("param_")},
        settings={
            key: value
            for key, value in everything.items()
            if key not in TRANSPORT_PARAMETERS and not key.startswith("param_")
        },
        session=everything.get("session_id", ""),
        read_only=request.method != "POST",
    )


def serve(engine: Engine, port: int, users: Users | None = None, tls: ssl.SSLContext | None = None) -> None:
    """Serve on 127.0.0.1:``port`` until SIGTERM or Ctrl-C; raises OSError when the port is taken.

    With `tls` over HTTPS alone.
    """
    # auto_decompress off: aiohttp knows neither lz4 nor, everywhere, zstd; one place does it all.
    web.run_app(
        Front(engine, users).app(),
        host="127.0.0.1",
        ssl_context=tls,
        port=port,
        print=None,
        access_log=None,
        shutdown_timeout=2.0,
        backlog=_MAX_WAITING,
        auto_decompress=False,
    )
