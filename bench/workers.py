"""`tocsin worker` as the benchmarks run it: a process, its CPU seconds, and what it says on /metrics."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import psutil
import yaml

from embedded.probe import free_port

PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """In the child: a benchmark that is killed takes its workers with it (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Reading(NamedTuple):
    """Clocks and records of one moment."""

    wall: float
    cpu: float
    records: int


class Worker:
    """One worker process; stopped with SIGTERM on leaving. Its log is `folder/NAME.log`."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        stages: str,
        name: str = "",
        program: Sequence[str] = ("cli.main",),
        **environment: str,
    ) -> None:
        self.name = name or stages.replace(",", "-")
        self.stages = stages
        self.port = free_port()
        config = folder / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump(settings))
        argv = [sys.executable, "-m", *program, "worker", "--config", str(config), "--stages", stages]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")}
        self.log = folder / f"{self.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--health-port", str(self.port)],
                stdout=log,
                stderr=log,
                env=clean | environment,
                preexec_fn=_end_with_parent,
            )
        self._ps = psutil.Process(self.process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, and wait until it has gone."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def cpu(self) -> float:
        """CPU seconds since it started, its threads included."""
        return sum(self._ps.cpu_times()[:2])

    def rss(self) -> int:
        """Resident bytes."""
        return int(self._ps.memory_info().rss)

    def text(self, path: str = "/metrics") -> str | None:
        """An answer of the health port; None while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def sample(self, metric: str, **labels: str) -> float | None:
        """Sum of a metric over its label sets that match; None while the worker does not answer."""
        text = self.text()
        if text is None:
            return None
        total = 0.0
        for line in text.splitlines():
            if line.startswith(f"{metric}{{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def reading(self, stage: str) -> Reading | None:
        """Clocks and the stage's records whose effect is safe."""
        records = self.sample("tocsin_records_total", stage=stage)
        return None if records is None else Reading(time.perf_counter(), self.cpu(), int(records))

    def beginning(self, stage: str, timeout_s: float = 90) -> Reading:
        """The last reading before the stage was given partitions: joining the group is not counted."""
        # Should it be given partitions before it answers at all, its start is counted, too.
        before = Reading(time.perf_counter(), 0.0, 0)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            # Clocks first: on a busy machine the answer may be old by the time it is here.
            wall, cpu = time.perf_counter(), self.cpu()
            placed = self.text("/lag")
            if placed is not None:
                if any(row["stage"] == stage for row in json.loads(placed)):
                    return before
                before = Reading(wall, cpu, 0)
            time.sleep(0.01)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{self.name}: {stage} was given nothing to read; its log ends\n{tail}")

    def until(self, stage: str, records: int, timeout_s: float = 600, every_s: float = 0.25) -> Reading:
        """The reading at which `stage` has `records`. Ends the program with the log's end if it does not.

        Asked seldom, because answering costs the worker milliseconds of CPU.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            found = self.reading(stage)
            if found is not None and found.records >= records:
                return found
            time.sleep(every_s)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{self.name}: {stage} did not reach {records} records; its log ends\n{tail}")


def rates(first: Reading, last: Reading) -> dict[str, float]:
    """Records between two readings, per wall and per CPU second."""
    records = last.records - first.records
    return {"per_s": records / (last.wall - first.wall), "per_cpu_s": records / (last.cpu - first.cpu)}


def settings_for(
    bootstrap: str, inputs: dict[str, int], prefix: str, **sections: dict[str, Any]
) -> dict[str, Any]:
    """Settings that read `inputs` (topic to partitions) and keep all else under `prefix`."""
    found: dict[str, Any] = {
        "kafka": {"bootstrap": bootstrap, "group_prefix": prefix},
        "topics": {
            "inputs": [{"name": name, "partitions": count} for name, count in inputs.items()],
            "pages": f"{prefix}.pages",
            "alerts": f"{prefix}.alerts",
            "incidents": f"{prefix}.incidents",
            "suppressions": f"{prefix}.suppressions",
            "problems": f"{prefix}.problems",
            "response": f"{prefix}.response",
            "written": f"{prefix}.written",
            "notifications": f"{prefix}.notifications",
            "topology": f"{prefix}.topology",
            "action_results": f"{prefix}.results",
            "audit": f"{prefix}.audit",
            "deadletters": f"{prefix}.dead",
        },
    }
    for section, keys in sections.items():
        found[section] = {**found.get(section, {}), **keys}
    return found
