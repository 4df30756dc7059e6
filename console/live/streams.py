"""Server-sent events: what is new is sent while the reader may see it, so often at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from fastapi import HTTPException, Request
from fastapi.responses import StreamingResponse

from console.access.identity import Identity
from console.live.feed import Feed

EVERY_S = 0.4
"""changes are looked at and sent together, so often at most"""
BEAT_S = 15.0
"""without changes something is sent all the same, so that both ends know the other is there"""
MOST = 100
"""streams of one name at a time; a page has one, and lets go of it while nobody sees it"""

Who = Callable[[Request], Awaitable[Identity | None]]


class Streams:
    """All that are open."""

    def __init__(self, feed: Feed, most: int = MOST) -> None:
        self._feed = feed
        self._most = most
        self._open: Counter[str] = Counter()
        self.refused = 0
        """streams there were too many of"""

    def __len__(self) -> int:
        return self._open.total()

    def answer(
        self, request: Request, identity: Identity, who: Who, look: Callable[[], bytes]
    ) -> StreamingResponse:
        """A stream of what `look` finds new since it looked before; empty: nothing. Raises 429.

        It ends when `who` no longer says the same: a session that is over reads no further.
        """
        if self._open[identity.name] >= self._most:
            self.refused += 1
            raise HTTPException(429, f"{identity.name} follows {self._most} pages already: close some")
        return StreamingResponse(self._follow(request, identity, who, look), media_type="text/event-stream")

    async def _follow(
        self, request: Request, identity: Identity, who: Who, look: Callable[[], bytes]
    ) -> AsyncIterator[bytes]:
        self._open[identity.name] += 1
        try:
            yield b"retry: 1000\n\n"
            while not await request.is_disconnected() and await who(request) == identity:
                seen = self._feed.changes
                news = look()
                if news:
                    yield news
                await asyncio.sleep(EVERY_S)
                if await self._feed.change(seen, BEAT_S) == seen:
                    yield b": still here\n\n"
        finally:
            self._open[identity.name] -= 1
            if not self._open[identity.name]:
                del self._open[identity.name]


def event(name: str, data: Any) -> bytes:
    """One event, its data as JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
