"""Which patterns of the configuration hold for lines of whom, worked out once per sender."""

from __future__ import annotations

from collections.abc import Sequence

from config.logs import Pattern
from config.matchers import all_match, parse

REMEMBERED = 4_096
"""senders whose answer is kept; beyond that it begins anew, which changes no answer"""
Sender = tuple[str, str, tuple[tuple[str, str], ...]]
"""service, instance, resource"""


class Scope:
    """Places of the patterns that hold for a sender."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._all = tuple(range(len(patterns)))
        self._matchers = [[parse(text) for text in pattern.matchers] for pattern in patterns]
        self._asks = any(self._matchers)
        self._known: dict[Sender, tuple[int, ...]] = {}

    def of(self, service: str, instance: str, resource: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        """In the order of the configuration."""
        if not self._asks:
            return self._all
        sender = (service, instance, resource)
        found = self._known.get(sender)
        if found is None:
            labels = {**dict(resource), "service": service, "instance": instance}
            found = tuple(i for i in self._all if all_match(self._matchers[i], labels))
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[sender] = found
        return found
