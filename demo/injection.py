"""Faults that must happen inside a process, switched by its loopback `/_fault` endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import random
import threading
from dataclasses import dataclass, field
from typing import Any

LEAK_PAGE = 4096
LEAK_EVERY_S = 0.25


@dataclass(slots=True)
class Injection:
    """What is wrong with this process at the moment; nothing, to begin with."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    leak_mb_s: float = 0.0
    hog: bool = False
    mute: bool = False
    _leaked: list[mmap.mmap] = field(default_factory=list)
    _leak_task: asyncio.Task[None] | None = None
    _hog_thread: threading.Thread | None = None

    def apply(self, wanted: dict[str, Any]) -> None:
        """Set the named faults (`delay_ms`, `jitter_ms`, `leak_mb_s`, `hog`, `mute`); others stay.

        Raises ValueError for an unknown name.
        """
        unknown = set(wanted) - {"delay_ms", "jitter_ms", "leak_mb_s", "hog", "mute"}
        if unknown:
            raise ValueError(f"unknown fault setting {sorted(unknown)[0]!r}")
        for name, value in wanted.items():
            setattr(self, name, value)
        if self.leak_mb_s > 0 and self._leak_task is None:
            self._leak_task = asyncio.get_running_loop().create_task(self._leak())
        if self.hog and self._hog_thread is None:
            self._hog_thread = threading.Thread(target=self._burn, name="runaway", daemon=True)
            self._hog_thread.start()

    def clear(self) -> None:
        """Undo everything, giving leaked memory back."""
        self.delay_ms = self.jitter_ms = self.leak_mb_s = 0.0
        self.hog = self.mute = False
        self._hog_thread = None
        if self._leak_task is not None:
            self._leak_task.cancel()
            self._leak_task = None
        for block in self._leaked:
            block.close()
        self._leaked.clear()

    async def before_request(self) -> None:
        """Be as slow as the fault says."""
        if self.delay_ms or self.jitter_ms:
            await asyncio.sleep(max(0.0, random.gauss(self.delay_ms, self.jitter_ms)) / 1000)

    async def _leak(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                # Mapped, not allocated: healing must give it back, and malloc may keep what is freed.
                block = mmap.mmap(-1, max(LEAK_PAGE, int(self.leak_mb_s * 1024 * 1024 * LEAK_EVERY_S)))
                block.write(b"\x5a" * len(block))  # written, or it would not count as resident memory
                self._leaked.append(block)
                await asyncio.sleep(LEAK_EVERY_S)

    def _burn(self) -> None:
        # A runaway computation: it fights the request handlers for the interpreter lock.
        me = threading.current_thread()
        while self.hog and self._hog_thread is me:
            sum(i * i for i in range(20_000))
