"""What a worker gives back, it gives back without harm; in processes of their own, where it needs Linux."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.agents import footprint

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc and /proc")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def in_process(code: str) -> list[str]:
    """Lines that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.split()


RESIDENT = """
import re
def resident(of="Rss", file="/proc/self/smaps_rollup"):
    return int(re.search(rf"^{of}:\\s+(\\d+)", open(file).read(), re.M)[1]) // 1024
"""


@linux
def test_the_compilers_code_is_given_back_and_works_on() -> None:
    """A kernel compiled afterwards is right."""
    before, after, answer = in_process(
        RESIDENT
        + """
import numba
numba.njit(lambda x: x + 1)(1)
before = resident()
from streams.agents import footprint
assert footprint.give_back(footprint.COMPILER) > 1e6
after = resident()
print(before, after, numba.njit(lambda x: x * 3)(14))
"""
    )
    assert int(after) < int(before) - 5
    assert answer == "42"


@linux
def test_holes_of_a_backlog_are_given_back() -> None:
    """Half of many small blocks is freed, here and there."""
    full, trimmed = in_process(
        RESIDENT
        + """
from streams.agents import footprint
footprint.keep_small()
blocks = [bytes(8_192) for _ in range(10_000)]
end = bytes(8_192)
full = resident()
del blocks
footprint.trim()
print(full, resident())
"""
    )
    assert int(trimmed) < int(full) - 50


@linux
def test_a_large_array_takes_only_the_pages_that_are_written() -> None:
    """No huge pages, where the system would hand them out."""
    (grown,) = in_process(
        RESIDENT
        + """
import numpy as np
from streams.agents import footprint
footprint.keep_small()
before = resident()
bins = np.zeros((168, 1 << 20), np.float32)
bins[:, :100] = 1
print(resident() - before)
"""
    )
    assert int(grown) < 20


def test_a_library_that_is_not_there_gives_nothing_back(tmp_path: Path) -> None:
    """Nor does a system without such a list."""
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 rw-p 00000000 00:00 0 [heap]\n7f01-7f02 r--p 0 00:00 0 /x/libllvmlite.so\n")
    assert footprint.give_back("libllvmlite", maps) == 0
    assert footprint.give_back("libllvmlite", tmp_path / "none") == 0


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without glibc a worker runs as ever."""
    monkeypatch.setattr(sys, "platform", "darwin")
    footprint.keep_small()
    footprint.trim()
    footprint.settle()
    assert footprint.give_back("libc") == 0


def test_settling_spares_the_collector_what_is_there() -> None:
    """It is frozen, and the rest is looked at less often."""
    footprint.settle()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == footprint.GC_THRESHOLD


def test_trimming_goes_on_while_the_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again."""
    thrice = asyncio.Event()
    calls: list[int] = []

    def trim() -> None:
        calls.append(1)
        if len(calls) == 3:
            thrice.set()

    async def run() -> None:
        monkeypatch.setattr(footprint, "trim", trim)
        footprint.trim_every(0.001, asyncio.get_running_loop())
        async with asyncio.timeout(10):
            await thrice.wait()

    asyncio.run(run())
    assert len(calls) >= 3
