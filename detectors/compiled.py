"""Kernels of the detectors: compiled with numba, or as plain Python with a warning."""

from __future__ import annotations

import logging
from pathlib import Path

from streams.records import compiled
from streams.records.compiled import kernel, part

__all__ = ["kernel", "part", "source_digest"]

if not compiled.HAVE_NUMBA:
    logging.getLogger(__name__).warning(
        "numba is not installed: detectors run as plain Python, about 100 times slower"
    )


def source_digest() -> int:
    """Changes with any module of this package that holds a part."""
    return compiled.source_digest(Path(__file__).parent)
