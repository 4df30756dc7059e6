"""`python -m tests.chaos.skewed SECONDS worker ...`: the tocsin command with a wall clock that is off.

Shifted are `time.time` and `time.time_ns`, before anything else is imported: the worker's own clock. The
stamps on the records it produces come from a clock below Python, so they are given here. What else reads
that clock (`datetime.now`, libraries in C) is not shifted; none of it decides anything. Monotonic time is
left alone: a wrong clock does not change it, either.
"""

from __future__ import annotations

import sys
import time
from typing import Any

_time, _time_ns = time.time, time.time_ns


def shift(seconds: float) -> None:
    """From now on this process's wall clock is ahead by `seconds`."""
    time.time = lambda: _time() + seconds
    time.time_ns = lambda: _time_ns() + int(seconds * 1e9)


def stamp() -> None:
    """Records produced from now on carry the shifted time, as those of a process with a wrong clock do."""
    import aiokafka

    send = aiokafka.AIOKafkaProducer.send

    async def stamped(self: Any, *given: Any, timestamp_ms: int | None = None, **named: Any) -> Any:
        return await send(self, *given, timestamp_ms=timestamp_ms or int(time.time() * 1_000), **named)

    aiokafka.AIOKafkaProducer.send = stamped


def main() -> None:
    seconds = float(sys.argv.pop(1))
    if seconds:
        shift(seconds)
        print(f"clock is off by {seconds:g} s: {time.time():.0f}", file=sys.stderr, flush=True)
    from cli.main import main as tocsin

    if seconds:
        stamp()
    sys.argv[0] = "tocsin"
    tocsin()


if __name__ == "__main__":
    main()
