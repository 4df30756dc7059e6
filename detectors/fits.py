"""Models are learned in a thread beside the stream, and waited for where they have to be known.

A model is a function of its vectors and its seed alone, so nothing depends on who learns it, or when.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from threading import Thread

import msgspec
import numpy as np

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

    def __len__(self) -> int:
        return len(self.vectors) // (4 * self.columns)


class Fit:
    """A model that is known, or on its way."""

    def __init__(self, service: str, basis: Basis, trees: int) -> None:
        self.basis = basis
        self._seed = digest64(service, str(basis.seen_to)) & 0x7FFF_FFFF
        self._trees = trees
        self._model: Model | None = None
        self._coming: Future[Model | None] | None = Future()
        _queue().put((self, self._coming))

    def model(self) -> Model | None:
        """Waits for it; None: there was nothing to learn. A failure to learn is raised here."""
        if self._coming is not None:
            # One that is still in the queue is learned at once, by who needs it.
            self._model = self.learn() if self._coming.cancel() else self._coming.result()
            self._coming = None
        return self._model

    def learn(self) -> Model | None:
        rows = np.frombuffer(self.basis.vectors, np.float32).reshape(-1, self.basis.columns)
        return fit(rows, self._trees, self._seed)


Queue = SimpleQueue[tuple[Fit, "Future[Model | None]"]]


@cache
def _queue() -> Queue:
    queue: Queue = SimpleQueue()
    Thread(target=_work, args=(queue,), name="fits", daemon=True).start()
    return queue


def _work(queue: Queue) -> None:
    while True:
        one, coming = queue.get()
        if coming.set_running_or_notify_cancel():
            try:
                coming.set_result(one.learn())
            except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
                coming.set_exception(error)
        del one, coming  # what is no longer wanted must not be kept until the next comes
