"""When messages are."""

from __future__ import annotations

from typing import Any


def when(message: Any) -> int:
    """The latest time a message speaks of, ms UTC."""
    return max(getattr(message, name, 0) or 0 for name in ("ts", "seen_at", "started_at", "ended_at"))
