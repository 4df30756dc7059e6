"""What an incident rests on, fetched: for its page and for programs."""

from __future__ import annotations

import re
from typing import NamedTuple

from console.access.identity import Identity
from console.acting import incident_for
from console.configuring.known import Known
from console.incident.charts import LEARN_MS, Chart, chart, leading, window
from console.incident.neighbourhood import Neighbourhood, neighbourhood
from console.state import State
from detectors.explore import explore
from sinks import history
from sinks.alerted import alerts_of
from sinks.reader import Reader

_HEX = re.compile(r"^[0-9a-f]{16}$")


class Charts(NamedTuple):
    charts: list[Chart]
    more: int
    """signals that are not among them"""
    begin: int
    end: int
    """ms UTC: what is shown"""


async def map_of(state: State, identity: Identity, known: Known, id: str) -> tuple[Neighbourhood, str]:
    """The map, and why its learned part is missing, if it is. Raises 404 and `Unavailable`."""
    incident = await incident_for(state, identity, id)
    graph, trouble = await known.seen()
    return neighbourhood(incident, graph), trouble


async def charts_of(state: State, identity: Identity, id: str, most: int, service: str = "") -> Charts:
    """The `most` leading signals, of one service or (empty) of all, judged once more.

    Raises 404 and `Unavailable`.
    """
    incident = await incident_for(state, identity, id)
    begin, end = window(incident, state.clock())

    def ask(reader: Reader) -> Charts:
        found = leading(alerts_of(reader, incident.alerts), incident)
        if service:
            found = [alert for alert in found if alert.service == service]
        drawn = []
        for alert in found[:most]:
            odd = None
            if _HEX.match(alert.fingerprint):
                raw = history.raw_of(reader, alert.fingerprint, begin - LEARN_MS, end)
                odd = explore(raw, alert.fingerprint, state.settings.detect)
            drawn.append(chart(alert, odd, incident, begin, end))
        return Charts(drawn, len(found) - len(drawn), begin, end)

    return await state.store.ask(ask)
