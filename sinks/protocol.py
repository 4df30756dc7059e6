"""What a sink promises. tests/sinks/contract.py checks every sink against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sinks.inbox import Delivery


class SinkUnavailable(Exception):
    """The target does not answer or cannot take anything now: try again, nothing is lost."""


class SinkMisconfigured(Exception):
    """The target answers and will never accept us as configured; the message says what to correct."""


class Refusal(NamedTuple):
    """A delivery the target will never take, and why."""

    delivery: Delivery
    reason: str
    """machine-readable"""
    detail: str


class Sink(Protocol):
    """A target for incidents, alerts and dead letters.

    At least once: the same delivery may come again, in another batch or after a crash, and must leave
    the target as if it had come once.
    """

    name: str

    async def start(self) -> None:
        """Make the target ready. Raises `SinkUnavailable` or `SinkMisconfigured`."""
        ...

    async def write(self, deliveries: Sequence[Delivery]) -> Sequence[Refusal]:
        """Return when the target has confirmed every delivery but the refused ones.

        Raises `SinkUnavailable` when that cannot be said; the caller writes the same batch again. One
        bad delivery never holds up the others, and one a target has no use for is passed over.
        """
        ...

    async def stop(self) -> None:
        """Let go of connections. Nothing is buffered between writes, so nothing is lost."""
        ...
