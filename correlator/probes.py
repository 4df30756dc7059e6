"""Probes: alerts that must be over before a resolved incident counts as stable."""

from __future__ import annotations

from collections.abc import Sequence

from correlator.group import Group
from correlator.selectors import Selector, labels_of

KIND = "probe"


class Probes:
    """Alerts of kind probe, and those that the matchers hold of."""

    def __init__(self, matchers: Sequence[str]) -> None:
        """Raises `ValueError` for what is no matcher."""
        self._selector = Selector(matchers) if matchers else None

    def firing(self, group: Group) -> str:
        """Which of its alerts keep it from closing, in words; empty when none does."""
        found = []
        for index in group.active.values():
            alert = group.held[index].alert
            if alert.kind == KIND or (
                self._selector is not None and self._selector.matches(labels_of(alert, group.domain))
            ):
                found.append(f"{alert.service} {alert.metric}")
        if not found:
            return ""
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return f"{', '.join(found[:3])}{more} still fire{'s' * (len(found) == 1)}"
