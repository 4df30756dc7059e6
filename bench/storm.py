"""A storm of alerts over a made-up estate: applications of twenty services, hosts that they share.

Nothing is random beyond a seeded generator: equal arguments give equal records.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors.alert import Alert, alert_id
from streams.records.digest import digest_hex
from streams.records.messages import ShardWatermark
from streams.records.stage import Record

T0 = 1_700_000_000_000
SERVICES = 20
"""services of an application: a gateway, four behind it, and what these call"""
METRICS = (
    "http.server.request.duration.p95",
    "http.server.request.duration.p50",
    "http.server.errors",
    "process.cpu.utilization",
    "process.memory.usage",
    "db.client.connections.pending",
    "jvm.gc.duration",
    "queue.depth",
    "rpc.client.duration.p99",
    "disk.io.wait",
)
SHARDS = 4


class Estate(NamedTuple):
    """Services by application, and who calls whom."""

    applications: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[str, str], ...]


def estate(services: int) -> Estate:
    """Applications of `SERVICES` services, each a tree below its gateway."""
    found, edges = [], []
    for number in range(services // SERVICES):
        names = tuple(f"app{number:03d}-svc{i:02d}" for i in range(SERVICES))
        edges += [(names[0], names[i]) for i in range(1, 5)]
        edges += [(names[1 + (i - 5) % 4], names[i]) for i in range(5, SERVICES)]
        found.append(names)
    return Estate(tuple(found), tuple(edges))


def alerts(
    estate: Estate, count: int, per_second: int, *, seed: int = 1, resolve: bool = True
) -> list[tuple[int, Alert]]:
    """(when it counts, version of an alert), in order of time: `count` versions.

    `per_second`: versions a second of event time. With `resolve` half of them are resolves.
    """
    dice = random.Random(seed)
    services = [name for names in estate.applications for name in names]
    hosts = [f"node-{i:03d}" for i in range(max(2, len(services) // 10))]
    found: list[tuple[int, Alert]] = []
    firing = count // 2 if resolve else count
    for number in range(firing):
        at = T0 + number * 1_000 * (count // firing) // per_second
        which = dice.randrange(len(services))
        service, metric = services[which], dice.choice(METRICS)
        strength = round(dice.uniform(4, 60), 2)
        fingerprint = digest_hex(service, metric, str(dice.randrange(8)))
        started = at - dice.choice((0, 1_000, 2_000, 5_000))
        alert = Alert(
            id=alert_id(fingerprint, f"metric-{number}", started),
            version=1,
            state="firing",
            kind="metric",
            fingerprint=fingerprint,
            service=service,
            metric=metric,
            severity=dice.choice(("warning", "warning", "warning", "error", "critical")),
            started_at=started,
            detected_at=at,
            last_seen_at=at,
            resolved_at=None,
            summary=f"{service} {metric} is {strength} spreads above what is usual at this time",
            value=strength * 3,
            expected=1.0,
            score=0.99,
            strength=strength,
            unit="s",
            instance=f"{service}-0",
            labels=(("route", f"/v1/{number % 8}"),),
            resource=(
                ("host.name", hosts[which % len(hosts)]),
                ("k8s.deployment.name", service),
                ("service.version", "1.4.2"),
                ("cloud.availability_zone", f"zone-{which % 3}"),
            ),
        )
        found.append((at, alert))
        if resolve:
            over = at + dice.randrange(2_000, 30_000)
            ended = msgspec.structs.replace(
                alert, version=2, state="resolved", resolved_at=over, last_seen_at=over
            )
            found.append((over, ended))
    found.sort(key=lambda pair: (pair[0], pair[1].id))
    return found


def log(facts: Sequence[tuple[int, Alert]], step_ms: int = 1_000, first: int = 0) -> Iterator[Record]:
    """As records of the alerts topic: what a step brought, then every shard's watermark."""
    encode, offset = msgspec.json.Encoder().encode, first
    end = T0

    def record(value: bytes) -> Record:
        nonlocal offset
        offset += 1
        return Record("tocsin.alerts", 0, offset - 1, 0, None, value)

    for at, alert in facts:
        if at > end:
            for shard in range(SHARDS):
                yield record(encode(ShardWatermark(shard, SHARDS, end)))
            end = -(-at // step_ms) * step_ms
        yield record(encode(alert))
    for shard in range(SHARDS):
        yield record(encode(ShardWatermark(shard, SHARDS, end + 60_000)))
