"""The stage's edge: what goes in and comes out of a partition."""

from __future__ import annotations

import msgspec

from config.settings import Settings
from correlator.domain import domain_factory
from streams.records.messages import DeadLetter, Edge, Edges
from streams.records.stage import Record
from tests.correlator.make import T0, firing, mark, new_core, records, run, versions

ALERT = firing("payment", kind="log", severity="error")


def test_an_incident_is_a_cloud_event() -> None:
    """Structured mode, keyed by the incident, with event time."""
    output, *_ = new_core().process(records([ALERT, mark(10_000)]))
    event = msgspec.json.decode(output.value or b"")
    key = (output.key or b"").decode()
    assert dict(output.headers)["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert event["specversion"] == "1.0"
    assert event["type"] == "tocsin.incident.opened"
    assert event["subject"] == key == event["data"]["id"]
    assert event["id"] == f"{key}/1"
    assert event["time"] == "2023-11-14T22:13:22.000Z"


def test_what_cannot_be_read_is_a_dead_letter() -> None:
    """With its place, the reason and the bytes; what follows is used."""
    core = new_core()
    bad = Record("tocsin.alerts", 0, 0, 5, b"k", b'{"type":"alert"}', (("h", b"v"),))
    dead, incident, *_ = core.process([bad, *records([ALERT, mark(10_000)], first=1)])
    letter = msgspec.json.decode(dead.value or b"", type=DeadLetter)
    assert dead.topic == "tocsin.deadletters"
    assert (letter.topic, letter.offset, letter.reason) == ("tocsin.alerts", 0, "wrong-type")
    assert letter.value == bad.value
    assert incident.topic == "tocsin.incidents"


def test_nothing_is_decided_before_all_shards_have_reported() -> None:
    """One silent shard of two holds everything back."""
    core = new_core()
    assert core.process(records([ALERT, mark(10_000, 0, 2)])) == []
    assert len(versions(core.process(records([mark(10_000, 1, 2)], first=2)))) == 1


def test_held_facts_are_read_again() -> None:
    """The oldest held one says from where."""
    core = new_core()
    core.process(records([mark(0), ALERT, mark(1_000)]))
    assert core.needed_offset(3) == 1
    core.process(records([mark(10_000)], first=3))
    assert core.needed_offset(4) == 4


def test_learned_calls_group_alerts() -> None:
    """Without a declared topology, traces tell."""
    seen = Edges(0, T0, (Edge("checkout", "payment", 10),))
    (incident,) = run([seen, firing("payment"), firing("checkout", at=1_000), mark(10_000)]).values()
    assert len(incident.members) == 2


def test_the_factory_reads_the_declared_topology(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """From the settings' file, unless edges are given."""
    path = tmp_path / "topology.json"
    path.write_text('[{"caller": "x", "callee": "y"}]')
    settings = msgspec.structs.replace(
        Settings(), correlate=msgspec.structs.replace(Settings().correlate, topology=str(path))
    )
    core = domain_factory(settings)("tocsin.alerts", 0)
    assert len(versions(core.process(records([firing("y"), firing("x", at=1_000), mark(10_000)])))) == 1


def test_the_wall_clock_decides_nothing() -> None:
    """A tick returns nothing, however late."""
    core = new_core()
    core.process(records([ALERT]))
    assert core.tick(T0 + 10**9, at_end=True) == ()
