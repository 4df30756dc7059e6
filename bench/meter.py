"""Clocks of a reading process, from its first records to its last."""

from __future__ import annotations

import json
import time


class Meter:
    """Counts up to `limit` records; the first call starts the clocks and does not count."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.seen = 0
        self.finished = False

    def count(self, records: int) -> None:
        """These have been handled now."""
        if not self.seen:
            self.wall, self.cpu, self.first = time.perf_counter(), time.process_time(), records
        self.seen += records
        if self.seen >= self.limit and not self.finished:
            self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
            self.finished = True

    def report(self) -> None:
        """One line of JSON: records per wall and per CPU second."""
        records = self.seen - self.first
        print(json.dumps({"per_s": records / self.wall, "per_cpu_s": records / self.cpu}), flush=True)
