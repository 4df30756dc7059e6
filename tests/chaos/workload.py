"""What a run puts in: seeded records in which every row can be told apart, and what must come of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import NamedTuple

from cli.timeline import Headers, control
from config.settings import Settings
from streams.agents.local import LocalPipeline
from streams.records.stage import Output, Record
from tests.chaos.findings import Findings, findings_of

BEGIN_MS = 1_750_000_000_000
SOURCES = 3
"""partitions of the input topic"""
SERVICES = ("gateway", "catalogue", "cart", "checkout", "payment", "inventory")
EDGES = [
    ("gateway", "catalogue"),
    ("gateway", "cart"),
    ("gateway", "checkout"),
    ("checkout", "payment"),
    ("catalogue", "inventory"),
]
QUIET = {"latency_ms": (120.0, 6.0), "error_ratio": (0.004, 0.001), "queue": (8.0, 1.0)}
"""metric -> level and spread"""
LATE_BY_MS = 5_000


class Fed(NamedTuple):
    """One record for the broker, due `at_s` seconds of event time after the beginning."""

    at_s: float
    topic: str
    partition: int
    value: bytes | None
    headers: Headers = ()
    good: int = 0
    bad: int = 0
    late: int = 0
    """rows in it, by their fate; a record of which nothing can be read is one bad row"""


class Workload:
    """Seeded. `changes` first, then `data`, then `actions` once everything of `data` has been decided."""

    def __init__(self, seed: int, settings: Settings, seconds: int = 300) -> None:
        self.seed, self.seconds, self._settings = seed, seconds, settings
        names = {topic.format: topic.name for topic in settings.topics.inputs}
        self._lines, self._changes, self._actions = names["tocsin"], names["changes"], names["actions"]
        dice = random.Random(seed)
        first = dice.randrange(seconds * 3 // 10, seconds * 4 // 10)
        second = dice.randrange(seconds * 6 // 10, seconds * 7 // 10)
        length = seconds // 8
        self._faults = (
            ("payment", "checkout", "latency_ms", 8.0, first, first + length),
            ("inventory", "catalogue", "error_ratio", 120.0, second, second + length),
        )
        self.changes = [self._change(second - 5)]
        self.data = list(self._data(dice))
        self.actions: list[Fed] = []
        self.decided: set[tuple[str, int]] = set()
        """incident versions the data alone give; actions are sent only after all of them"""
        self.expected = self._reference()
        """what an undisturbed pipeline leaves on the topics"""

    def count(self, fate: str) -> int:
        """Rows of the data with this fate: good, bad or late."""
        return sum(getattr(record, fate) for record in self.data)

    # -- records ---------------------------------------------------------------------------------

    def _change(self, second: int) -> Fed:
        value = {
            "ts": BEGIN_MS + second * 1_000,
            "service": "inventory",
            "version": "2.4.0",
            "id": f"change-{self.seed}",
        }
        return Fed(0.0, self._changes, 0, json.dumps(value).encode(), _now(value["ts"]))

    def _data(self, dice: random.Random) -> Iterator[Fed]:
        epoch = f"chaos-{self.seed}"
        for partition in range(SOURCES):
            yield Fed(0.0, self._lines, partition, None, control("begin", epoch, BEGIN_MS))
        for second in range(self.seconds):
            for partition in range(SOURCES):
                lines = list(self._rows(dice, second, partition))
                ts = BEGIN_MS + second * 1_000
                yield Fed(second, self._lines, partition, b"\n".join(lines), _now(ts + 999), len(lines))
            # Not near the end: late rows are reported when their window of ten seconds is over.
            if 30 < second < self.seconds - 25 and dice.random() < 0.15:
                yield self._odd(dice, second)
        for partition in range(SOURCES):
            yield Fed(self.seconds, self._lines, partition, None, control("end", epoch, BEGIN_MS))

    def _rows(self, dice: random.Random, second: int, partition: int) -> Iterator[bytes]:
        for number, service in enumerate(SERVICES):
            if number % SOURCES != partition:
                continue
            ts = BEGIN_MS + second * 1_000 + 37 * number
            for metric, (level, spread) in QUIET.items():
                value = abs(dice.gauss(level, spread))
                for culprit, caller, which, times, begin, end in self._faults:
                    delay = {culprit: 0, caller: 3}.get(service)
                    if delay is not None and which == metric and begin + delay <= second < end:
                        value *= times if service == culprit else times / 2
                yield _line(ts, service, metric, value)
            if dice.random() < 0.5:
                body = f"request {dice.randrange(1 << 30)} served in {dice.randrange(90, 150)} ms"
                yield _log(ts + 1, service, "INFO", body)
            if service == "inventory" and self._faults[1][4] <= second < self._faults[1][5]:
                body = f"stock lookup failed for item {dice.randrange(1000)}: no such column reserved_qty"
                yield _log(ts + 2, service, "ERROR", body)

    def _odd(self, dice: random.Random, second: int) -> Fed:
        """A record that cannot be used as it is: bad bytes, bad rows, or rows that come too late."""
        ts, partition = BEGIN_MS + second * 1_000, dice.randrange(SOURCES)
        good = _line(ts + 5, "gateway", f"odd_{second}", 1.0)
        late = _line(ts - LATE_BY_MS, "cart", f"late_{second}", 2.0)
        value, fates = dice.choice(
            (
                (b"\xff\xfe" + dice.randbytes(20), (0, 1, 0)),
                (b'{"nonsense": %d}' % dice.randrange(1 << 30), (0, 1, 0)),
                (b"[" * 60 + str(second).encode(), (0, 1, 0)),
                (good + b"\n" + _line(ts + 900_000, "gateway", "future", second), (1, 1, 0)),
                (good + b"\n" + _line(ts - 8 * 86_400_000, "gateway", "ancient", second), (1, 1, 0)),
                (late, (0, 0, 1)),
                (good + b"\n" + late, (1, 0, 1)),
            )
        )
        return Fed(second + 0.5, self._lines, partition, value, _now(ts + 999), *fates)

    # -- what must come of them ------------------------------------------------------------------

    def _reference(self) -> Findings:
        """The same records through the stages in memory; adds an action on each incident at the end."""
        outputs: list[Output] = []
        inputs = [(topic.name, p) for topic in self._settings.topics.inputs for p in range(topic.partitions)]
        pipeline = LocalPipeline(self._settings, inputs, outputs.append, EDGES)
        offsets = dict.fromkeys(inputs, 0)

        def feed(record: Fed) -> None:
            home = (record.topic, record.partition)
            pipeline.feed([Record(*home, offsets[home], 0, None, record.value, record.headers)])
            offsets[home] += 1

        for record in self.changes + self.data:
            feed(record)
        after = BEGIN_MS + (self.seconds + 60) * 1_000
        self.decided = set(findings_of(self._settings, outputs).incidents)
        incidents = sorted({key for key, _ in self.decided})
        for number, incident in enumerate(incidents):
            said = {
                "id": f"{self.seed}-{number}",
                "ts": after + number,
                "incident": incident,
                "action": "acknowledge",
                "actor": "kim",
            }
            self.actions.append(Fed(0.0, self._actions, 0, json.dumps(said).encode(), _now(after)))
        for record in self.actions:
            feed(record)
        found = findings_of(self._settings, outputs)
        assert incidents, "a workload without an incident proves nothing"
        assert len(found.rows_of_others()) == self.count("good"), "the reference itself loses rows"
        assert found.late == self.count("late")
        return found


def _now(ts: int) -> Headers:
    return (("tocsin-now", str(ts).encode()),)


def _line(ts: int, service: str, metric: str, value: float) -> bytes:
    return json.dumps({"ts": ts, "service": service, "metric": metric, "value": value}).encode()


def _log(ts: int, service: str, severity: str, body: str) -> bytes:
    return json.dumps({"ts": ts, "service": service, "severity": severity, "body": body}).encode()
