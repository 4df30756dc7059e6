"""The whole way in one process: Alertmanager's JSON and a person's silence in, incidents and records out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from config.settings import Correlate, Settings
from config.suppression import Inhibit, Silence
from streams.agents.local import LocalPipeline
from streams.records.stage import Output, Record
from tests.correlator.make import answers, final
from tests.correlator.test_suppress import story

T0 = 1_767_261_600_000
"""2026-01-01 10:00:00 UTC"""
MINUTE = 60_000
EXTERNAL, ACTIONS, LINES = "tocsin.external", "tocsin.actions", "tocsin.in"


def notification(at: int, *alerts: tuple[str, str, str], node: str = "n1") -> Record:
    """What Alertmanager sends: (status, alertname, service) each."""
    body = {
        "version": "4", "receiver": "tocsin", "status": "firing", "groupKey": "{}",
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": name, "service": service, "node": node, "severity": "critical"},
                "annotations": {"summary": f"{name} on {service}"},
                "startsAt": "2026-01-01T10:00:00Z",
                "endsAt": "2026-01-01T10:05:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
                "fingerprint": f"{name}{service}",
            }
            for status, name, service in alerts
        ],
    }  # fmt: skip
    return Record(EXTERNAL, 0, at, T0 + at, None, json.dumps(body).encode())


def action(at: int, verb: str, **silence: Any) -> Record:
    value = {"ts": T0 + at, "action": verb, "actor": "ann", "silence": silence}
    return Record(ACTIONS, 0, at, T0 + at, None, json.dumps(value).encode())


def sample(at: int) -> Record:
    """Telemetry, so that time goes on."""
    value = {"ts": T0 + at, "service": "clock", "metric": "ticks", "value": 1.0}
    return Record(LINES, 0, at, T0 + at, None, json.dumps(value).encode())


def play(records: list[Record], page: int) -> list[Output]:
    rules = Correlate(
        inhibit=(
            Inhibit(
                name="node",
                source=('alertname="NodeDown"',),
                target=('alertname!="NodeDown"',),
                equal=("node",),
            ),
        )
    )
    found: list[Output] = []
    inputs = [(topic, 0) for topic in (EXTERNAL, ACTIONS, LINES)]
    pipeline = LocalPipeline(Settings(correlate=rules), inputs, found.append)
    while records:
        chunk = [records[0]]
        while len(chunk) < min(page, len(records)) and records[len(chunk)].topic == chunk[0].topic:
            chunk.append(records[len(chunk)])
        pipeline.feed(chunk)
        records = records[len(chunk) :]
    return found


@pytest.mark.parametrize("page", [1, 3, 100])
def test_silenced_inhibited_expired_and_told_of(page: int) -> None:
    """A silence is made, alerts come, it is ended; a node comes back. Whatever the pages."""
    clock = [sample(at) for at in range(0, 10 * MINUTE, MINUTE)]
    log = [
        sample(0),
        action(1_000, "add", name="move", matchers=['service="db"'], until="2026-01-01T12:00"),
        notification(2_000, ("firing", "DiskFull", "db"), node="n2"),
        notification(3_000, ("firing", "NodeDown", "infra")),
        notification(5_000, ("firing", "PodDown", "cart"), ("firing", "PodDown", "db")),
        *clock[1:4],
        action(3 * MINUTE, "expire", name="move"),
        *clock[4:6],
        notification(5 * MINUTE, ("resolved", "NodeDown", "infra")),
        *clock[6:],
    ]
    outputs = play(log, page)
    incidents = final(outputs).values()
    assert sorted(m.metric for i in incidents if i.state != "merged" for m in i.members) == [
        "DiskFull", "NodeDown", "PodDown", "PodDown",
    ]  # fmt: skip
    assert [(kind, what, rule) for kind, what, rule, _ in story(outputs)] == [
        ("silence", "active", "move"),
        ("inhibition", "active", "node"),
        ("silence", "active", "move"),
        # Expired: the disk goes on, the pod of the database is a matter of the node.
        ("silence", "correlated", "move"),
        ("inhibition", "active", "node"),
        ("inhibition", "correlated", "node"),
        ("inhibition", "correlated", "node"),
    ]
    assert [(a.silence, a.state, a.alerts) for a in answers(outputs)] == [
        ("move", "active", 0),
        ("move", "expired", 1),
    ]


def test_a_backtest_knows_the_silences_of_the_configuration() -> None:
    """The same code, the same result."""
    quiet = Settings(correlate=Correlate(silences=(Silence(name="all", matchers=('service=~".+"',)),)))
    found: list[Output] = []
    pipeline = LocalPipeline(quiet, [(EXTERNAL, 0), (LINES, 0)], found.append)
    for record in (sample(0), notification(2_000, ("firing", "DiskFull", "db")), sample(MINUTE)):
        pipeline.feed([record])
    assert not final(found)
    assert [
        msgspec.json.decode(o.value or b"")["kind"] for o in found if o.topic == "tocsin.suppressions"
    ] == ["silence"]
