"""Schedule, load rhythm, change records, incident parsing and the sender's bound: no processes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.changes import Change
from demo.faults import FAULTS
from demo.findings import Findings, parse
from demo.injection import Injection
from demo.load import rate_at
from demo.otlp_kafka import KafkaSender
from demo.schedule import UnknownFault, choose, plan
from demo.shop import SERVICES

INCIDENT = {
    "id": "inc-1",
    "version": 1,
    "state": "open",
    "title": "t",
    "severity": "major",
    "started_at": 1,
    "detected_at": 2,
    "resolved_at": None,
    "services": [{"service": "cart", "role": "affected"}],
    "hints": [{"service": "cart", "confidence": 0.5, "evidence": [{"kind": "absent", "text": "silent"}]}],
}


def test_default_schedule_is_fixed() -> None:
    """Latency, deployment, death: always these three at these seconds."""
    slots = plan(choose([], None), None).slots
    assert [(slot.fault.name, slot.start_s, slot.end_s) for slot in slots] == [
        ("slow-inventory", 70.0, 102.0),
        ("bad-release-payment", 127.0, 159.0),
        ("kill-cart", 184.0, 216.0),
    ]


@given(st.integers())
def test_seed_decides_which_and_when(seed: int) -> None:
    """The same seed is the same plan, of three different faults, done in under four and a half minutes."""
    faults = choose([], seed)
    assert plan(faults, seed) == plan(choose([], seed), seed)
    assert len({fault.name for fault in faults}) == 3
    assert plan(faults, seed).end_s < 270


def test_unknown_fault_is_refused_with_the_names_there_are() -> None:
    """The message helps."""
    with pytest.raises(UnknownFault, match="kill-cart"):
        choose(["kill-cat"], None)


def test_each_fault_has_a_service_of_the_shop_as_root() -> None:
    """The truth names a service that can be found."""
    assert {fault.service for fault in FAULTS} <= set(SERVICES)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 7


@given(st.floats(0, 1e5))
def test_load_stays_between_thirty_and_sixty(elapsed_s: float) -> None:
    """The rhythm never starves the shop and never floods it."""
    assert 30 <= rate_at(elapsed_s) <= 60


def test_change_id_is_a_digest_of_the_change() -> None:
    """Equal changes have equal ids."""
    assert Change.of(1, "payment", "2.1.0", "x").id == Change.of(1, "payment", "2.1.0", "y").id
    assert Change.of(1, "payment", "2.1.0", "x").id != Change.of(2, "payment", "2.1.0", "x").id


@pytest.mark.parametrize("wrap", [lambda data: {"specversion": "1.0", "data": data}, lambda data: data])
def test_incident_is_read_with_and_without_its_envelope(wrap: Callable[[object], object]) -> None:
    """Structured CloudEvents and a bare incident mean the same."""
    finding = parse(json.dumps(wrap(INCIDENT)).encode(), 9)
    assert finding is not None
    assert (finding.id, finding.first_hint, finding.hints[0][3], finding.seen_ms) == (
        "inc-1",
        "cart",
        "silent",
        9,
    )


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_anything_else_is_no_incident(value: bytes) -> None:
    """Junk on the topic is passed over."""
    assert parse(value, 0) is None


@given(st.permutations(range(1, 6)))
def test_newest_version_wins_in_any_order(versions: list[int]) -> None:
    """And the time of the first reading is kept."""
    findings = Findings()
    for at, version in enumerate(versions):
        finding = parse(json.dumps(INCIDENT | {"version": version}).encode(), at)
        assert finding is not None
        findings.add(finding)
    assert [(f.version, f.seen_ms) for f in findings.all()] == [(5, 0)]


def test_findings_are_bounded() -> None:
    """The oldest goes, and is counted."""
    findings = Findings(limit=2)
    for number in range(3):
        finding = parse(json.dumps(INCIDENT | {"id": f"inc-{number}"}).encode(), 0)
        assert finding is not None
        findings.add(finding)
    assert [f.id for f in findings.all()] == ["inc-1", "inc-2"]
    assert findings.forgotten == 1


def test_sender_drops_the_oldest_when_full() -> None:
    """A broker that is away costs telemetry, never memory or time."""
    sender = KafkaSender("127.0.0.1:1", "test", limit=3)
    for number in range(5):
        sender.send("t", bytes([number]))
    assert sender.dropped == 2
    assert [value for _, value in sender._waiting] == [b"\x02", b"\x03", b"\x04"]


def test_unknown_fault_setting_is_refused() -> None:
    """A typo does not pass for a fault."""
    with pytest.raises(ValueError, match="dely_ms"):
        Injection().apply({"dely_ms": 1})
