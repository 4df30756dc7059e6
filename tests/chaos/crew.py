"""Workers of a run, each with proxies of its own before the broker and ClickHouse."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from embedded.probe import LOOPBACK
from tests.chaos.proxy import Proxy

_HEALTH = re.compile(r"health at http://127\.0\.0\.1:(\d+)/healthz")


class Worker:
    """One `tocsin worker` and the way to its services. Started again by `start`, with the same addresses."""

    def __init__(
        self,
        number: int,
        folder: Path,
        raw: dict[str, Any],
        stages: str,
        kafka_port: int,
        clickhouse_port: int,
    ) -> None:
        self.number, self.stages = number, stages
        self.log = folder / f"worker-{number}.log"
        self.kafka, self.clickhouse = Proxy(kafka_port, advertised=True), Proxy(clickhouse_port)
        self._config = folder / f"worker-{number}.yaml"
        self._raw = raw
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        """whether whoever looks after workers should start it again when it is gone"""
        self.taken = False
        """a fault that ends or stops the process has it; one at a time"""
        self.exits: list[int] = []
        self.skew_s = 0.0
        self._log_from = 0

    async def open(self) -> None:
        """Set up the proxies and write the configuration that points to them."""
        await self.kafka.start()
        await self.clickhouse.start()
        raw = {
            **self._raw,
            "kafka": {**self._raw["kafka"], "bootstrap": f"{LOOPBACK}:{self.kafka.port}"},
            "clickhouse": {**self._raw["clickhouse"], "url": f"http://{LOOPBACK}:{self.clickhouse.port}"},
        }
        self._config.write_text(yaml.safe_dump(raw))

    def start(self) -> None:
        """Start the process; returns at once."""
        argv = [sys.executable, "-m", "tests.chaos.skewed", str(self.skew_s)]
        argv += ["worker", "--config", str(self._config), "--health-port", "0", "--stages", self.stages]
        argv += ["--log-level", os.environ.get("CHAOS_LOG", "warning")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, env=environment)
        self.wanted = True

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def suspended(self) -> bool:
        """Whether the process is stopped (state T)."""
        assert self.process is not None
        return suspended(self.process.pid)

    def announced(self) -> bool:
        """Whether it has come as far as listening for signals."""
        return bool(_HEALTH.search(self._said()))

    def _said(self) -> str:
        """What it has logged since it was last started."""
        if self.process is None:
            return ""
        return self.log.read_bytes()[self._log_from :].decode(errors="replace")

    async def gone(self, within_s: float) -> int:
        """Wait for the exit and note its code; `kill -9` after `within_s`, which counts as -9."""
        assert self.process is not None
        try:
            code = await asyncio.to_thread(self.process.wait, within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = await asyncio.to_thread(self.process.wait)
        self.exits.append(code)
        return code

    async def partitions(self) -> list[tuple[str, str, int]]:
        """(stage, topic, partition) it says it holds; empty while it does not answer."""
        found = _HEALTH.findall(self._said())
        if not found or not self.alive():
            return []
        try:
            raw = await asyncio.to_thread(_get, f"http://{LOOPBACK}:{found[-1]}/lag")
        except (OSError, ValueError):
            return []
        return [(line["stage"], line["topic"], line["partition"]) for line in raw]

    async def close(self) -> None:
        """End the process for good, and the proxies."""
        self.wanted = False
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            await self.gone(10)
        await self.kafka.close()
        await self.clickhouse.close()


def suspended(pid: int) -> bool:
    """Whether a process is stopped (state T)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
        return json.load(answer)


class Crew:
    """The workers of a run and their supervisor: what ends and is wanted is started again."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self.restarts: list[tuple[int, int]] = []
        """(worker, exit code) of every end nobody had asked for"""

    async def watch(self) -> None:
        """Start again what ended by itself, as a service manager would."""
        while True:
            await asyncio.sleep(0.2)
            for worker in self.workers:
                if worker.wanted and worker.process is not None and not worker.alive():
                    code = await worker.gone(1)
                    self.restarts.append((worker.number, code))
                    worker.start()

    async def holders(self) -> dict[tuple[str, str, int], int]:
        """Partition -> the worker that says it holds it."""
        found: dict[tuple[str, str, int], int] = {}
        for worker in self.workers:
            for home in await worker.partitions():
                found[home] = worker.number
        return found
