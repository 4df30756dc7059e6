"""`python -m tests.chaos.skewed SECONDS worker ...`: the tocsin command with a wall clock that is off.

Shifted are `time.time` and `time.time_ns`, before anything else is imported: the worker's own clock, and
that of aiokafka, which stamps the records it produces. What reads the clock below Python (`datetime.now`,
the system calls of libraries in C) is not; none of it decides anything. Monotonic time is left alone: a
wrong clock does not change it, either.
"""

from __future__ import annotations

import sys
import time

_time, _time_ns = time.time, time.time_ns


def shift(seconds: float) -> None:
    """From now on this process's wall clock is ahead by `seconds`."""
    time.time = lambda: _time() + seconds
    time.time_ns = lambda: _time_ns() + int(seconds * 1e9)


def main() -> None:
    seconds = float(sys.argv.pop(1))
    if seconds:
        shift(seconds)
        print(f"clock is off by {seconds:g} s: {time.time():.0f}", file=sys.stderr, flush=True)
    from cli.main import main as tocsin

    sys.argv[0] = "tocsin"
    tocsin()


if __name__ == "__main__":
    main()
