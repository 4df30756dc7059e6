"""The running shop: starts its processes and reaches into them the way an operator, or fate, does."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from demo.changes import Change, now_ms, publish
from demo.releases import RELEASES

SERVICES = ("inventory", "payment", "cart", "catalogue", "checkout", "gateway")
CALLS = {
    "gateway": ("catalogue", "cart", "checkout"),
    "catalogue": ("inventory",),
    "checkout": ("cart", "inventory", "payment"),
}
LOAD = "load"
LOCKER = "report-job"


class Processes(Protocol):
    """Who runs the processes; `embedded.supervisor.Supervisor` behind a thin adapter."""

    def spawn(self, name: str, argv: Sequence[str], ready: Callable[[], bool] | None) -> None:
        """Start a process without waiting."""

    def wait_ready(self, *names: str) -> None:
        """Wait until the named processes pass their ready check."""

    def stop(self, name: str) -> None:
        """SIGTERM, then SIGKILL; fine for a process that is not there."""

    def kill(self, name: str) -> None:
        """`kill -9`."""

    def pid(self, name: str) -> int:
        """Process id."""

    def free_port(self) -> int:
        """A TCP port nobody listens on."""


class ShopError(RuntimeError):
    """A process of the shop did not do what it was told."""


@dataclass(slots=True)
class _Slot:
    """Where a service runs now: its port for good, its release and process name for the moment."""

    port: int
    release: str
    process: str


class Shop:
    """Six services on loopback and the load on them. Blocking calls; safe from one thread at a time."""

    def __init__(self, processes: Processes, kafka: str, data_dir: Path, *, seed: int = 1) -> None:
        self._processes = processes
        self._kafka = kafka
        self._seed = seed
        self.store_path = data_dir / "inventory.sqlite"
        self._slots = {
            service: _Slot(processes.free_port(), RELEASES[service], service) for service in SERVICES
        }
        self._load_port = processes.free_port()
        data_dir.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Bring all six services up, side by side."""
        for service in SERVICES:
            self._spawn(service)
        self._processes.wait_ready(*(slot.process for slot in self._slots.values()))

    def start_load(self) -> None:
        """Let the customers in."""
        port, gateway = str(self._load_port), str(self._slots["gateway"].port)
        argv = [sys.executable, "-m", "demo.load", "--gateway", gateway, "--port", port]
        ready = lambda: _ask(self._load_port, "GET", "/healthz") is not None  # noqa: E731
        self._processes.spawn(LOAD, [*argv, "--seed", str(self._seed)], ready)
        self._processes.wait_ready(LOAD)

    def stop_load(self) -> None:
        """Send the customers home."""
        self._processes.stop(LOAD)

    def stop(self) -> None:
        """Stop everything that runs, customers first."""
        for name in (LOAD, LOCKER, *(slot.process for slot in reversed(self._slots.values()))):
            self._processes.stop(name)

    def stats(self) -> dict[str, Any] | None:
        """What the customers see (rate, failure_ratio, p50_ms, p95_ms, statuses), or None without load."""
        return _ask(self._load_port, "GET", "/stats")

    def port(self, service: str) -> int:
        """The service's port, the same for its whole life."""
        return self._slots[service].port

    def release(self, service: str) -> str:
        """The `service.version` running now."""
        return self._slots[service].release

    def pid(self, service: str) -> int:
        """Process id of a service, or of `load`."""
        return self._processes.pid(LOAD if service == LOAD else self._slots[service].process)

    def is_up(self, service: str) -> bool:
        """Whether the service answers."""
        return _ask(self._slots[service].port, "GET", "/healthz") is not None

    # -- what goes wrong, and what is done about it --------------------------------------------------

    def misbehave(self, service: str, **settings: float | bool) -> None:
        """Switch a fault on inside a process; see `demo.injection`."""
        if _ask(self._slots[service].port, "POST", "/_fault", settings) is None:
            raise ShopError(f"{service} did not accept the fault {settings}")

    def behave(self, service: str) -> None:
        """Switch every fault inside a process off."""
        if _ask(self._slots[service].port, "DELETE", "/_fault") is None:
            raise ShopError(f"{service} did not clear its faults")

    def kill(self, service: str) -> None:
        """`kill -9` the process; nobody restarts it by itself."""
        self._processes.kill(self._slots[service].process)

    def revive(self, service: str) -> None:
        """Start a killed service again, as an operator would."""
        self._processes.stop(self._slots[service].process)
        self._spawn(service)
        self._processes.wait_ready(self._slots[service].process)

    def deploy(self, service: str, release: str, summary: str) -> None:
        """Roll out `release` and record the change; the new process is up before the old one goes."""
        slot = self._slots[service]
        old = slot.process
        publish(self._kafka, Change.of(now_ms(), service, release, summary))
        slot.release, slot.process = release, f"{service}-{release}"
        self._spawn(service)
        self._processes.wait_ready(slot.process)
        self._processes.stop(old)

    def contend_for_store(self, hold_ms: float, gap_ms: float) -> None:
        """Let a second process hold the store's write lock for `hold_ms` at a time, with `gap_ms` between."""
        argv = [sys.executable, "-m", "demo.locker", str(self.store_path)]
        self._processes.spawn(LOCKER, [*argv, "--hold-ms", str(hold_ms), "--gap-ms", str(gap_ms)], None)

    def leave_store(self) -> None:
        """End the second process."""
        self._processes.stop(LOCKER)

    def _spawn(self, service: str) -> None:
        slot = self._slots[service]
        peers = {peer: self._slots[peer].port for peer in CALLS.get(service, ())}
        argv = [sys.executable, "-m", "demo.service", service, "--port", str(slot.port)]
        argv += ["--kafka", self._kafka, "--release", slot.release, "--peers", json.dumps(peers)]
        if service == "inventory":
            argv += ["--store", str(self.store_path)]
        wanted = {"service": service, "version": slot.release}
        ready = lambda: _ask(slot.port, "GET", "/healthz") == wanted  # noqa: E731
        self._processes.spawn(slot.process, argv, ready)


def _ask(port: int, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
    """One admin request on loopback; None when there is no answer or it is not a success."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return answer if response.status < 300 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
