"""A core that takes over a snapshot says what one says that ran on: with everything there is in the log.

Alerts, calls that come and are forgotten, changes, words of other systems, rules that hold alerts back,
people who merge, split and undo, and bounds that are reached.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from correlator import telling
from detectors.alert import Alert
from streams.records.digest import shard_of
from streams.records.messages import (
    Action,
    Change,
    Edge,
    Edges,
    ExternalAlert,
    OutsideTime,
    ShardWatermark,
    SilenceAction,
)
from streams.records.stage import Output, Record
from tests.correlator.make import T0, final, firing, new_core, records, resolved
from tests.correlator.test_replay import END, SHARDS, decided_at, interleave
from tests.correlator.test_suppress_replay import RULES, actions

SERVICES = ("gateway", "checkout", "payment", "cart", "store", "island", "rock")
WORDS = ("connection refused by payment", "disk quota exceeded on volume", "certificate expired")
VERBS = (
    "merge", "merge", "split", "undo", "acknowledge", "mitigate", "resolve", "reopen", "close",
    "assign", "note", "classify", "impact", "edit", "pause", "resume", "submit", "report",
)  # fmt: skip
FIELDS = {
    "assign": {"to": "team-x"},
    "classify": {"severity": "critical", "major": "true"},
    "impact": {"customers": "12", "reputation": "press"},
    "edit": {"started_at": str(T0 - 5_000)},
    "submit": {"name": "dora initial"},
    "report": {"title": "Something is wrong", "services": "checkout,rock", "severity": "critical"},
}
"""what some verbs need"""


@st.composite
def alerts(draw: st.DrawFn) -> list[Alert]:
    """Firing, most resolve, some with other figures or another severity than they began with."""
    found: dict[tuple[str, int], Alert] = {}
    for _ in range(draw(st.integers(3, 20))):
        kind = draw(st.sampled_from(("metric", "metric", "log", "absent")))
        metric = draw(st.sampled_from(WORDS if kind == "log" else ("latency", "errors", "cpu")))
        alert = firing(
            draw(st.sampled_from(SERVICES)),
            metric,
            draw(st.integers(0, 60)) * 10_000,
            kind=kind,
            strength=draw(st.sampled_from((4.0, 9.0, 30.0, -15.0))),
            severity=draw(st.sampled_from(("info", "warning", "error", "critical"))),
            labels=draw(st.sampled_from(((), (("peer.service", "payment"),)))),
            resource=draw(st.sampled_from(((), (("host", "a"),), (("host", "b"), ("zone", "z"))))),
            samples=(f"{metric}: checkout gave up",) if kind == "log" else (),
        )
        found[alert.id, 1] = alert
        if draw(st.integers(0, 3)):
            after = draw(st.integers(1, 60)) * 5_000
            over = resolved(alert, alert.detected_at - T0 + after)
            found[alert.id, 2] = draw(st.sampled_from((over, _worse(over))))
    return list(found.values())


def _worse(alert: Alert) -> Alert:
    return replace(alert, severity="critical", strength=2 * alert.strength, summary=f"{alert.summary}, worse")


@st.composite
def history(draw: st.DrawFn) -> list[list[Any]]:
    """What each shard writes, other systems, and those who record changes."""
    made = draw(alerts())
    logs: list[list[Any]] = []
    for shard in range(SHARDS):
        own: list[Alert | Edges] = [a for a in made if shard_of(a.service, SHARDS) == shard]
        for at in draw(st.lists(st.integers(1, 40), max_size=3, unique=True)):
            pair = draw(st.sampled_from((("store", "disk"), ("payment", "island"), ("rock", "store"))))
            own.append(Edges(shard, T0 + at * 20_000, (Edge(*pair, 3, draw(st.integers(0, 3))),)))
        log: list[Any] = []
        for fact in sorted(own, key=lambda f: (decided_at(f), str(f))):
            log += [ShardWatermark(shard, SHARDS, decided_at(fact) - 1), fact]
        logs.append([*log, ShardWatermark(shard, SHARDS, T0 + END)])
    logs.append(
        [
            Change(f"c{i}", T0 + draw(st.integers(-20, 60)) * 10_000, draw(st.sampled_from(SERVICES)))
            for i in range(draw(st.integers(0, 4)))
        ]
    )
    said: list[Any] = [
        ExternalAlert(
            id=draw(st.sampled_from(("x", "y"))),
            source="alertmanager",
            state=draw(st.sampled_from(("firing", "firing", "resolved"))),
            seen_at=T0 + draw(st.integers(0, 80)) * 10_000,
            service=draw(st.sampled_from(SERVICES)),
            name="HighLatency",
            severity=draw(st.sampled_from(("warning", "critical"))),
            summary="disk quota exceeded",
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    if said and draw(st.booleans()):
        said.append(OutsideTime(T0 + draw(st.integers(0, 80)) * 10_000))
    logs.append(said)
    return logs


def people(draw: st.DrawFn, log: list[Any], **rules: Any) -> list[Any]:
    """The same log with actions in it, on incidents that are there by then, some of them not."""
    for number in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(log)))
        known = final(new_core(**rules).process(records(log[:at])))
        if not known:
            continue
        ids = sorted(known)
        one, verb = draw(st.sampled_from(ids)), draw(st.sampled_from(VERBS))
        choice = {"merge": ids, "split": [*known[one].alerts, *SERVICES]}.get(verb, [""])
        chosen = tuple(c for c in draw(st.lists(st.sampled_from(choice), max_size=2, unique=True)) if c)
        said_at = T0 + draw(st.integers(0, 90)) * 10_000
        one = f"{number:016x}" if verb == "report" else one
        note = "because" if verb in ("note", "edit", "pause") else ""
        fields = FIELDS.get(verb, {})
        log.insert(at, Action(f"a{number}", said_at, one, verb, "ada", note, chosen, fields=fields))
    return log


def taken_over(draw: st.DrawFn, log: list[Record], **rules: Any) -> list[Output]:
    """What cores say that take over from each other at a few places."""
    core, outputs, at = new_core(**rules), [], 0
    for _ in range(3):
        cut = draw(st.integers(at, len(log)))
        outputs += core.process(log[at:cut])
        blob, needed = core.snapshot(), core.needed_offset(cut)
        core = new_core(**rules)
        core.restore(blob)
        assert core.snapshot() == blob
        at = needed
    return [*outputs, *core.process(log[at:])]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_restore_anywhere_in_anything_changes_nothing(data: st.DataObject) -> None:
    """Byte for byte, in the same order; what is kept of large incidents makes no difference either."""
    rules: dict[str, Any] = {
        **data.draw(st.sampled_from((RULES, {}))),
        "max_open": data.draw(st.sampled_from((3, 1_000))),
        "max_members": data.draw(st.sampled_from((4, 1_000))),
        "edge_memory_ms": data.draw(st.sampled_from((100_000, 86_400_000))),
        "verify_ms": data.draw(st.sampled_from((120_000, 900_000))),
    }
    made: list[SilenceAction] = actions(data.draw)
    with mock.patch.object(telling, "LARGE", data.draw(st.sampled_from((1, 50)))):
        log = people(data.draw, interleave(data.draw, [*data.draw(history()), list(made)]), **rules)
        undisturbed = list(new_core(**rules).process(records(log)))
        assert taken_over(data.draw, records(log), **rules) == undisturbed
