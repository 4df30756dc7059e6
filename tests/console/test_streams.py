"""Streams of changes: who reads them, how often, how many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import HTTPException

from config.settings import Kafka, Settings
from console.access.identity import Identity
from console.live import streams
from console.live.board import Board
from console.live.feed import Feed
from console.live.filters import Filter
from console.live.streams import Streams, event
from console.store import Store
from tests.console.conftest import ADMIN, NOW_MS
from tests.console.test_list import board_of, row


class Browser:
    """A request whose reader stays, or goes."""

    gone = False

    async def is_disconnected(self) -> bool:
        return self.gone


def feed_of(board: Board) -> Feed:
    settings = Settings(kafka=Kafka(bootstrap="127.0.0.1:9"))
    return Feed(settings, board, Store(settings.clickhouse), lambda: NOW_MS)


def body_of(
    all: Streams, look: Callable[[], bytes], who: Callable[[Any], Any], browser: Browser | None = None
) -> AsyncIterator[bytes]:
    body: Any = all.answer(browser or Browser(), ADMIN, who, look).body_iterator  # type: ignore[arg-type]
    return body


async def ann(_: Any) -> Identity:
    return ADMIN


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "EVERY_S", 0.01)
    monkeypatch.setattr(streams, "BEAT_S", 0.05)


async def test_a_session_that_is_over_reads_no_further() -> None:
    """Nothing of what happens after the logout is sent, and the stream ends."""
    known: list[Identity | None] = [ADMIN]
    feed = feed_of(Board(10))

    async def who(_: Any) -> Identity | None:
        return known[-1]

    body = body_of(Streams(feed), lambda: b"news", who)
    assert [await anext(body), await anext(body)] == [b"retry: 1000\n\n", b"news"]
    known.append(None)
    feed._ring()
    assert [part async for part in body] == []


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"domains": ("eu",)}])
async def test_whoever_may_see_less_from_now_on_begins_anew(change: dict[str, Any]) -> None:
    """What a stream shows was chosen by who opened it."""
    known = [ADMIN]

    async def who(_: Any) -> Identity:
        return known[-1]

    feed = feed_of(Board(10))
    body = body_of(Streams(feed), lambda: b"news", who)
    assert [await anext(body), await anext(body)] == [b"retry: 1000\n\n", b"news"]
    known.append(Identity(**({"name": ADMIN.name, "role": ADMIN.role} | change)))
    feed._ring()
    assert [part async for part in body] == []


async def test_a_storm_of_changes_is_looked_at_at_intervals() -> None:
    """Also by a reader for whom nothing is new."""
    feed = feed_of(Board(10))
    looks = 0

    def look() -> bytes:
        nonlocal looks
        looks += 1
        return b""

    browser = Browser()
    body = body_of(Streams(feed), look, ann, browser)

    async def read() -> None:
        async for _ in body:
            pass

    reading = asyncio.create_task(read())
    rung = 0
    while looks < 5:
        feed._ring()
        rung += 1
        await asyncio.sleep(0)
    browser.gone = True
    feed._ring()
    await asyncio.wait_for(reading, 10)
    assert rung > 5 * looks


async def test_nobody_takes_all_streams_and_a_closed_one_is_free_again() -> None:
    """The one too many is refused and counted; others are not in its way."""
    all = Streams(feed_of(Board(10)), most=2)
    held = [body_of(all, lambda: b"news", ann) for _ in range(2)]
    for body in held:
        await anext(body)
    with pytest.raises(HTTPException) as refused:
        body_of(all, lambda: b"", ann)
    assert (refused.value.status_code, all.refused, len(all)) == (429, 1, 2)
    other: Any = Identity("bob", "viewer")
    all.answer(Browser(), other, ann, lambda: b"")  # type: ignore[arg-type]
    await held.pop().aclose()  # type: ignore[attr-defined]
    assert len(all) == 1
    body_of(all, lambda: b"", ann)


def test_those_who_look_at_the_same_share_the_work() -> None:
    """Until something changes."""
    board = board_of(row(id="1"), row(id="2"))
    first = board.select(Filter(), (), 100)
    assert board.select(Filter(), [], 100) is first
    assert board.select(Filter(), ("eu",), 100) is not first
    board.put(row(id="3"))
    assert [entry.row.id for entry in board.select(Filter(), (), 100).entries] == ["1", "2", "3"]
    for n in range(1_000):
        board.select(Filter(q=str(n)), (), 100)
    assert len(board._selected) <= 64


def test_an_event_is_one_line_of_json() -> None:
    """Whatever stands in it."""
    assert event("list", {"title": "a\nb\r\nevent: x"}).count(b"\n") == 3
