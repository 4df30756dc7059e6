"""Keeps a worker's memory close to what it uses. Linux with glibc; elsewhere these do nothing.

- numpy asks for huge pages for large arrays, and the arrays of a shard are large and filled little by
  little: a bin of the profiles would take 2 MB where it needs some kB.
- malloc raises its thresholds with the largest block it has seen freed and then keeps as much for
  itself: one checkpoint of a large shard, and tens of MB stay. So do the holes that a backlog leaves
  between what is kept.
- The compiler (LLVM) is needed until the kernels are loaded; 60 MB of its code stay mapped. They
  are clean pages of a file: given back, they come again if they are needed.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT_BYTES = 1024 * 1024
"""free memory malloc may keep at the top of the heap; blocks of this size are mapped one by one"""
ARENAS = 2
COMPILER = "libllvmlite"
GC_THRESHOLD = (50_000, 20, 50)
"""Descriptions live long: walking all of them often only costs pauses"""


def keep_small() -> None:
    """Once, at the start of a worker."""
    core: Any = getattr(getattr(np, "_core", None), "multiarray", None)
    if hasattr(core, "_set_madvise_hugepage"):
        core._set_madvise_hugepage(False)
    libc = _libc()
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES)
        libc.mallopt(M_ARENA_MAX, ARENAS)


def trim_every(seconds: float, loop: asyncio.AbstractEventLoop) -> None:
    """`trim` from now on, for as long as the loop runs.

    And free what hangs together in circles (calls that may be repeated, with what they were to write): the
    collector goes by the number of objects and would come round too seldom. And give back the compiler's
    code, which the first data of a kind read in again. All of it takes milliseconds.
    """

    def again() -> None:
        gc.collect()
        give_back(COMPILER)
        trim()
        loop.call_later(seconds, again)

    loop.call_later(seconds, again)


def settle() -> None:
    """After everything has been imported and compiled: it stays, so it need not be looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    given = give_back(COMPILER)
    trim()
    log.info("gave back %.0f MB of the compiler's code", given / 1e6)


def trim() -> None:
    """Give back what malloc holds free: whole pages only, milliseconds for some hundred MB."""
    libc = _libc()
    if libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def give_back(library: str, maps: Path = Path("/proc/self/maps")) -> int:
    """Unmap the resident code pages of a loaded library; returns the bytes of address space covered.

    Only its executable, never written mappings: the next use reads them from the file again.
    """
    libc = _libc()
    if libc is None or not maps.exists():
        return 0
    covered = 0
    for line in maps.read_text().splitlines():
        where, mode, *rest = line.split()
        if mode != "r-xp" or not rest or library not in rest[-1]:
            continue
        start, end = (int(part, 16) for part in where.split("-"))
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED) == 0:
            covered += end - start
    return covered


def _libc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None)
