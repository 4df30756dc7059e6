"""Suppression under any interleaving, cut and restart; every alert ends in one incident or one record."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from config.suppression import Dedup, Flap, Inhibit, Maintenance, Silence
from detectors.alert import Alert
from streams.records.messages import ShardWatermark, SilenceAction
from streams.records.stage import Output
from tests.correlator.make import T0, Message, final, firing, mark, new_core, records, resolved
from tests.correlator.test_replay import END, SHARDS, facts, interleave, shard_logs
from tests.correlator.test_suppress import add, expire, iso, said

RULES: dict[str, Any] = {
    "silences": (
        Silence(name="cpu", matchers=('metric="cpu"',), from_=iso(60_000), until=iso(240_000)),
        Silence(
            name="often", matchers=('service=~"cart|store"', 'severity!="critical"'),
            from_="2023-11-14T22:00", rrule="FREQ=DAILY;BYHOUR=22;BYMINUTE=14,16,18,20", duration="1m",
        ),
    ),
    "maintenance": (Maintenance(name="m", labels={"host": "b"}, from_=iso(100_000), until=iso(500_000)),),
    "inhibit": (
        Inhibit(name="up", source=('service="payment"',), target=('service=~"checkout|gateway"',)),
        Inhibit(name="down", source=('service="gateway"',), target=('service="payment"',)),
        Inhibit(name="host", source=('metric="errors"',), target=('metric="latency"',), equal=("host",)),
    ),
    "dedup": (Dedup(name="d", by=("service",), matchers=('metric=~"latency|errors"',), window="30s"),),
    "flap": Flap(transitions=2, calm=1, window="2m"),
}  # fmt: skip


def outcome(outputs: list[Output]) -> tuple[list[bytes | None], list[bytes | None]]:
    """Newest incident versions and newest records."""
    newest: dict[tuple[str, bytes | None], bytes | None] = {}
    for output in outputs:
        if output.topic in ("tocsin.incidents", "tocsin.suppressions"):
            newest[output.topic, output.key] = output.value
    found = sorted(newest.items(), key=str)
    return [v for (t, _), v in found if t == "tocsin.incidents"], [v for _, v in found]


def as_run(messages: list[Any]) -> list[Output]:
    return list(new_core(**RULES).process(records(messages)))


def actions(draw: st.DrawFn) -> list[SilenceAction]:
    found = [
        add("a", 1, ('service="island"',), until=iso(draw(st.integers(1, 60)) * 10_000)),
        add("b", 2, ('severity="error"',), until=iso(END * 2)),
        expire("b", draw(st.integers(3, 600_000))),
    ]
    return found[: draw(st.integers(0, 3))]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_interleaving_and_cutting_change_nothing(data: st.DataObject) -> None:
    """Shards may report in any order, in batches of any size."""
    logs = shard_logs(data.draw(facts()))
    made = actions(data.draw)[:2]
    # People's actions count where they stand: here before everything.
    expected = outcome(as_run([*made, *(m for log in logs for m in log)]))
    log = records([*made, *interleave(data.draw, logs)])
    core, outputs = new_core(**RULES), []
    while log:
        size = data.draw(st.integers(1, 9))
        outputs += core.process(log[:size])
        log = log[size:]
    assert outcome(outputs) == expected


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_restore_anywhere_changes_nothing(data: st.DataObject) -> None:
    """A new core takes over a snapshot in the midst of it and says the same, byte for byte."""
    logs: list[list[Any]] = [*shard_logs(data.draw(facts())), list(actions(data.draw))]
    log = records(interleave(data.draw, logs))
    undisturbed = list(new_core(**RULES).process(log))
    core, outputs, at = new_core(**RULES), [], 0
    for _ in range(3):
        cut = data.draw(st.integers(at, len(log)))
        outputs += core.process(log[at:cut])
        blob, needed = core.snapshot(), core.needed_offset(cut)
        core = new_core(**RULES)
        core.restore(blob)
        assert core.snapshot() == blob
        at = needed
    outputs += core.process(log[at:])
    assert outputs == undisturbed


def cut_everywhere(messages: list[Any], **rules: Any) -> None:
    """A core that takes over after each record says what one says that ran on."""
    log = records(messages)
    undisturbed = list(new_core(**rules).process(log))
    for cut in range(len(log) + 1):
        core = new_core(**rules)
        outputs = core.process(log[:cut])
        blob, needed = core.snapshot(), core.needed_offset(cut)
        core = new_core(**rules)
        core.restore(blob)
        assert [*outputs, *core.process(log[needed:])] == undisturbed, f"cut before record {cut}"


def test_restore_keeps_the_order_in_which_alerts_go_on() -> None:
    """The one held back for longest first, though the source took it over from a window as the last."""
    window = Maintenance(name="m", labels={"host": "b"}, from_=iso(0), until=iso(100_000))
    rule = Inhibit(name="up", source=('service="payment"',), target=('service="gateway"',))
    source = firing("payment", at=10_000)
    first = firing("gateway", at=1_000, labels=(("host", "b"),))
    second = firing("gateway", "errors", at=20_000)
    messages = [first, source, second, mark(30_000), mark(150_000), resolved(source, 160_000), mark(END)]
    cut_everywhere(messages, maintenance=(window,), inhibit=(rule,))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_alert_ends_in_one_incident_or_one_record(data: st.DataObject) -> None:
    """At any time: in an incident, held back with a record that is active, or in a record that has ended."""
    alerts = data.draw(facts())
    logs: list[list[Any]] = [*shard_logs(alerts), list(actions(data.draw))]
    core = new_core(**RULES)
    outputs = list(core.process(records(interleave(data.draw, logs))))
    waiting = {h.alert.id for g in core.engine.groups.values() if g.opened_at is None for h in g.held}
    homes = [a for i in final(outputs).values() if i.state != "merged" for a in i.alerts]
    newest = {s.alert: s for s in said(outputs)}
    apart = [s.alert for s in newest.values() if s.outcome != "correlated"]
    ends = [*homes, *apart, *waiting]
    assert sorted(ends) == sorted({a.id for a in alerts})
    active = {s.alert for s in newest.values() if s.state == "active"}
    assert active == set(core.suppressor.holding.alerts)
    firing = {a.id for a in alerts} - {a.id for a in alerts if a.resolved_at is not None}
    assert active <= firing, "nothing is held back beyond its alert"


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_was_shown_is_resolved(data: st.DataObject) -> None:
    """Once all is quiet no member of an incident fires that has resolved, flapping or not.

    But one that stands for its series while that fires on.
    """
    alerts = data.draw(facts())
    logs = shard_logs(alerts)
    quiet: list[Message] = [ShardWatermark(i, SHARDS, T0 + 2 * END) for i in range(SHARDS)]
    incidents = final(as_run([*(m for log in logs for m in log), *quiet]))
    over = {a.id for a in alerts if a.resolved_at is not None}
    lasting = {a.fingerprint for a in alerts if a.id not in over}
    over -= {a.id for a in alerts if a.fingerprint in lasting}
    for incident in incidents.values():
        if incident.state != "merged":
            assert all(m.resolved_at is not None for m in incident.members if m.alert_id in over)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_inhibition_always_leaves_somebody_to_speak(data: st.DataObject) -> None:
    """Following `by` never comes back, whatever rules say of each other."""
    names = ("a", "b", "c", "d")
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=8))
    rules = tuple(
        Inhibit(name=str(i), source=(f'service="{one}"',), target=(f'service="{other}"',))
        for i, (one, other) in enumerate(pairs)
    )
    silences = tuple(
        Silence(name=name, matchers=(f'service="{name}"',), until=iso(data.draw(st.integers(1, 30)) * 10_000))
        for name in data.draw(st.lists(st.sampled_from(names), unique=True))
    )
    alerts: list[Alert] = [a for a in data.draw(facts()) if a.resolved_at is None]
    core = new_core(inhibit=rules, silences=silences, flap=Flap(enabled=False))
    from msgspec.structs import replace

    log: list[Message] = [replace(a, service=names[i % 4]) for i, a in enumerate(alerts)]
    core.process(records([*log, ShardWatermark(0, 1, T0 + END)]))
    held = core.suppressor.holding.alerts
    for id in held:
        seen, at = set(), id
        while at in held:
            assert at not in seen
            seen.add(at)
            at = held[at].by
        assert at, "silences are over by now: the last one is shown"


def test_a_changed_configuration_holds_at_once() -> None:
    """What the restored alert was held by is no more: it goes on with the next mark."""
    from tests.correlator.make import mark
    from tests.correlator.test_suppress import grave

    core = new_core(**RULES)
    core.process(records([grave("cart", 70_000, metric="cpu"), mark(80_000)]))
    assert core.suppressor.holding.alerts
    other = new_core()
    other.restore(core.snapshot())
    (incident,) = final(other.process(records([mark(80_001)], first=2))).values()
    assert incident.members[0].metric == "cpu"


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_rule_that_matches_nothing_is_no_rule(data: st.DataObject) -> None:
    """Without rules alerts go straight to the engine: that must not be told apart."""
    log = records(interleave(data.draw, shard_logs(data.draw(facts()))))
    nothing: dict[str, Any] = {"flap": Flap(enabled=False)}
    asked = {**nothing, "silences": (Silence(name="none", matchers=('service="nobody"',), until=iso(END)),)}
    straight, passed = new_core(**nothing), new_core(**asked)
    assert straight.suppressor.idle
    assert not passed.suppressor.idle
    assert list(straight.process(log)) == list(passed.process(log))
    assert straight.snapshot() == passed.snapshot()
