"""Compile a kernel with numba, or run the very same function as plain Python.

Kernels are written in the small common language of both: scalars, arrays, records of structured
arrays. No fastmath and no parallel loops, so both give the same numbers. `NUMBA_DISABLE_JIT=1` runs
everything as Python, where every access to an array is checked: tests use that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from streams.records.digest import digest_hex

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba

    COMPILING = not numba.config.DISABLE_JIT
    """kernels run as machine code"""
except ImportError:
    numba = None
    COMPILING = False

HAVE_NUMBA = numba is not None


def part(function: F) -> F:
    """A function that kernels call. Its machine code is cached with the kernel that uses it."""
    if numba is None:
        return function
    compiled: F = numba.njit(function)
    return compiled


def kernel(function: F) -> F:
    """A function called from Python; its machine code is kept on disk.

    numba looks at the kernel's own file to see whether the cached code is stale, not at the files
    of the parts it calls; a kernel with parts elsewhere therefore closes over `source_digest()`.
    """
    if numba is None:
        return function
    compiled: F = numba.njit(cache=True)(function)
    return compiled


def source_digest(folder: Path) -> int:
    """Changes with any module in the folder that holds a part."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))]
    return int(digest_hex(*(text for text in sources if "@part" in text), size=4), 16)
