"""What the pages of the configuration need again and again, kept for some seconds.

Everybody who types in the form of a silence asks for the alerts of the last 24 hours with each pause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Generic, NamedTuple, TypeVar

from fastapi import Depends, Request

from config.catalogue_files import Reading, read
from console.access.identity import Identity
from console.state import State, state_of
from console.store import Unavailable
from correlator.conflicts import Graph
from correlator.directory import Directory
from correlator.selectors import domain_of
from detectors.alert import Alert
from sinks.services import services_seen
from sinks.suppressed import Membership, alerts, memberships

T = TypeVar("T")
DAY_MS = 86_400_000
MOST_ALERTS = 20_000
"""of the last 24 hours that a silence or a rule is tried on, the newest"""
_CATALOGUE_S = 30.0
_ASKED_S = 10.0


class Day(NamedTuple):
    """The alerts of 24 hours, as the correlator sees them, and what is open."""

    since_ms: int
    until_ms: int
    alerts: Sequence[Alert]
    incidents: Sequence[Membership]
    truncated: bool

    def of(self, identity: Identity, domain_label: str) -> Day:
        """What they may see of it."""
        if not identity.domains:
            return self
        return self._replace(
            alerts=[a for a in self.alerts if identity.sees(domain_of(a, domain_label))],
            incidents=[i for i in self.incidents if identity.sees(i.domain)],
        )


class Seen(NamedTuple):
    """The topology, and why the learned part of it is missing, if it is."""

    graph: Graph
    trouble: str


class Kept(Generic[T]):
    """One answer, asked for again when it is older than so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: tuple[float, T] | None = None
        self._asking = asyncio.Lock()

    async def get(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self._asking:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > self._seconds:
                self._found = (now, await ask())
            return self._found[1]


class Known:
    """Of one console."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._reading: Kept[Reading] = Kept(_CATALOGUE_S)
        self._graph: Kept[Graph] = Kept(_ASKED_S)
        self._day: Kept[Day] = Kept(_ASKED_S)

    async def reading(self) -> Reading:
        """The catalogue's files, with what is wrong with them."""
        files = self._state.settings.catalogue_files
        return await self._reading.get(lambda: asyncio.to_thread(read, files))

    async def seen(self) -> Seen:
        """Declared and learned calls; the declared alone when ClickHouse does not answer."""
        catalogue = (await self.reading()).catalogue

        async def ask() -> Graph:
            records = await self._state.store.ask(services_seen)
            return await asyncio.to_thread(Graph, catalogue, records)

        try:
            return Seen(await self._graph.get(ask), "")
        except Unavailable as error:
            return Seen(Graph(catalogue, ()), f"{error.service} is not there: {error.detail}")

    async def day(self) -> Day:
        """Alerts that fired in the last 24 hours. Raises `Unavailable`."""
        settings = self._state.settings
        catalogue = (await self.reading()).catalogue

        async def ask() -> Day:
            now_ms = self._state.clock()
            since_ms = now_ms - DAY_MS
            found = await self._state.store.ask(lambda reader: alerts(reader, since_ms, now_ms, MOST_ALERTS))
            known = Directory(catalogue, settings.correlate.domain_label).alert
            named = await asyncio.to_thread(lambda: [known(alert) for alert in found])
            incidents = await self._state.store.ask(memberships)
            return Day(since_ms, now_ms, named, incidents, len(found) == MOST_ALERTS)

        return await self._day.get(ask)


def known_of(request: Request) -> Known:
    """One for each application, made when it is first asked for."""
    found: Known | None = getattr(request.app.state, "known", None)
    if found is None:
        found = request.app.state.known = Known(state_of(request))
    return found


Knows = Annotated[Known, Depends(known_of)]
"""parameter of routes that show the configuration"""
