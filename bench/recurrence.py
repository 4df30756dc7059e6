"""Incidents that come back: how often the past is found again when some of its alerts are missing.

    python -m bench.recurrence [--data FOLDER] [--storm ALERTS] [--json]

What a data set's shards say (`tocsin backtest`, default settings) goes through the correlator once, and again
in each of `RETURNS` following weeks, each time without a random part of the series. The *counterpart* of an
incident of a later week is the incident of the first week that holds most of its alerts. What is counted:

- *named*: the counterpart, or what it was in another week, is among the similar incidents; *first*: it leads;
- *else*: something else leads them; *nothing*: no incident is named;
- *same signature* as the counterpart's: by that problems are counted.

No labels of faults are used. Two faults that look alike in their alerts count as *else*, though they may well
have one cause.

With `--storm`: what the past costs. The storm of `bench.correlate` comes again each week, over all that it
has left behind; CPU time spent on symptoms, similar incidents, signatures and problems, as a share of all.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.common import print_json
from bench.rootcause import sets_in, settings_home
from bench.storm import alerts, estate, log
from cli.backtest import Findings, run_backtest
from cli.dataset import load
from config.settings import Settings
from correlator.domain import DomainCore
from correlator.incident import Incident
from detectors.alert import Alert
from streams.records.messages import Change, Edges, ShardWatermark
from streams.records.stage import Output, Record

SETS = ("nezha_ob", "nezha_tt", "rootcausebench")
RETURNS = 3
WEEK_MS = 7 * 86_400_000
MISSING = (0.0, 0.2, 0.4)
Message = Alert | Edges | ShardWatermark | Change
_decoder = msgspec.json.Decoder(Message)


@dataclass(frozen=True, slots=True)
class Result:
    data: str
    missing: float
    """part of the series that is missing each week"""
    incidents: int
    """of later weeks, with a counterpart"""
    named: float
    first: float
    other: float
    nothing: float
    signature: float


class _Said(Findings):
    """What the shards say to the correlator, in order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.said: list[Message] = []

    def take(self, output: Output) -> None:
        if output.topic == "tocsin.alerts" and output.value:
            self.said.append(_decoder.decode(output.value))


def in_week(said: Sequence[Message], week: int, missing: float) -> Iterator[Message]:
    """The same some weeks later, without some of the series; at the end everything comes to rest."""
    series = sorted({m.fingerprint for m in said if isinstance(m, Alert)})
    gone = set(random.Random(week).sample(series, int(missing * len(series)))) if week else set()
    by, end, shards = week * WEEK_MS, 0, 1
    for message in said:
        if isinstance(message, Alert):
            if message.fingerprint not in gone:
                moved = {
                    name: at + by
                    for name in ("started_at", "detected_at", "last_seen_at", "resolved_at")
                    if (at := getattr(message, name)) is not None
                }
                yield msgspec.structs.replace(message, id=f"{week}/{message.id}", **moved)
        elif isinstance(message, Change):
            yield msgspec.structs.replace(message, id=f"{week}/{message.id}", ts=message.ts + by)
        else:
            end = max(end, message.at_ms)
            shards = message.shards if isinstance(message, ShardWatermark) else shards
            yield msgspec.structs.replace(message, at_ms=message.at_ms + by)
    for shard in range(shards):
        yield ShardWatermark(shard, shards, end + by + 8 * 3_600_000)


def played(said: Sequence[Message], edges: Sequence[tuple[str, str]], missing: float) -> list[Incident]:
    core = DomainCore(Settings(), list(edges))
    messages = [m for week in range(RETURNS + 1) for m in in_week(said, week, missing)]
    newest: dict[str, Incident] = {}
    for offset, message in enumerate(messages):
        for output in core.process(
            [Record("tocsin.alerts", 0, offset, 0, None, msgspec.json.encode(message))]
        ):
            if output.topic == "tocsin.incidents" and output.value:
                found = msgspec.json.decode(output.value, type=_Event).data
                newest[found.id] = found
    return sorted(newest.values(), key=lambda i: (i.started_at, i.id))


class _Event(msgspec.Struct):
    data: Incident


def counterparts(incidents: Sequence[Incident]) -> dict[str, str]:
    """Incident -> incident of the first week that holds most of its alerts, itself in that week."""
    home = {a.partition("/")[2]: i.id for i in incidents for a in i.alerts if a.startswith("0/")}
    found = {}
    for incident in incidents:
        shared = Counter(home[name] for a in incident.alerts if (name := a.partition("/")[2]) in home)
        if shared and incident.state != "merged":
            found[incident.id] = min(shared, key=lambda id: (-shared[id], id))
    return found


def measure(name: str, folder: Path) -> Iterator[Result]:
    data, settings = load(folder), Settings()
    told = []
    for run in data.runs:
        found = _Said(settings)
        run_backtest(data, run, settings, 10_000, findings=found)
        told.append((found.said, data.edges(run)))
    for missing in MISSING:
        counts: Counter[str] = Counter()
        for said, edges in told:
            incidents = played(said, edges, missing)
            twin, by_id = counterparts(incidents), {i.id: i for i in incidents}
            for incident in incidents:
                right = twin.get(incident.id)
                if right is None or any(a.startswith("0/") for a in incident.alerts):
                    continue
                alike = [twin.get(s.id) == right for s in incident.similar]
                counts["all"] += 1
                counts["named"] += any(alike)
                counts["first"] += alike[:1] == [True]
                counts["other"] += alike[:1] == [False]
                counts["nothing"] += not alike
                counts["signature"] += incident.signature == by_id[right].signature
        rates = {key: counts[key] / max(1, counts["all"]) for key in Result.__slots__[3:]}
        yield Result(name, missing, counts["all"], **rates)


def cost(count: int) -> dict[str, float]:
    """Share of the CPU time of a storm's return that the past takes, without the first call's imports."""
    land = estate(2_000)
    said: list[Message] = [_decoder.decode(r.value or b"") for r in log(alerts(land, count, 4_000))]
    core = DomainCore(Settings(), land.edges)
    spent = 0.0

    def timed(do: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            nonlocal spent
            begun = time.process_time()
            found = do(*arguments)
            spent += time.process_time() - begun
            return found

        return measured

    past = core.engine.state.knowledge
    for name in ("recall", "sign", "closed"):
        setattr(past, name, timed(getattr(past, name)))
    shares, offset = [], 0
    for week in range(RETURNS + 2):
        batch = [
            Record("tocsin.alerts", 0, offset + n, 0, None, msgspec.json.encode(message))
            for n, message in enumerate(in_week(said, week, 0.0))
        ]
        offset += len(batch)
        spent, begun = 0.0, time.process_time()
        core.process(batch)
        shares.append(spent / (time.process_time() - begun))
    return {"alerts": count, "past_incidents": len(past.book), "share": sum(shares[2:]) / len(shares[2:])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=settings_home(), help="folder of the data sets")
    parser.add_argument("--storm", type=int, default=0, metavar="ALERTS", help="the cost, not the quality")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.storm:
        found = cost(options.storm)
        print_json(found) if options.json else print(
            "{alerts} alerts a week: {share:.1%} of CPU".format(**found)
        )
        return
    results = [r for name, folder in sets_in(options.data, SETS) for r in measure(name, folder)]
    if options.json:
        print_json([asdict(r) for r in results])
        return
    table = Table("data", "missing", "incidents", "named", "first", "else", "nothing", "same signature")
    for r in results:
        rates = (f"{x:.2f}" for x in (r.named, r.first, r.other, r.nothing, r.signature))
        table.add_row(r.data, f"{r.missing:.0%}", str(r.incidents), *rates)
    Console().print(table)


if __name__ == "__main__":
    main()
