"""Run named child processes that never outlive us.

    with Supervisor(data_dir) as sup:
        sup.start(Child("cart", [sys.executable, "-m", "demo.cart"], ready=http_ready(port)))
        ...

Each child has a log file and an optional readiness check. Leaving the ``with`` block stops the children
in reverse order: SIGTERM, then SIGKILL after a deadline. If this process dies in any other way, the
guard (:mod:`embedded.guard`) ends them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

_GUARD = Path(__file__).with_name("guard.py")
_GUARD_GRACE_S = 2.0
_POLL_S = 0.03


class ChildFailed(RuntimeError):
    """A child died or did not become ready; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """What to run. ``env`` is laid over our own environment (None removes a name); times are in seconds."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool] | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    cwd: Path | None = None
    ready_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0


@dataclass(slots=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    stopping: bool = False


class Supervisor:
    """Starts, watches and stops children. Safe to call from several threads.

    ``data_dir`` holds ``logs/NAME.log`` and whatever the children keep; without one a temporary
    directory is made and removed at the end.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self._temporary = data_dir is None
        self.data_dir = (
            Path(tempfile.mkdtemp(prefix="tocsin-")) if data_dir is None else Path(data_dir).resolve()
        )
        self._children: dict[str, _Running] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    # -- life -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every child, newest first, then the guard; remove a temporary data directory. Idempotent."""
        with self._lock:
            try:
                for name in reversed(list(self._children)):
                    self.stop(name)
            finally:
                self._dismiss_guard()
                if self._temporary:
                    shutil.rmtree(self.data_dir, ignore_errors=True)

    # -- children ---------------------------------------------------------------------------------

    def start(self, child: Child) -> None:
        """Start ``child`` and wait until it is ready; raises ChildFailed (and stops it) when it is not."""
        self.spawn(child)
        self.wait_ready(child.name)

    def spawn(self, child: Child) -> None:
        """Start ``child`` without waiting, so that several can come up side by side."""
        with self._lock:
            if self.is_alive(child.name):
                raise ValueError(f"a child named {child.name!r} is already running")
            guard = self._ensure_guard()
            log = self.log_path(child.name)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as out:
                try:
                    process = subprocess.Popen(
                        list(child.argv),
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                        env=_environment(child.env),
                        cwd=child.cwd,
                        process_group=guard.pid,
                    )
                except OSError as error:
                    raise ChildFailed(f"{child.name} could not be started: {error}") from error
            self._children.pop(child.name, None)  # a restarted child becomes the newest again
            self._children[child.name] = _Running(child, process)

    def wait_ready(self, *names: str) -> None:
        """Wait until the named children (default: all) pass their ready check.

        Raises ChildFailed, having stopped the culprit, when one dies first or its time runs out.
        """
        for name in names or tuple(self._children):
            running = self._children[name]
            child = running.child
            deadline = time.monotonic() + child.ready_timeout_s
            while True:
                # Alive is asked *after* ready: an answer on the port may come from somebody else's process.
                is_ready = child.ready is None or child.ready()
                status = running.process.poll()
                if status is not None:
                    self._fail(name, f"{name} ended with {_explain(status)} before it was ready")
                if is_ready:
                    break
                if time.monotonic() > deadline:
                    self._fail(name, f"{name} was not ready after {child.ready_timeout_s:g} s")
                time.sleep(_POLL_S)

    def stop(self, name: str) -> int:
        """SIGTERM, SIGKILL after the child's deadline; returns its exit status (0 for an unknown name)."""
        running = self._children.get(name)
        if running is None:
            return 0
        running.stopping = True
        process = running.process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(running.child.stop_timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
        status = process.wait()
        self._children.pop(name, None)
        return status

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal, by default ``kill -9``; the child stays known (see :meth:`restart`)."""
        running = self._children[name]
        running.process.send_signal(number)
        if number == signal.SIGKILL:
            running.process.wait()

    def restart(self, name: str) -> None:
        """Stop the child if it still runs, start it anew with the same arguments, wait until it is ready."""
        child = self._children[name].child
        self.stop(name)
        self.start(child)

    # -- questions --------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Children known to us, oldest first."""
        return tuple(self._children)

    def pid(self, name: str) -> int:
        """Process id of a child; raises KeyError for an unknown name."""
        return self._children[name].process.pid

    def is_alive(self, name: str) -> bool:
        """Whether the named child runs."""
        running = self._children.get(name)
        return running is not None and running.process.poll() is None

    def dead(self) -> dict[str, int]:
        """Children that ended without having been stopped by us: name to exit status."""
        ended = {name: running.process.poll() for name, running in list(self._children.items())}
        return {name: status for name, status in ended.items() if status is not None}

    def log_path(self, name: str) -> Path:
        """Where the child's standard output and error go."""
        return self.data_dir / "logs" / f"{name}.log"

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a child's log, or an empty string."""
        with suppress(FileNotFoundError), self.log_path(name).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 16_384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Block until ``until()`` or an interrupt; raises ChildFailed when a child dies meanwhile."""
        while not until():
            for name, status in self.dead().items():
                self._fail(name, f"{name} ended with {_explain(status)}")
            time.sleep(0.2)

    # -- inside -----------------------------------------------------------------------------------

    def _fail(self, name: str, message: str) -> NoReturn:
        tail = self.tail(name)
        self.stop(name)
        raise ChildFailed(
            f"{message}; its last lines ({self.log_path(name)}):\n{tail or '(nothing written)'}"
        )

    def _ensure_guard(self) -> subprocess.Popen[bytes]:
        if self._guard is None or self._guard.poll() is not None:
            # -I -S: no site-packages, so it starts in about 10 ms and holds about 8 MB.
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(_GUARD_GRACE_S)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        return self._guard

    def _dismiss_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        # The children are gone; what may be left in the group is what they forked and forgot.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(guard.pid, signal.SIGKILL)
        if guard.stdin is not None:
            guard.stdin.close()
        guard.wait()


@contextmanager
def stop_signals_interrupt() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise KeyboardInterrupt as Ctrl-C does, so ``with`` blocks clean up.

    Must be entered in the main thread (the interpreter's rule for signal handlers).
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _explain(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"
