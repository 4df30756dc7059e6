"""Models are learned in a thread beside the stream, and waited for where they have to be known.

A model is a function of its vectors and its seed alone, so nothing depends on when the thread runs.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

import msgspec

from detectors.forest import F32
from detectors.relations import Model, fit
from streams.records.digest import digest64


class Basis(msgspec.Struct, array_like=True):
    """What a model is learned from: the snapshot carries this, not the model."""

    seen_to: int
    """end of the last window learned from, ms"""
    holds_from: int
    """end of the first window it scores, ms"""
    columns: int
    vectors: bytes
    """f32[n, columns], oldest first, NaN where missing"""


class Fit:
    """A model that is known, or on its way."""

    def __init__(self, service: str, basis: Basis, rows: F32, trees: int) -> None:
        self.basis = basis
        seed = digest64(service, str(basis.seen_to)) & 0x7FFF_FFFF
        self._coming: Future[Model | None] = _thread().submit(fit, rows, trees, seed)

    def model(self) -> Model | None:
        """Waits for it; None: there was nothing to learn. A failure to learn is raised here."""
        return self._coming.result()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="tocsin-fit")
