"""Children start, are watched, and are gone when we are, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from embedded.probe import listens, port_is_free
from embedded.supervisor import Child, ChildFailed, Supervisor, stop_signals_interrupt

pytestmark = pytest.mark.slow


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *arguments]


_SLEEPER = _python("import time; time.sleep(600)")
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(600)
"""


def _until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_start_waits_until_the_child_is_ready(tmp_path: Path) -> None:
    """``start`` returns only after the check passed."""
    flag = tmp_path / "ready"
    code = f"import pathlib,time; time.sleep(0.3); pathlib.Path({str(flag)!r}).touch(); time.sleep(600)"
    with Supervisor(tmp_path) as sup:
        sup.start(Child("slow", _python(code), ready=flag.exists))
        assert flag.exists()
        assert sup.is_alive("slow")


def test_a_child_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """The error names the child, its exit status and what it wrote last."""
    code = "import sys; print('no such table: lunch'); sys.exit(3)"
    with (
        Supervisor(tmp_path) as sup,
        pytest.raises(ChildFailed, match=r"(?s)cook.*status 3.*no such table: lunch"),
    ):
        sup.start(Child("cook", [sys.executable, "-c", code], ready=lambda: False))


def test_a_child_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    """After its time the child is given up, and does not linger."""
    with Supervisor(tmp_path) as sup:
        with pytest.raises(ChildFailed, match=r"was not ready after 0\.2 s"):
            sup.start(Child("mute", _SLEEPER, ready=lambda: False, ready_timeout_s=0.2))
        assert sup.names == ()


def test_an_answer_from_somebody_else_is_not_readiness(tmp_path: Path) -> None:
    """A child that dies although its check passes (another process has the port) counts as failed."""
    with Supervisor(tmp_path) as sup:
        sup.spawn(Child("late", _python("raise SystemExit(1)"), ready=lambda: not sup.is_alive("late")))
        with pytest.raises(ChildFailed, match="exit status 1"):
            sup.wait_ready()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A missing program is a ChildFailed, not a bare OSError."""
    with Supervisor(tmp_path) as sup, pytest.raises(ChildFailed, match="/no/such/program"):
        sup.start(Child("ghost", ["/no/such/program"]))


def test_children_stop_newest_first(tmp_path: Path) -> None:
    """What was started last, and may depend on the others, goes first."""
    order = tmp_path / "order"
    code = f"""
import signal, sys, time
def bye(*_):
    open({str(order)!r}, "a").write(sys.argv[1] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
open(sys.argv[2], "w").close()
time.sleep(600)
"""
    with Supervisor(tmp_path) as sup:
        for name in ("store", "worker", "console"):
            flag = tmp_path / name
            sup.start(Child(name, _python(code, name, str(flag)), ready=flag.exists))
    assert order.read_text().split() == ["console", "worker", "store"]


def test_a_deaf_child_is_killed_after_its_deadline(tmp_path: Path) -> None:
    """SIGTERM ignored: SIGKILL follows when the child's time is over."""
    with Supervisor(tmp_path) as sup:
        sup.start(
            Child("deaf", _python(_STUBBORN), ready=lambda: "deaf" in sup.tail("deaf"), stop_timeout_s=0.2)
        )
        pid = sup.pid("deaf")
        assert sup.stop("deaf") == -signal.SIGKILL
        assert _gone(pid)


def test_kill_and_restart(tmp_path: Path) -> None:
    """``kill`` is kill -9 and leaves a record of it; ``restart`` brings the child back as another process."""
    with Supervisor(tmp_path) as sup:
        sup.start(Child("cart", _SLEEPER))
        first = sup.pid("cart")
        sup.kill("cart")
        assert sup.dead() == {"cart": -signal.SIGKILL}
        sup.restart("cart")
        assert sup.is_alive("cart")
        assert sup.pid("cart") != first


def test_watch_ends_when_a_child_dies(tmp_path: Path) -> None:
    """A service that dies under us is an error, not a silent half of a stack."""
    with Supervisor(tmp_path) as sup:
        sup.start(Child("cart", _SLEEPER))
        sup.kill("cart")
        with pytest.raises(ChildFailed, match="cart ended with signal SIGKILL"):
            sup.watch()


def test_children_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    """A child belongs to the process, not to the thread that happened to start it."""
    with Supervisor(tmp_path) as sup:
        thread = threading.Thread(target=sup.start, args=(Child("cart", _SLEEPER),))
        thread.start()
        thread.join()
        assert not _until(lambda: not sup.is_alive("cart"), timeout_s=0.5)


def test_the_environment_can_be_set_and_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child sees our environment with its own changes; None takes a name away."""
    monkeypatch.setenv("TOCSIN_TEST_GONE", "1")
    monkeypatch.setenv("TOCSIN_TEST_KEPT", "kept")
    names = ("TOCSIN_TEST_GONE", "TOCSIN_TEST_KEPT", "TOCSIN_TEST_NEW")
    code = f"import os, time; print(*map(os.environ.get, {names})); time.sleep(600)"
    with Supervisor(tmp_path) as sup:
        env = {"TOCSIN_TEST_GONE": None, "TOCSIN_TEST_NEW": "new"}
        sup.start(Child("env", _python(code), env=env, ready=lambda: bool(sup.tail("env"))))
        assert sup.tail("env") == "None kept new"


def test_a_temporary_directory_goes_with_the_supervisor() -> None:
    """Without a data directory nothing is left on disk."""
    with Supervisor() as sup:
        sup.start(Child("cart", _SLEEPER))
        directory = sup.data_dir
        assert directory.is_dir()
    assert not directory.exists()


def test_two_children_of_one_name_are_refused(tmp_path: Path) -> None:
    """A name is one process."""
    with Supervisor(tmp_path) as sup:
        sup.start(Child("cart", _SLEEPER))
        with pytest.raises(ValueError, match="already running"):
            sup.start(Child("cart", _SLEEPER))


_FORKER = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""
_PARENT = f"""
import sys, time
from pathlib import Path
from embedded.stack import Stack
from embedded.supervisor import Child
stack = Stack(Path(sys.argv[1]))
stack.start()
sup = stack.supervisor
for name, code in (("forker", {_FORKER!r}), ("deaf", {_STUBBORN!r})):
    sup.start(Child(name, [sys.executable, "-S", "-c", code], ready=lambda: bool(sup.tail(name))))
print(stack.kafka, sup.tail("forker"), *(sup.pid(name) for name in sup.names), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_survives_the_death_of_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    """Broker, ClickHouse, a child that ignores SIGTERM, a grandchild: all go with the parent."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    address, *pids = parent.stdout.readline().split()
    port = int(address.rpartition(":")[2])
    assert listens(port)
    assert len(pids) == 5  # grandchild, broker, ClickHouse, forker, deaf
    os.kill(parent.pid, number)
    parent.wait()
    all_gone = _until(lambda: all(_gone(int(pid)) for pid in pids))
    for pid in pids:  # a failing test must not leave behind what it found
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(pid)).kill()
    assert all_gone, "orphans were left"
    assert _until(lambda: port_is_free(port))


def test_signals_become_an_interrupt() -> None:
    """Inside the context SIGTERM unwinds the stack as Ctrl-C does; outside the old handler is back."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stop_signals_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
