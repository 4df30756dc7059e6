"""What holds for any storm: over two applications, with shared hosts, wordings and people's hands in it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.incident import Incident
from detectors.alert import Alert
from streams.records.messages import Action, Edge, Edges, ShardWatermark
from streams.records.stage import Output, Record
from tests.correlator.make import T0, Message, answers, final, firing, mark, new_core, records, resolved
from tests.correlator.test_replay import SHARDS, as_bytes, in_order, interleave, shard_logs

SHOP = ("gateway", "checkout", "payment", "cart", "store")
BANK = ("teller", "ledger", "vault")
LOOSE = ("island", "rock")
CALLS = (
    *(("gateway", "checkout"), ("checkout", "payment"), ("gateway", "cart"), ("cart", "store")),
    *(("teller", "ledger"), ("ledger", "vault")),
)
WORDS = ("connection refused by upstream pool", "disk quota exceeded on volume", "certificate expired")


@st.composite
def storm(draw: st.DrawFn) -> list[Alert]:
    """Alerts with their resolves; onsets within eight minutes."""
    found: dict[tuple[str, int], Alert] = {}
    for _ in range(draw(st.integers(1, 16))):
        kind = draw(st.sampled_from(("metric", "metric", "log")))
        alert = firing(
            draw(st.sampled_from((*SHOP, *BANK, *LOOSE))),
            draw(st.sampled_from(WORDS if kind == "log" else ("latency", "errors", "memory", "SyscallRead"))),
            draw(st.integers(0, 96)) * 5_000,
            kind=kind,
            severity=draw(st.sampled_from(("info", "warning", "error", "critical"))),
            resource=draw(st.sampled_from(((), (("host", "a"),), (("host", "b"), ("zone", "z"))))),
        )
        if (alert.id, 1) in found:
            continue  # an alert whose severity falls is none of ours
        found[alert.id, 1] = alert
        if draw(st.booleans()):
            found[alert.id, 2] = resolved(alert, alert.detected_at - T0 + draw(st.integers(1, 90)) * 5_000)
    return list(found.values())


def core() -> Any:
    return new_core(CALLS)


def homes(incidents: dict[str, Incident]) -> list[str]:
    return [alert for i in incidents.values() if i.state != "merged" for alert in i.alerts]


def content(incident: Incident) -> dict[str, Any]:
    plain = msgspec.to_builtins(incident)
    for name in ("version", "updated_at", "timeline", "active_ms"):
        del plain[name]
    return plain


@settings(max_examples=30, deadline=None)
@given(storm())
def test_applications_never_mix(alerts: list[Alert]) -> None:
    """No incident holds services of both, whatever hosts and words they share."""
    for incident in final(core().process(records(in_order(shard_logs(alerts))))).values():
        services = {m.service for m in incident.members}
        assert not (services & set(SHOP) and services & set(BANK))


@settings(max_examples=30, deadline=None)
@given(storm())
def test_every_alert_is_in_one_incident_or_counted(alerts: list[Alert]) -> None:
    """None is lost, none is in two."""
    one = core()
    found = homes(final(one.process(records(in_order(shard_logs(alerts))))))
    waiting = sum(len(g.held) for g in one.engine.groups.values() if g.opened_at is None)
    assert len(found) == len(set(found))
    counters = one.engine.counters
    waiting += len(one.suppressor.holding.alerts)  # flapping
    assert len(found) + counters["unopened_alerts"] + waiting == len({a.id for a in alerts})
    assert counters["unknown_alerts"] <= counters["unopened_alerts"]


def arms(draw: st.DrawFn, incidents: dict[str, Incident]) -> list[Action]:
    """A few actions on the incidents there are, sensible or not."""
    ids = sorted(incidents)
    found = []
    for number in range(draw(st.integers(1, 4))):
        verb = draw(st.sampled_from(("merge", "split", "undo", "acknowledge", "resolve", "reopen")))
        one = draw(st.sampled_from(ids))
        services = [m.service for m in incidents[one].members] or ["island"]
        choice = {"merge": ids, "split": services}.get(verb, [""])
        targets = tuple(t for t in draw(st.lists(st.sampled_from(choice), max_size=3, unique=True)) if t)
        found.append(Action(f"a{number}", T0 + 500_000 + number, one, verb, "ada", "", targets))
    return found


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_with_people_at_work_arrival_pages_and_restarts_change_nothing(data: st.DataObject) -> None:
    """Merges, splits and undoings at one moment, the rest of the storm in any order and cut."""
    logs = shard_logs(data.draw(storm()))
    half = T0 + data.draw(st.integers(20, 120)) * 5_000
    early = [[m for m in log if _when(m) <= half] for log in logs]
    late = [[m for m in log if _when(m) > half] for log in logs]
    pause = [ShardWatermark(shard, SHARDS, half) for shard in range(SHARDS)]
    before = final(core().process(records([*in_order(early), *pause])))
    actions = arms(data.draw, before) if before else []
    middle: list[Message] = [*pause, *actions]
    expected = core().process(records([*in_order(early), *middle, *in_order(late)]))
    log = records([*interleave(data.draw, early), *middle, *interleave(data.draw, late)])
    assert as_bytes(final(_with_restarts(data.draw, log))) == as_bytes(final(expected))
    assert answers(expected) == answers(_with_restarts(data.draw, log))[: len(answers(expected))]
    found = homes(final(expected))
    assert len(found) == len(set(found))


def _when(message: Message) -> int:
    if isinstance(message, Alert):
        return message.resolved_at or message.detected_at
    assert isinstance(message, ShardWatermark | Edges)
    return message.at_ms


def _with_restarts(draw: st.DrawFn, log: list[Record]) -> list[Output]:
    one, out, at = core(), [], 0
    for _ in range(2):
        cut = draw(st.integers(at, len(log)))
        while at < cut:
            size = draw(st.integers(1, 9))
            out += one.process(log[at : min(at + size, cut)])
            at = min(at + size, cut)
        blob, at = one.snapshot(), one.needed_offset(cut)
        one = core()
        one.restore(blob)
    return [*out, *one.process(log[at:])]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_merge_then_undo_gives_the_former_state(data: st.DataObject) -> None:
    """Of any incidents that are there."""
    log = in_order(shard_logs(data.draw(storm())))
    # No new calls: hints are drawn from what is known by then.
    log = [m for m in log if _when(m) <= T0 + 300_000 and not isinstance(m, Edges)]
    log += [ShardWatermark(shard, SHARDS, T0 + 300_000) for shard in range(SHARDS)]
    before = final(core().process(records(log)))
    live = sorted(i.id for i in before.values() if i.state == "open")
    if len(live) < 2:
        return
    one, *others = data.draw(st.permutations(live))
    merge = Action("m", T0 + 300_000, one, "merge", "ada", "", tuple(others))
    undo = [Action(f"u{i}", T0 + 300_000, i, "undo", "ada") for i in data.draw(st.permutations(others))]
    out = core().process(records([*log, merge, *undo]))
    assert all(a.applied for a in answers(out))
    assert {k: content(i) for k, i in final(out).items()} == {k: content(i) for k, i in before.items()}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_split_then_merge_keeps_every_member(data: st.DataObject) -> None:
    """And the times, the severity and the services of the whole."""
    log = [m for m in in_order(shard_logs(data.draw(storm()))) if _when(m) <= T0 + 300_000]
    log += [ShardWatermark(shard, SHARDS, T0 + 300_000) for shard in range(SHARDS)]
    before = final(core().process(records(log)))
    large = sorted(i.id for i in before.values() if i.state == "open" and len(i.members) > 1)
    if not large:
        return
    one = data.draw(st.sampled_from(large))
    leaving = data.draw(
        st.lists(
            st.sampled_from(before[one].alerts), min_size=1, max_size=len(before[one].alerts) - 1, unique=True
        )
    )
    split = Action("s", T0 + 300_000, one, "split", "ada", "", tuple(leaving))
    halves = final(core().process(records([*log, split])))
    (new,) = halves.keys() - before.keys()
    assert set(halves[new].alerts) == set(leaving)
    merge = Action("m", T0 + 300_000, one, "merge", "ada", "", (new,))
    after = final(core().process(records([*log, split, merge])))[one]
    assert set(after.alerts) == set(before[one].alerts)
    for name in ("state", "severity", "started_at", "detected_at", "opened_at", "category"):
        assert getattr(after, name) == getattr(before[one], name)
    assert {m.service for m in after.members} == {m.service for m in before[one].members}


def test_an_edge_learned_later_brings_applications_together() -> None:
    """From then on they are one; what was apart before stays apart unless evidence merges it."""
    log = {"kind": "log", "severity": "error"}
    learned = Edges(0, T0 + 60_000, (Edge("payment", "ledger", 5),))
    before = [firing("payment", **log), firing("ledger", at=1_000, **log), mark(50_000)]
    after = [learned, firing("ledger", "other", at=62_000, **log), mark(100_000)]
    incidents = final(core().process(records([*before, *after])))
    assert sorted(len(i.members) for i in incidents.values()) in ([1, 2], [1, 3], [2, 3])
