"""Compile a kernel with numba, or run the very same function as plain Python with a warning.

Kernels are written in the small common language of both: scalars, arrays, records of structured
arrays. No fastmath and no parallel loops, so both give the same numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from streams.records.digest import digest_hex

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger(__name__)

try:
    import numba
except ImportError:
    numba = None
    log.warning("numba is not installed: detectors run as plain Python, about 100 times slower")


def part(function: F) -> F:
    """A function that kernels call. Its machine code is cached with the kernel that uses it."""
    if numba is None:
        return function
    compiled: F = numba.njit(function)
    return compiled


def kernel(function: F) -> F:
    """A function called from Python; its machine code is kept on disk.

    numba looks at the kernel's own file to see whether the cached code is stale, not at the files
    of the parts it calls; a kernel therefore closes over `source_digest()`.
    """
    if numba is None:
        return function
    compiled: F = numba.njit(cache=True)(function)
    return compiled


def source_digest() -> int:
    """Changes with any module of this package that holds a part."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    return int(digest_hex(*(text for text in sources if "@part" in text), size=4), 16)
