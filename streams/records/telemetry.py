"""What a core says of itself when somebody asks: plain numbers, read at scrape time only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

Totals = Mapping[tuple[str, str], float]
"""(what, which) -> how many since the core was made; grows only. `what` is one of `TOTALS`."""

ROWS, LATE, DEAD, DROPPED, EVICTED = "rows", "late", "dead", "dropped", "evicted"
MASKED = "masked"
TOTALS = (ROWS, LATE, DEAD, DROPPED, EVICTED, MASKED)
"""rows by kind; late rows (no `which`); dead letters by reason; rows left out by reason; entries of
bounded maps forgotten, by map; secrets of log lines masked, by kind or pattern"""


class Tally(dict[tuple[str, str], float]):
    """Totals in the making."""

    def count(self, what: str, which: str = "", n: float = 1.0) -> None:
        """Add `n`."""
        if n:
            self[what, which] = self.get((what, which), 0.0) + n


class CoreTelemetry(NamedTuple):
    """One core's numbers."""

    totals: Totals
    levels: Mapping[str, float] = {}
    """entries held now, by map; added up over the cores of a stage"""
    shared: Mapping[str, float] = {}
    """the same of maps that all cores of a worker share: not added up"""
    watermark_ms: int | None = None
    """event time up to which everything is decided, ms UTC; None: none yet"""


@runtime_checkable
class Telling(Protocol):
    """A core that counts. Cores need not."""

    def telemetry(self) -> CoreTelemetry:
        """Cheap, changes nothing."""
        ...


def totals_of(core: object) -> Totals:
    """The totals of a core as they are now, empty for one that does not count."""
    return dict(core.telemetry().totals) if isinstance(core, Telling) else {}
