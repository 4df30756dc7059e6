"""Incidents of `tocsin backtest` on public fault data: each fault told once, nothing else, who is to blame.

    python -m bench.incidents [--set nezha_ob ...] [--config FILE] [--list] [--json OUT]

The live pipeline reads the raw telemetry of every run and is told nothing else; truth is read here and
only here, after the run. A run that names a baseline (`baseline_run`) gets that as its history, as with
`tocsin backtest --history`; what is over before the run begins is not counted. What is counted:

- a fault is there from its start to its end and `GRACE_MS` more: labels are exact to about a minute, and
  what comes a minute apart is seen in the sample after;
- an incident is there from `started_at` (its first anomalous sample) to `resolved_at`, or to the end of the
  run. One that was reopened has several episodes, each from the sample that reopened it to its resolve; one
  merged into another is part of that other;
- an episode belongs to one fault: of those it overlaps, the one whose start is nearest to its own. So an
  incident that lasts over two faults without a pause is that of the first, and the second has none of its
  own; one that was reopened for the second counts there, too, as people are told again;
- *one*, *none*, *several*: faults by the number of incidents that belong to them; *seen once*: faults that
  exactly one incident overlaps, whomever it belongs to;
- *stray*: an incident that overlaps no fault. Faults of a run that were left out of this part of the data
  are not known here: their incidents are strays;
- *first hint*, *first three*: share of all faults for whose first incident (by start) the true service is
  the first hint, or among the first three, in the last version; a fault without an incident counts as wrong;
- *s to incident*: from the fault's start to when its first incident was opened or reopened, at least 0.

A data set that is absent is skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from cli.backtest import Findings, run_backtest
from cli.dataset import DataSet, load
from cli.timeline import Timeline
from config.load import load as load_settings
from config.settings import Settings
from correlator.hints import RANKERS
from correlator.incident import Incident
from correlator.suspect import clock

SETS = ("nezha_ob", "nezha_tt", "petshop")
GRACE_MS = 120_000
PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to whom, and when."""

    id: str
    run: str
    service: str
    kind: str
    start_ms: int
    end_ms: int

    def overlaps(self, begin_ms: int, end_ms: int) -> bool:
        return begin_ms <= self.end_ms + GRACE_MS and end_ms >= self.start_ms


class Episode(NamedTuple):
    """An incident from its start, or from a reopening, to its resolve."""

    incident: Incident
    begin_ms: int
    end_ms: int
    told_ms: int
    """when people were told: opened or reopened"""


@dataclass(slots=True)
class Told:
    """A fault and what was said of it."""

    fault: Fault
    episodes: list[Episode] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """ids of the incidents that overlap it, whomever they belong to"""

    @property
    def incidents(self) -> list[Incident]:
        """Those it has, each once, by start."""
        return list({e.incident.id: e.incident for e in self.episodes}.values())

    @property
    def place(self) -> int | None:
        """Of the true service among the hints of its first incident, from 0."""
        if not self.episodes:
            return None
        named = [hint.service for hint in self.episodes[0].incident.hints]
        return named.index(self.fault.service) if self.fault.service in named else None

    @property
    def delay_s(self) -> float | None:
        if not self.episodes:
            return None
        return max(0.0, (self.episodes[0].told_ms - self.fault.start_ms) / 1000)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one data set; shares are of all its faults."""

    data: str
    faults: int
    one: int
    none: int
    several: int
    seen_once: int
    incidents: int
    stray: int
    first_hint: float
    first_three: float
    median_s: float | None
    p90_s: float | None
    seconds: float


def truth(folder: Path) -> tuple[list[Fault], dict[str, str]]:
    """Faults, and the baseline of each run that names one."""
    faults, baselines = [], {}
    for row in json.loads((folder / "truth.json").read_text()):
        kind = row.get("fault_type") or ""
        faults.append(Fault(row["id"], row["run"], row["service"], kind, row["start_ms"], row["end_ms"]))
        if row.get("baseline_run"):
            baselines[row["run"]] = row["baseline_run"]
    return faults, baselines


def episodes(incident: Incident, last_ms: int) -> list[Episode]:
    """When it was there, by its timeline."""
    starts = {member.alert_id: member.started_at for member in incident.members}
    found: list[Episode] = []
    begin, told, running = incident.started_at, incident.opened_at, True
    for entry in incident.timeline:
        if entry.kind != "state":
            continue
        if entry.text.startswith("reopened"):
            begin, told, running = starts.get(entry.ref, entry.at_ms), entry.at_ms, True
        elif entry.text.startswith("resolved") and running:
            # The resolve is that of its last alert, some time before it is said.
            over = [m.resolved_at for m in incident.members if m.resolved_at and m.resolved_at <= entry.at_ms]
            found.append(Episode(incident, begin, max(over, default=entry.at_ms), told))
            running = False
    if running:
        found.append(Episode(incident, begin, last_ms, told))
    return found


def match(
    faults: Sequence[Fault], incidents: Sequence[Incident], last_ms: int
) -> tuple[list[Told], list[Incident]]:
    """Incidents of one run to its faults, by the rules above; and those that overlap none."""
    told = [Told(fault) for fault in sorted(faults, key=lambda f: (f.start_ms, f.id))]
    stray = []
    for incident in sorted(incidents, key=lambda i: (i.started_at, i.id)):
        if incident.merged_into:
            continue
        lonely = True
        for episode in episodes(incident, last_ms):
            near = [one for one in told if one.fault.overlaps(episode.begin_ms, episode.end_ms)]
            for one in near:
                one.seen.add(incident.id)
            if near:
                lonely = False
                of = min(near, key=lambda one: abs(one.fault.start_ms - episode.begin_ms))
                of.episodes.append(episode)
        if lonely:
            stray.append(incident)
    for one in told:
        one.episodes.sort(key=lambda e: (e.begin_ms, e.incident.id))
    return told, stray


def measure(
    folder: Path, settings: Settings, console: Console, listing: bool
) -> tuple[Figures, list[dict[str, Any]]]:
    """Run a data set and count."""
    data: DataSet = load(folder)
    faults, baselines = truth(folder)
    runs = sorted({fault.run for fault in faults})
    begun = time.perf_counter()
    told: list[Told] = []
    stray: list[Incident] = []
    cases = []
    for run in runs:
        found = run_backtest(data, run, settings, PAGE, history=baselines.get(run, ""))
        last_ms = Timeline(data, run).span.end_ms
        of_run = [fault for fault in faults if fault.run == run]
        matched, unmatched = match(of_run, list(found.incidents.values()), last_ms)
        told += matched
        stray += unmatched
        if listing:
            show(console, run, matched, unmatched, found)
        cases += [
            {
                "fault": one.fault.id,
                "incidents": [incident.id for incident in one.incidents],
                "place": one.place,
                "delay_s": one.delay_s,
            }
            for one in matched
        ]
    delays = [one.delay_s for one in told if one.delay_s is not None]
    counts = [len(one.incidents) for one in told]
    figures = Figures(
        folder.name,
        len(told),
        counts.count(1),
        counts.count(0),
        sum(n > 1 for n in counts),
        sum(len(one.seen) == 1 for one in told),
        sum(counts) + len(stray),
        len(stray),
        sum(one.place == 0 for one in told) / len(told),
        sum(one.place is not None and one.place < 3 for one in told) / len(told),
        float(np.median(delays)) if delays else None,
        float(np.quantile(delays, 0.9)) if delays else None,
        time.perf_counter() - begun,
    )
    return figures, cases


def show(
    console: Console, run: str, told: Sequence[Told], stray: Sequence[Incident], found: Findings
) -> None:
    """Every fault with its incidents and the alerts that are in none, and every stray."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    outside = defaultdict(list)
    inside = {id for incident in found.incidents.values() for id in incident.alerts}
    for alert in sorted(found.alerts.values(), key=lambda a: (a.started_at, a.id)):
        if alert.id not in inside:
            fault = next(
                (
                    o.fault.id
                    for o in told
                    if o.fault.start_ms <= alert.started_at <= o.fault.end_ms + GRACE_MS
                ),
                "",
            )
            outside[fault].append(alert)
    say(f"\nrun {run}")
    for one in told:
        f = one.fault
        place = "none" if one.place is None else str(one.place + 1)
        late = "" if one.delay_s is None else f", told after {one.delay_s:.0f} s"
        say(
            f"\n{f.id} {f.kind} of {f.service}, {clock(f.start_ms)} to {clock(f.end_ms)}:"
            f" {len(one.incidents)} incident(s), hint {place}{late}"
        )
        for incident in one.incidents:
            _incident(say, incident)
        for alert in outside[f.id]:
            say(
                f"    in no incident: {alert.severity} {alert.service}: {alert.summary},"
                f" told {clock(alert.detected_at)}"
            )
    for incident in stray:
        say("\nstray")
        _incident(say, incident)


def _incident(say: Any, incident: Incident) -> None:
    over = "open" if incident.resolved_at is None else clock(incident.resolved_at)
    hints = ", ".join(f"{h.service} {h.confidence:.2f}" for h in incident.hints) or "no hint"
    say(
        f"  {incident.id[:8]} {clock(incident.started_at)} to {over},"
        f" opened {clock(incident.opened_at)}: {hints}"
    )
    for entry in incident.timeline:
        if entry.kind == "state":
            say(f"    {clock(entry.at_ms)} {entry.text}")
    for member in incident.members:
        why = " ".join(f"{r.name} {r.weight:.2f}" for r in member.reasons)
        say(
            f"    {member.severity} {member.service}: {member.summary}; told {clock(member.detected_at)}"
            f", strength {member.strength:.0f} [{why}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=home, help="folder of the data sets (or TOCSIN_DATA)")
    parser.add_argument("--set", action="append", choices=SETS, help="only this one (may be repeated)")
    parser.add_argument("--config", type=Path, help="configuration file; default settings without")
    parser.add_argument("--list", action="store_true", help="every fault and stray, with their alerts")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--without", action="append", default=[], choices=[r.name for r in RANKERS], help="leave out a ranker"
    )
    options = parser.parse_args()
    for ranker in RANKERS:
        if ranker.name in options.without:
            type(ranker).look = lambda self, field: None  # type: ignore[method-assign]
    console = Console()
    settings = load_settings(options.config) if options.config else Settings()
    table = Table(
        *("data", "faults", "one", "none", "several", "seen once", "incidents", "stray"),
        *("first hint", "first three", "median s", "p90 s", "run s"),
    )
    results = []
    for name in options.set or SETS:
        folder = options.data / name
        if not (folder / "truth.json").exists():
            console.print(f"{name}: skipped, {folder} holds no truth.json", highlight=False)
            continue
        figures, cases = measure(folder, settings, console, options.list)
        results.append({**asdict(figures), "cases": cases})
        counts = (figures.faults, figures.one, figures.none, figures.several, figures.seen_once)
        late = ("" if x is None else f"{x:.0f}" for x in (figures.median_s, figures.p90_s))
        table.add_row(
            name,
            *map(str, counts),
            str(figures.incidents),
            str(figures.stray),
            f"{figures.first_hint:.3f}",
            f"{figures.first_three:.3f}",
            *late,
            f"{figures.seconds:.1f}",
        )
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
