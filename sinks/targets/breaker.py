"""A circuit breaker (Nygard, Release It!): after failures in a row a target is left alone for a while.

Packages for this wrap functions and read clocks of their own; here an outcome is a value and the clock is
given, so that these lines are simpler than an adapter.
"""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed, open, half open: after the rest one request is let through, and decides."""

    def __init__(self, failures: int, rest_s: float, clock: Callable[[], float]) -> None:
        self._most, self._rest_s, self._clock = failures, rest_s, clock
        self._failures = 0
        self._until = 0.0

    def wait_s(self) -> float:
        """Seconds until the next request may be made; 0: now."""
        return max(0.0, self._until - self._clock())

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._most:
            self._until = self._clock() + self._rest_s

    def worked(self) -> None:
        self._failures, self._until = 0, 0.0
