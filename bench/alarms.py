"""Grouping of alerts that other systems raise: attack phases (ait_ads) and network alarms (telecom_alarms).

    python -m bench.alarms [--set ait_ads] [--set telecom_alarms] [--json]

Each raw alert is one notification of an external system, as an alert receiver would send it, through the
correlator with its shipped settings; only `external_ttl_ms` is set to five minutes, which is what one
configures for senders that never say that an alert is over (network alarms say so). A raw alert is in the
incident that holds the episode it belongs to, or the one that speaks for it while its series flaps; what
never became an incident is a group of its own. Beside it plain sessions: a new group after a gap in time.

ait_ads: the host is the service. A phase is what the set's `time_label` says. Completeness and purity: see
`bench/partitions.py`. The set's authors first group alerts that follow each other within delta = 2 seconds
(the row "time, gap 2 s") and then fold groups that look alike into 42 meta-alerts; that second step says what
kinds of groups there are, not which alerts belong together, and is not run here.

telecom_alarms: the device is the service, its links are calls both ways. No alarm says what caused it, so
the reference is drawn from the published graph of causes: an alarm belongs to the newest earlier alarm, up
to a reach before, on the same or a linked device, whose type is the same or causes its type. Adjusted mutual
information with these families for reaches of 1, 5 and 15 minutes (the last is how long Tocsin lets a series
reopen an incident). A session by device is close to this reference by construction.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.common import ROOT, print_json
from bench.partitions import attack, mutual
from config.catalogue import Catalogue
from config.settings import Correlate, Settings
from config.suppression import Flap
from correlator.domain import DomainCore
from correlator.incident import Incident
from correlator.suppression import Suppression
from detectors.alert import Alert
from streams.records.digest import digest_hex
from streams.records.messages import ExternalAlert, OutsideTime
from streams.records.stage import Record

TTL_MS = 300_000
REACHES_MS = (60_000, 300_000, 900_000)
QUIET = "false_positive"
CHUNK = 1_000


class Raised(NamedTuple):
    """One raw alert. Times in ms; `end_ms` None when its sender never says so."""

    at_ms: int
    end_ms: int | None
    service: str
    name: str


class _Envelope(msgspec.Struct):
    data: Incident


def incidents(raised: Sequence[Raised], edges: Sequence[tuple[str, str]], flap: bool) -> list[Hashable]:
    """The incident of each raw alert, in order; a number of its own where there is none."""
    settings = Settings(correlate=Correlate(external_ttl_ms=TTL_MS, flap=Flap(enabled=flap)))
    core = DomainCore(settings, Catalogue(calls=edges))
    episodes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    newest: dict[bytes, bytes] = {}
    speakers: dict[str, str] = {}
    batch: list[Record] = []
    for offset, message in enumerate(_said(raised)):
        batch.append(Record(settings.topics.alerts, 0, offset, 0, None, msgspec.json.encode(message)))
        if len(batch) < CHUNK and not isinstance(message, OutsideTime):
            continue
        for output in core.process(batch):
            if output.topic == settings.topics.incidents and output.key and output.value:
                newest[output.key] = output.value
            elif output.topic == settings.topics.alerts and output.value:
                alert = msgspec.json.decode(output.value, type=Alert)
                if alert.version == 1:
                    episodes[alert.fingerprint].append((alert.started_at, alert.id))
            elif output.topic == settings.topics.suppressions and output.value:
                held = msgspec.json.decode(output.value, type=Suppression)
                speakers[held.alert] = held.by
        batch = []
    last = [msgspec.json.decode(value, type=_Envelope).data for value in newest.values()]
    home = {id: one.id for one in last if one.state != "merged" for id in one.alerts}
    found: list[Hashable] = []
    for number, one in enumerate(raised):
        begun = episodes[_key(one)]
        _, alert_id = begun[bisect_right(begun, one.at_ms, key=lambda episode: episode[0]) - 1]
        found.append(home.get(alert_id) or home.get(speakers.get(alert_id, ""), number))
    return found


def _key(one: Raised) -> str:
    return digest_hex("external", one.service, one.name)


def _said(raised: Sequence[Raised]) -> Iterator[ExternalAlert | OutsideTime]:
    """All that is said of them, in order of time, after marks that say that there is no telemetry."""
    first, last = raised[0].at_ms, max(one.end_ms or one.at_ms for one in raised)
    yield OutsideTime(first - 120_000)
    yield OutsideTime(first - 60_000)
    ends = [(one.end_ms, 1, one) for one in raised if one.end_ms is not None]
    for at_ms, over, one in sorted([*((one.at_ms, 0, one) for one in raised), *ends]):
        yield ExternalAlert(
            id=_key(one), source="alertmanager", state="resolved" if over else "firing", seen_at=at_ms,
            service=one.service, name=one.name, summary=one.name, ended_at=at_ms if over else None,
        )  # fmt: skip
    yield OutsideTime(last + 86_400_000)


def sessions(raised: Sequence[Raised], gap_ms: int, by_service: bool) -> list[Hashable]:
    """Plain grouping: a new group after a gap in time, of all alerts or of those of a service."""
    newest: dict[str, tuple[int, int]] = {}
    found: list[Hashable] = []
    for number, one in enumerate(raised):
        key = one.service if by_service else ""
        at_ms, group = newest.get(key, (-gap_ms - 1, number))
        group = number if one.at_ms - at_ms > gap_ms else group
        newest[key] = (one.at_ms, group)
        found.append(group)
    return found


def families(
    raised: Sequence[Raised], causes: set[tuple[str, str]], links: dict[str, set[str]], reach_ms: int
) -> list[Hashable]:
    """Alarms with the one that set them off, by the graph of causes."""
    newest: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    found: list[Hashable] = []
    for number, one in enumerate(raised):
        near = [one.service, *links.get(one.service, ())]
        earlier = [
            seen
            for device in near
            for name, seen in newest[device].items()
            if seen[0] >= one.at_ms - reach_ms and (name == one.name or (name, one.name) in causes)
        ]
        family = found[max(earlier)[1]] if earlier else number
        found.append(family)
        newest[one.service][one.name] = (one.at_ms, number)
    return found


def measured(
    raised: Sequence[Raised], edges: Sequence[tuple[str, str]], gaps_ms: Sequence[int]
) -> Iterator[tuple[str, list[Hashable]]]:
    """Groups by way of grouping."""
    yield "tocsin", incidents(raised, edges, flap=True)
    yield "tocsin, flap off", incidents(raised, edges, flap=False)
    for name, by_service in (("time", False), ("service", True)):
        for gap in gaps_ms:
            yield f"{name}, gap {gap // 1000} s", sessions(raised, gap, by_service)


def ait_ads(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of figures, scenario by scenario."""
    table = pq.read_table(folder / "alerts.parquet").sort_by([("scenario", "ascending"), ("ts", "ascending")])
    scenarios: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        scenarios[row["scenario"]].append(row)
    for scenario, rows in scenarios.items():
        raised = [Raised(row["ts"], None, row["host"], row["name"]) for row in rows]
        phases = [row["time_label"] for row in rows]
        for way, groups in measured(raised, (), (2_000, 300_000)):
            found = attack(groups, phases, QUIET)._asdict()
            yield {"set": scenario, "alerts": len(rows), "grouping": way, **found}


def telecom(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of figures, network by network."""
    for network in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows = pq.read_table(network / "alarms.parquet").sort_by([("start_ms", "ascending")]).to_pylist()
        raised = [Raised(r["start_ms"], r["end_ms"], f"d{r['device']}", f"alarm {r['alarm']}") for r in rows]
        truth = json.loads((network / "truth.json").read_text())
        causes = {(f"alarm {a}", f"alarm {b}") for a, b in truth["edges"]}
        edges = [(f"d{a}", f"d{b}") for a, b in json.loads((network / "topology.json").read_text())]
        edges += [(b, a) for a, b in edges]
        links: dict[str, set[str]] = defaultdict(set)
        for a, b in edges:
            links[a].add(b)
        true = {reach: families(raised, causes, links, reach) for reach in REACHES_MS}
        for way, groups in measured(raised, edges, REACHES_MS):
            agreed = {f"AMI {reach // 1000} s": mutual(groups, true[reach]) for reach in REACHES_MS}
            yield {
                "set": network.name,
                "alerts": len(rows),
                "grouping": way,
                "groups": len(set(groups)),
                **agreed,
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("TOCSIN_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=home, help="folder of the data sets (or TOCSIN_DATA)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--set", choices=("ait_ads", "telecom_alarms"), action="append")
    options = parser.parse_args()
    console = Console()
    figures: list[dict[str, Any]] = []
    begun = time.process_time()
    for name, rows in (("ait_ads", ait_ads), ("telecom_alarms", telecom)):
        if options.set and name not in options.set:
            continue
        folder = options.data / name
        if not folder.is_dir():
            console.print(f"{name}: skipped, {folder} is absent", highlight=False)
            continue
        table, columns = Table(title=name, title_justify="left"), None
        for row in rows(folder):
            figures.append(row)
            if columns is None:
                columns = list(row)
                for column in columns:
                    table.add_column(column, justify="left" if column in ("set", "grouping") else "right")
            table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
        console.print(table)
    print(f"{time.process_time() - begun:.0f} s of processor time")
    if options.json:
        print_json(figures)


if __name__ == "__main__":
    main()
