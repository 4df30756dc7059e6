"""What the alerts of a group say, kept from one drawing of hints to the next.

A storm's incident is drawn again and again with mostly the same members: only alerts that are new or have
changed are read. What comes out depends on the alerts alone, not on how often it was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, compress, count
from operator import is_not

from correlator.signals import Signal, read
from detectors.alert import Alert


class Signs:
    """Mutable, not remembered: a new one is filled at once."""

    def __init__(self) -> None:
        self._known: Collection[str] = ()
        self._alerts: list[Alert] = []
        self._read: list[tuple[Signal, ...]] = []

    def of(self, alerts: Sequence[Alert], known: Collection[str]) -> Iterator[Signal]:
        """Their signals in the order of the alerts, given the services known around them."""
        if known != self._known or len(alerts) < len(self._alerts):
            self._alerts.clear()
            self._read.clear()
            self._known = known
        for index in compress(count(), map(is_not, self._alerts, alerts)):
            self._alerts[index] = alerts[index]
            self._read[index] = read(alerts[index], known)
        new = alerts[len(self._alerts) :]
        self._alerts += new
        self._read += [read(alert, known) for alert in new]
        return chain.from_iterable(self._read)
