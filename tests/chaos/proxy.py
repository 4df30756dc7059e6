"""A TCP proxy that can go wrong: between one worker and the broker, or ClickHouse.

Kafka tells its clients where its brokers are, so a client behind a plain proxy would go past it with its
second connection. With `advertised` the proxy reads the answers frame by frame and puts its own port in
the place of the broker's: `127.0.0.1` and four bytes of port, as every Kafka answer spells an address.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from enum import StrEnum

from embedded.probe import LOOPBACK


class Mode(StrEnum):
    """What the proxy does with traffic."""

    OPEN = "open"
    REFUSE = "refuse"
    """connections are reset, and new ones as soon as they are made"""
    BLACKHOLE = "blackhole"
    """connections stay and new ones are taken, and nothing comes through"""
    DEAF = "deaf"
    """what the client says arrives, the answers do not: the sender cannot know that it was heard"""
    SLOW = "slow"
    """each piece takes `delay_s`"""
    CUT = "cut"
    """each connection is reset in the middle of an answer, after `cut_after` bytes of it"""


class Proxy:
    """Mutable. `seen` counts what each mode has done, as proof that a fault bit."""

    delay_s = 0.15
    cut_after = 700

    def __init__(self, target_port: int, advertised: bool = False) -> None:
        self.target_port, self._advertised = target_port, advertised
        self.mode = Mode.OPEN
        self.seen: Counter[Mode] = Counter()
        self.away = 0
        """connections that found nobody behind us"""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port; it stays the same until `close`."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
        self._reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._tasks)

    def set(self, mode: Mode) -> None:
        """Change what happens from now on. Leaving a mode that swallows bytes resets its connections:
        a stream with a hole in it would be a fault no network has."""
        before, self.mode = self.mode, mode
        if mode is Mode.REFUSE or before in (Mode.DEAF, Mode.CUT):
            self.seen[mode] += len(self._tasks)
            self._reset_all()
        self._changed.set()
        self._changed = asyncio.Event()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            while self.mode is Mode.BLACKHOLE:
                self.seen[Mode.BLACKHOLE] += 1
                await self._changed.wait()
            if self.mode is Mode.REFUSE:
                self.seen[Mode.REFUSE] += 1
                return
            try:
                answers, onward = await asyncio.open_connection(LOOPBACK, self.target_port)
            except OSError:
                self.away += 1
                raise
            self._writers.add(onward)
            pumps = [
                asyncio.ensure_future(self._pump(reader, onward, answer=False)),
                asyncio.ensure_future(self._pump(answers, writer, answer=True)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the target is away: the client sees a reset, as it would without us
        finally:
            for end in (writer, onward):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bool) -> None:
        sent = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                piece = await (self._frame(reader) if answer and self._advertised else reader.read(65_536))
                if not piece:
                    return
                while self.mode is Mode.BLACKHOLE:
                    self.seen[Mode.BLACKHOLE] += 1
                    await self._changed.wait()
                if self.mode is Mode.SLOW:
                    self.seen[Mode.SLOW] += 1
                    await asyncio.sleep(self.delay_s)
                if answer and self.mode is Mode.DEAF:
                    self.seen[Mode.DEAF] += 1
                    continue
                if answer and self.mode is Mode.CUT and sent + len(piece) > self.cut_after:
                    self.seen[Mode.CUT] += 1
                    writer.write(piece[: max(1, len(piece) // 2)])
                    await writer.drain()
                    return
                writer.write(piece)
                await writer.drain()
                sent += len(piece)

    async def _frame(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(head, "big"))
        return head + body.replace(_address(self.target_port), _address(self.port))


def _address(port: int) -> bytes:
    return LOOPBACK.encode() + port.to_bytes(4, "big")
