"""Alerts a second through the correlator in a storm, beside Alertmanager.

    python -m bench.correlate [--alerts 100000] [--rate 20000] [--open 10 10000] [--json]

The storm (`bench/storm.py`): 2,000 services in applications of twenty, every service with ten metrics; half
of the versions are resolves. Ours is the whole stage: records in, decoded, held for their event time,
correlated, incident versions encoded. CPU time of the one process, with Python's cyclic collector set as in a
worker. Beside it the time `json.loads` takes for the same messages, which tells how fast the machine is at
this moment.

Open incidents: the same alerts again for ten services, while 10 or 10,000 incidents of others are open.

Alertmanager (Debian's prometheus-alertmanager 0.25, on PATH or named by $ALERTMANAGER) gets the firing alerts
through POST /api/v2/alerts in batches of 500, grouped by application as its users would configure it; its CPU
time is read from /proc. Absent, it is skipped.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.common import print_json
from bench.storm import T0, alerts, estate, log
from config.catalogue import Catalogue
from config.settings import Correlate, Settings
from config.suppression import Flap
from correlator.domain import DomainCore
from detectors.alert import Alert, alert_id
from streams.agents.footprint import GC_THRESHOLD
from streams.records.stage import Record

SERVICES = 2_000
CHUNK = 500
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""loopback needs no proxy"""


def run(core: DomainCore, records: list[Record]) -> tuple[float, int, int]:
    """CPU seconds, versions and bytes."""
    versions = size = 0
    begun = time.process_time()
    for at in range(0, len(records), CHUNK):
        for output in core.process(records[at : at + CHUNK]):
            versions += 1
            size += len(output.value or b"")
    return time.process_time() - begun, versions, size


def as_in_a_worker() -> None:
    """What is there stays out of the collector's sight; see `streams.agents.footprint.keep_small`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def storm(count: int, rate: int) -> dict[str, Any]:
    land = estate(SERVICES)
    records = list(log(alerts(land, count, rate)))
    core = DomainCore(Settings(), Catalogue(calls=land.edges))
    as_in_a_worker()
    spent, versions, size = run(core, records)
    begun = time.process_time()
    for record in records:
        json.loads(record.value or b"")
    plain = time.process_time() - begun
    return {
        "alerts_per_s": count / spent,
        "times_json_loads": spent / plain,
        "versions": versions,
        "bytes": size,
        "incidents": len(core.engine.groups),
    }


def with_open(open_incidents: int, count: int = 10_000) -> float:
    """Microseconds an alert for ten services' alerts, with that many incidents open."""
    logs = {"kind": "log", "severity": "error"}

    def one(service: str, metric: str, at: int, number: int) -> tuple[int, Alert]:
        return at, Alert(
            id=alert_id(f"{service}/{metric}", "log", number), version=1, state="firing",
            fingerprint=f"{service}/{metric}", service=service, metric=metric, started_at=at - 1_000,
            detected_at=at, last_seen_at=at, resolved_at=None, summary=f"{metric} in {service}",
            resource=(("host.name", f"host-{service}"),), **logs,
        )  # fmt: skip

    first = [one(f"service-{i}", "panic", T0 + i // 10, i) for i in range(open_incidents)]
    hit = [one(f"service-{i % 10}", f"m{i % 200}", T0 + 60_000 + i, i) for i in range(count)]
    correlate = Correlate(max_open=20_000, flap=Flap(enabled=False))  # the same series comes again and again
    core = DomainCore(Settings(correlate=correlate), Catalogue())
    before = list(log(first))[:-4]
    core.process([*before, *list(log([], first=len(before)))])
    assert len(core.engine.groups) == open_incidents
    records = list(log(hit, first=1_000_000))
    as_in_a_worker()
    spent, _, _ = run(core, records)
    assert len(core.engine.groups) == open_incidents
    return spent / count * 1e6


def alertmanager(count: int, rate: int) -> dict[str, Any] | None:
    program = os.environ.get("ALERTMANAGER") or shutil.which("prometheus-alertmanager")
    if not program:
        print("prometheus-alertmanager is absent (Debian: apt install prometheus-alertmanager): skipped")
        return None
    land = estate(SERVICES)
    now = datetime.now(UTC).isoformat()
    bodies, batch = [], []
    for _, alert in alerts(land, count, rate, resolve=False):
        labels = {
            "alertname": alert.metric,
            "service": alert.service,
            "application": alert.service.partition("-")[0],
            "severity": alert.severity,
            "series": alert.fingerprint,
            **{k.replace(".", "_"): v for k, v in alert.resource},
        }
        batch.append({"labels": labels, "annotations": {"summary": alert.summary}, "startsAt": now})
        if len(batch) == CHUNK:
            bodies.append(msgspec.json.encode(batch))
            batch = []
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(folder, "alertmanager.yml")
        config.write_text(
            "route: {receiver: none, group_by: [application], group_wait: 1s, group_interval: 1s}\n"
            "receivers: [{name: none}]\n"
        )
        server = subprocess.Popen(
            [program, f"--config.file={config}", f"--storage.path={folder}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            base = f"http://127.0.0.1:{port}"
            if not _ready(f"{base}/-/ready"):
                print(f"{program} does not answer (are its templates in place?): skipped")
                return None
            cpu, wall = _cpu(server.pid), time.perf_counter()
            for body in bodies:
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(f"{base}/api/v2/alerts", body, headers)  # noqa: S310
                with _direct.open(request, timeout=300) as answer:
                    assert answer.status == 200
            accepted = time.perf_counter() - wall
            time.sleep(3)  # what it groups and hands on after it has answered
            cpu = _cpu(server.pid) - cpu
            groups = json.loads(_get(f"{base}/api/v2/alerts/groups"))
        finally:
            server.kill()  # it has nothing to keep
            server.wait(10)
    sent = len(bodies) * CHUNK
    return {
        "alerts_per_cpu_s": sent / cpu,
        "accepted_per_s": sent / accepted,
        "groups": len(groups),
        "alerts_in_groups": sum(len(g["alerts"]) for g in groups),
    }


def _get(url: str) -> bytes:
    with _direct.open(url, timeout=300) as answer:
        return bytes(answer.read())


def _ready(url: str) -> bool:
    for _ in range(100):
        try:
            _get(url)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return True
    return False


def _cpu(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--open", type=int, nargs=2, default=[10, 10_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {"storm": storm(args.alerts, args.rate)}
    print(found["storm"], file=sys.stderr, flush=True)
    few, many = zip(*([with_open(n) for n in args.open] for _ in range(3)), strict=True)
    found["open"] = {"few_us": min(few), "many_us": min(many), "ratio": min(many) / min(few)}
    print(found["open"], file=sys.stderr, flush=True)
    found["alertmanager"] = alertmanager(args.alerts // 2, args.rate)
    if args.json:
        print_json(found)
    else:
        show(found, args.open)


def show(found: dict[str, Any], open_incidents: list[int]) -> None:
    ours = found["storm"]
    print(
        f"storm: {ours['alerts_per_s']:,.0f} alerts/s, {ours['times_json_loads']:.1f} times json.loads of "
        f"the same, {ours['incidents']} incidents, {ours['versions']} versions, {ours['bytes'] / 1e6:.0f} MB"
    )
    print("open incidents {} / {}: {few_us:.0f} / {many_us:.0f} µs an alert, ratio {ratio:.2f}".format(
        *open_incidents, **found["open"]))  # fmt: skip
    if other := found["alertmanager"]:
        print(
            f"alertmanager: {other['alerts_per_cpu_s']:,.0f} alerts a CPU s, {other['accepted_per_s']:,.0f}"
            f"/s accepted, {other['groups']} groups holding {other['alerts_in_groups']} alerts"
        )


if __name__ == "__main__":
    main()
