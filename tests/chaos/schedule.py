"""Which faults a run suffers, and when: a function of its seed alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = (
    "kill",
    "term",
    "pause",
    "sleep",
    "join",
    "leave",
    "skew",
    "partition",
    "clickhouse",
    "broker",
    "disk",
)
"""what `--faults` may name"""

SESSION_S = 6.0
"""of the workers' consumer groups"""

NETWORK = ("refuse", "blackhole", "deaf", "slow", "cut")
SKEWS = (-7_200.0, -90.0, -5.0, 5.0, 90.0, 7_200.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: begins when this share of the data has been sent, lasts `seconds` of wall time."""

    kind: str
    at: float
    seconds: float
    worker: int
    how: str = ""
    """the variant: a proxy's mode, kill or restart or pause of a service, seconds of skew"""

    def __str__(self) -> str:
        how = f" {self.how}" if self.how else ""
        on = f" w{self.worker}" if self.kind not in ("broker", "clickhouse", "disk", "join") else ""
        return f"{self.kind}{how}{on} at {self.at:.0%} for {self.seconds:.1f}s"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: workers by the stages each has, and faults in the order of their beginning."""

    seed: int
    layout: tuple[str, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{len(self.layout)} workers ({'; '.join(self.layout)}): " + ", ".join(map(str, self.faults))


ALL = "ingest,detect,correlate,respond,sink"
LAYOUTS: tuple[tuple[str, ...], ...] = (
    (ALL,),
    (ALL, ALL),
    (ALL, ALL),
    (ALL, ALL, ALL),
    ("ingest,detect", "correlate,sink"),
    ("ingest", "detect", "correlate,sink"),
    ("ingest,detect", "ingest,detect", "correlate,sink"),
)


def plan(seed: int, broker: str, kinds: Sequence[str] = KINDS, count: int | None = None) -> Plan:
    """The run of a seed. Two or three faults, unless `count` says otherwise."""
    dice = random.Random(f"{seed}/{broker}")
    layout = dice.choice(LAYOUTS)
    number = count or dice.choice((2, 2, 3))
    # Not at the beginning: detectors have learned and state is worth losing; not at the end: data must flow.
    places = sorted(dice.uniform(0.12, 0.78) for _ in range(number))
    faults = tuple(_fault(dice, dice.choice(tuple(kinds)), at, len(layout), broker) for at in places)
    return Plan(seed, layout, faults)


def _fault(dice: random.Random, kind: str, at: float, workers: int, broker: str) -> Fault:
    worker = dice.randrange(workers)
    if kind == "pause":
        return Fault(kind, at, dice.uniform(0.5, 3.5), worker)
    if kind == "sleep":
        return Fault(kind, at, SESSION_S + dice.uniform(1.5, 4.0), worker)
    if kind == "skew":
        return Fault(kind, at, 0.5, worker, f"{dice.choice(SKEWS):+.0f}")
    if kind == "partition":
        return Fault(kind, at, dice.uniform(1.0, 10.0), worker, dice.choice(NETWORK))
    if kind == "clickhouse":
        how = dice.choice((*NETWORK, "kill", "freeze"))
        return Fault(kind, at, dice.uniform(1.0, 6.0), worker, how)
    if kind == "broker":
        how = dice.choice(("kill", "kill", "restart", "freeze")) if broker == "kafka" else "freeze"
        return Fault(kind, at, dice.uniform(0.5, 8.0), worker, how)
    if kind == "disk":
        how = dice.choice(("kafka", "clickhouse")) if broker == "kafka" else "clickhouse"
        return Fault(kind, at, dice.uniform(1.0, 4.0), worker, how)
    return Fault(kind, at, dice.uniform(0.0, 3.0), worker)


def outage(seed: int, broker: str, what: str, seconds: float) -> Plan:
    """Two workers, and one service that is away for so long while data wait to flow."""
    how = "freeze" if what == "broker" and broker == "embedded" else "kill"
    return Plan(seed, (ALL, ALL), (Fault(what, 0.4, seconds, 0, how),))
