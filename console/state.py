"""What all routes share: settings, the board, the way to ClickHouse and to Kafka, templates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from config.settings import Settings
from console.access.identity import Identity
from console.bus import Bus
from console.live.board import Board
from console.live.feed import Feed
from console.live.lines import Lines
from console.live.streams import Streams, Who
from console.render import Pages
from console.store import Store
from console.watching import Watch


@dataclass(slots=True)
class State:
    """One console."""

    settings: Settings
    board: Board
    feed: Feed
    streams: Streams
    store: Store
    bus: Bus
    pages: Pages
    lines: Lines
    watch: Watch
    clock: Callable[[], int]
    """wall clock, ms UTC"""
    who: Who
    """who a request comes from, as of now"""
    source: str = ""
    """the settings file; empty: there is none, all is as by default and by the environment"""

    def troubles(self) -> list[tuple[str, str]]:
        """Services that do not answer, with what to check."""
        found = {
            "Kafka": self.feed.trouble or self.bus.trouble,
            "ClickHouse": self.store.trouble or self.feed.unseeded,
        }
        return [(service, trouble) for service, trouble in found.items() if trouble]

    def page(
        self, request: Request, template: str, identity: Identity, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A whole page, or with htmx a part of one."""
        html = self.pages.render(
            template,
            request=request,
            identity=identity,
            troubles=self.troubles(),
            now_ms=self.clock(),
            **values,
        )
        return HTMLResponse(html, status)


def state_of(request: Request) -> State:
    found: State = request.app.state.console
    return found


Shared = Annotated[State, Depends(state_of)]
"""parameter of every route that needs more than its request"""
