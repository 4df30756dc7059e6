"""A catalogue of ten thousand services: how long it takes to read, and what the graph costs.

    python -m bench.topology [--services 10000] [--json]

The estate: applications of fifty services, each calling three others of its application, with owners, labels,
runbooks and business data; a few cycles come by themselves. Read strictly from one YAML file. Learned: every
call in buckets of ten seconds, from traces and from metrics. `json` is the same data through `json.loads`,
which tells how fast the machine is at this moment; times are CPU time of the one process.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.common import print_json
from config.catalogue import Catalogue, cycles
from config.catalogue_files import read
from config.settings import Settings
from correlator.directory import Directory
from correlator.domain import DomainCore
from correlator.topology import Topology
from detectors.alert import Alert, alert_id
from streams.records.messages import METRICS, TRACES, Edge, Edges, ShardWatermark
from streams.records.stage import Record

APPLICATION = 50
CALLS = 3
BUCKETS = 20
T0 = 1_700_000_040_000


def estate(services: int) -> list[dict[str, object]]:
    """Entries as a catalogue file has them."""
    dice = random.Random(1)
    found: list[dict[str, object]] = []
    for n in range(services):
        first = n // APPLICATION * APPLICATION
        others = [first + dice.randrange(APPLICATION) for _ in range(CALLS)]
        found.append(
            {
                "service": f"service-{n}",
                "name": f"Service {n}",
                "aliases": [f"svc-{n}"],
                "owner": f"team-{n % 97}",
                "tier": n % 4 + 1,
                "depends_on": sorted({f"service-{o}" for o in others if o != n}),
                "application": f"app-{n // APPLICATION}",
                "labels": {"zone": f"z{n % 3}", "cluster": f"c{n % 20}"},
                "runbook": f"https://wiki/runbooks/{n}",
                "business": {"impact": "high", "regulated": ["gdpr"]},
            }
        )
    return found


def yaml_of(entries: list[dict[str, object]]) -> str:
    """One service after another, values in JSON, which YAML is."""
    lines = ["services:"]
    for entry in entries:
        lines += [f"{'- ' if n == 0 else '  '}{k}: {json.dumps(v)}" for n, (k, v) in enumerate(entry.items())]
    return "\n".join(lines)


def timed(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three."""
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def observed(catalogue: Catalogue) -> tuple[float, Topology, int]:
    """Seconds to learn every call in each bucket, twice; the topology; how many edges that were."""
    half = len(catalogue.calls) // 8
    parts = [catalogue.calls[at : at + half] for at in range(0, len(catalogue.calls), half)]
    topology = Topology(catalogue.calls, 86_400_000, known=catalogue.services)
    edges = [tuple(Edge(a, b, 10, 1) for a, b in part) for part in parts]
    begun = time.process_time()
    for bucket in range(BUCKETS):
        for part in edges:
            for source in (TRACES, METRICS):
                topology.observe(part, T0 + bucket * 10_000, source)
    return time.process_time() - begun, topology, 2 * BUCKETS * len(catalogue.calls)


def stage(catalogue: Catalogue) -> tuple[float, int]:
    """Edges facts through the whole stage: seconds, and records of the topology written."""
    log = [
        message
        for bucket in range(6)
        for message in (
            Edges(0, T0 + bucket * 10_000, tuple(Edge(a, b, 10, 1) for a, b in catalogue.calls)),
            ShardWatermark(0, 1, T0 + bucket * 10_000),
        )
    ] + [ShardWatermark(0, 1, T0 + 120_000)]
    records = [Record("tocsin.alerts", 0, n, 0, None, msgspec.json.encode(m)) for n, m in enumerate(log)]
    core = DomainCore(Settings(), catalogue)
    begun = time.process_time()
    out = [o for record in records for o in core.process([record])]
    return time.process_time() - begun, sum(o.topic == "tocsin.topology" for o in out)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Catalogue and topology of many services.")
    arguments.add_argument("--services", type=int, default=10_000)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    entries = estate(options.services)
    text, plain = yaml_of(entries), json.dumps(entries)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "services.yaml"
        path.write_text(text)
        read_s = timed(lambda: read([path]))
        reading = read([path])
    assert not reading.errors, reading.errors[:3]
    json_s = timed(lambda: json.loads(plain))
    catalogue = reading.catalogue
    build_s = timed(lambda: Topology(catalogue.calls, 86_400_000))
    cycles_s = timed(lambda: cycles(catalogue.calls))
    learn_s, topology, edges = observed(catalogue)
    names = list(catalogue.services)

    def fresh() -> None:
        topology.generation += 1  # as after an edge has come
        for name in names:
            topology.near(name)

    def parts() -> None:
        topology.generation += 1
        for name in names:
            topology.part(name)

    fresh_s, parts_s = timed(fresh), timed(parts)
    known_s = timed(lambda: [topology.near(name) for name in names])
    directory = Directory(catalogue)
    alerts = [
        Alert(
            alert_id(name, "metric", T0), 1, "firing", "metric", name, f"svc-{n}", "latency", "warning",
            T0, T0, T0, None, "", resource=(("host", f"h{n % 500}"),),
        )
        for n, name in enumerate(names)
    ]  # fmt: skip
    named_s = timed(lambda: [directory.alert(alert) for alert in alerts])
    stage_s, told = stage(catalogue)
    n = len(names)
    result = {
        "services": n,
        "declared_calls": len(catalogue.calls),
        "cycles": len(cycles(catalogue.calls)),
        "read_s": round(read_s, 3),
        "read_times_json": round(read_s / json_s, 1),
        "build_s": round(build_s, 4),
        "cycles_s": round(cycles_s, 4),
        "observe_edges_per_s": round(edges / learn_s),
        "near_fresh_us": round(fresh_s / n * 1e6, 2),
        "near_known_us": round(known_s / n * 1e6, 2),
        "parts_us": round(parts_s / n * 1e6, 2),
        "alert_named_us": round(named_s / n * 1e6, 2),
        "stage_edges_per_s": round(6 * len(catalogue.calls) / stage_s),
        "topology_records": told,
        "json_loads_s": round(json_s, 4),
    }
    if options.json:
        print_json(result)
        return
    for key, value in result.items():
        print(f"{key:22} {value}")


if __name__ == "__main__":
    main()
