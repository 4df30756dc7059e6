"""Compiles the detectors' kernels before anybody asks for a chart: on a fresh install half a minute, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CODE = "import os; os.nice(10); from detectors.explore import warm; warm()"


@contextmanager
def warming() -> Iterator[subprocess.Popen[bytes]]:
    """In a process of its own: compiling holds up all else, and we find them in numba's cache."""
    child = subprocess.Popen([sys.executable, "-c", CODE])
    try:
        yield child
    finally:
        child.terminate()
        child.wait()
