"""What is held back, why, until when, and what becomes of it then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from config.suppression import Dedup, Flap, Inhibit, Maintenance, Silence
from correlator.incident import Incident
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from streams.records.messages import ActionResult, SilenceAction
from streams.records.stage import Output
from tests.correlator.make import T0, Message, answers, final, firing, mark, new_core, records, resolved

MINUTE = 60_000
HOUR = 3_600_000
_said = msgspec.json.Decoder(Suppression | SilenceRecord)


def said(outputs: Iterable[Output]) -> list[Suppression]:
    found = [_said.decode(o.value or b"") for o in outputs if o.topic == "tocsin.suppressions"]
    return [one for one in found if isinstance(one, Suppression)]


def story(outputs: Iterable[Output]) -> list[tuple[str, str, str, int]]:
    """(kind, state or outcome, rule, ms after T0) of each version of a record, in order."""
    return [(s.kind, s.outcome or s.state, s.rule, s.at_ms - T0) for s in said(outputs)]


def play(*messages: Message | SilenceAction, **correlate: Any) -> tuple[list[Incident], list[Output]]:
    outputs = list(new_core(**correlate).process(records(messages)))
    return list(final(outputs).values()), outputs


def iso(at: int) -> str:
    """T0 + at as a silence states it; T0 is 2023-11-14T22:13:20Z."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp((T0 + at) / 1000, UTC).isoformat()


def grave(service: str = "payment", at: int = 0, **more: Any) -> Alert:
    """An alert that would open an incident at once."""
    return firing(service, at=at, **{"severity": "critical", "delay": 0, **more})


def add(
    name: str, at: int = 0, matchers: tuple[str, ...] = ('service="payment"',), **more: Any
) -> SilenceAction:
    silence = Silence(name=name, matchers=matchers, **{"until": iso(HOUR), **more})
    return SilenceAction(f"add-{name}-{at}", T0 + at, "add", silence, "ann")


def expire(name: str, at: int) -> SilenceAction:
    return SilenceAction(f"expire-{name}-{at}", T0 + at, "expire", Silence(name=name), "ann")


SILENCE = Silence(name="known", matchers=('service="payment"',), from_=iso(0), until=iso(10 * MINUTE))


# -- silences -----------------------------------------------------------------------------------


def test_a_silenced_alert_that_resolves_never_opens() -> None:
    """It ends in one record: why, since when, until when."""
    alert = grave(at=1_000)
    incidents, outputs = play(alert, mark(2_000), resolved(alert, 90_000), mark(HOUR), silences=(SILENCE,))
    assert not incidents
    active, ended = said(outputs)
    assert (active.alert, active.state, active.rule, active.reason) == (
        alert.id, "active", "known", "silence known",
    )  # fmt: skip
    assert (active.from_ms, active.until_ms) == (T0 + 1_000, T0 + 10 * MINUTE)
    assert (ended.version, ended.outcome, ended.until_ms) == (2, "resolved", T0 + 90_000)
    assert len(active.rule_version) == 8


def test_an_alert_still_firing_when_its_silence_ends_is_correlated_as_of_then() -> None:
    """Its own times stay, it is opened then, and the membership says where it has been."""
    alert = grave(at=1_000)
    (incident,), outputs = play(alert, mark(HOUR), silences=(SILENCE,))
    assert (incident.started_at, incident.opened_at) == (alert.started_at, T0 + 10 * MINUTE)
    assert [r.name for r in incident.members[0].reasons] == ["first", "released"]
    assert incident.members[0].reasons[1].detail == "held back for 10 min, until silence known has ended"
    assert story(outputs) == [
        ("silence", "active", "known", 1_000),
        ("silence", "correlated", "known", 10 * MINUTE),
    ]


def test_the_end_itself_is_not_silenced() -> None:
    """From is in, until is out."""
    assert not play(grave(at=0), mark(1), silences=(SILENCE,))[0]
    assert play(grave(at=10 * MINUTE), mark(10 * MINUTE), silences=(SILENCE,))[0]


def test_what_went_on_before_is_not_taken_back_and_its_resolve_passes() -> None:
    """A silence that begins later holds back only what fires from then on."""
    alert = grave(at=-1_000)
    (incident,), outputs = play(alert, mark(5_000), resolved(alert, 60_000), mark(HOUR), silences=(SILENCE,))
    assert incident.state == "closed"
    assert not said(outputs)


def test_an_alert_that_grows_beyond_its_silence_is_let_go() -> None:
    """Matchers see the severity."""
    mild = Silence(name="mild", matchers=('severity="warning"',))
    alert = firing("payment", delay=0)
    worse = msgspec.structs.replace(alert, version=2, severity="critical", last_seen_at=T0 + 5_000)
    (incident,), outputs = play(alert, mark(1_000), worse, mark(6_000), silences=(mild,))
    assert incident.opened_at == T0 + 5_000
    assert [outcome for _, outcome, _, _ in story(outputs)] == ["active", "correlated"]


def test_another_rule_takes_over_when_one_ends() -> None:
    """The record says which, when; the alert is not shown in between."""
    rest = Maintenance(name="work", services=("payment",), from_=iso(0), until=iso(20 * MINUTE))
    incidents, outputs = play(grave(), mark(15 * MINUTE), silences=(SILENCE,), maintenance=(rest,))
    assert not incidents
    assert story(outputs) == [
        ("silence", "active", "known", 0),
        ("maintenance", "active", "work", 10 * MINUTE),
    ]
    assert len({s.alert for s in said(outputs)}) == 1


def test_a_window_that_recurs_holds_again_and_again() -> None:
    """22:00 to 23:00 UTC each day; T0 is 22:13:20."""
    nightly = Silence(
        name="nightly",
        matchers=('service="payment"',),
        from_="2023-01-01T22:00",
        rrule="FREQ=DAILY",
        to="23:00",
    )
    assert not play(grave(), mark(1), silences=(nightly,))[0]
    assert play(grave(at=HOUR), mark(HOUR), silences=(nightly,))[0]
    assert not play(grave(at=24 * HOUR), mark(24 * HOUR), silences=(nightly,))[0]


@pytest.mark.parametrize(
    ("window", "held"),
    [
        ({"services": ("payment", "cart")}, True),
        ({"services": ("cart",)}, False),
        ({"labels": {"host": "a"}}, True),
        ({"labels": {"host": "a", "zone": "x"}}, False),
        ({"domains": ("prod",)}, True),
        ({"domains": ("test",)}, False),
        ({"services": ("payment",), "domains": ("test",)}, False),
    ],
)
def test_maintenance_is_by_service_label_and_domain(window: dict[str, Any], held: bool) -> None:
    """All that is named must fit."""
    alert = grave(resource=(("host", "a"), ("env", "prod")))
    rule = Maintenance(name="m", **window)
    incidents, _ = play(alert, mark(1_000), maintenance=(rule,), domain_label="env")
    assert (not incidents) == held


# -- silences made at run time --------------------------------------------------------------------


def test_a_silence_made_and_ended_at_run_time() -> None:
    """Ended while the alert fires: it goes on there and then, and the answer says how many do."""
    (incident,), outputs = play(
        mark(0), add("x", 1_000), grave(at=2_000), mark(5_000), expire("x", 6_000), mark(7_000)
    )
    assert incident.opened_at == T0 + 5_000
    first, second = answers(outputs)
    assert (first.applied, first.reason, first.state, first.silence) == (True, "applied", "active", "x")
    assert (second.state, second.alerts) == ("expired", 1)


def test_it_ends_by_itself_and_says_so() -> None:
    """A record of the silence each time, newest version last."""
    _, outputs = play(mark(0), add("x", 1_000), mark(2 * HOUR))
    found = [_said.decode(o.value or b"") for o in outputs if o.topic == "tocsin.suppressions"]
    assert [(s.state, s.at_ms) for s in found] == [("active", T0 + 1_000), ("expired", T0 + HOUR)]
    assert found[0].version < found[1].version


def test_the_same_action_twice_is_applied_once() -> None:
    """By its id, with the same answer."""
    _, outputs = play(mark(0), add("x"), expire("x", 5), add("x"), grave(at=1_000), mark(5_000))
    first, _, again = answers(outputs)
    assert first == again
    assert not said(outputs)


def test_a_silence_made_anew_replaces_the_one_of_that_name() -> None:
    """What only the old one held goes on."""
    again = add("x", 30, ('service="cart"',))
    (incident,), outputs = play(
        mark(0), add("x", 1), grave(at=10), mark(20), again, grave("cart", 40), mark(50)
    )
    assert [m.service for m in incident.members] == ["payment"]
    assert answers(outputs)[1].alerts == 1


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (add("known"), "silence 'known' stands in the configuration: change it there"),
        (expire("other", 0), "no silence 'other' is in force"),
        (
            add("x", until=""),
            "silence.until is '': expected a time; only the configuration silences without end",
        ),
        (add("x", until=iso(-1)), f"silence.until is '{iso(-1)}': expected a time to come"),
        (add("x", matchers=()), "silence.matchers is []: expected at least one matcher"),
        (add("x", matchers=("service",)), "silence.matchers[0] is 'service': expected a matcher such as"),
        (add("x", zone="Europe/Atlantis"), "silence.zone is 'Europe/Atlantis': expected an IANA time zone"),
        (
            add("x", from_=iso(0), rrule="FREQ=HOURLY", duration="1h"),
            "silence.rrule is 'FREQ=HOURLY': expected",
        ),
        (add("x", from_=iso(0), rrule="FREQ=DAILY"), "silence.duration is '': expected with rrule either"),
        (msgspec.structs.replace(add("x"), action="mute"), "unknown action 'mute'; known: add, expire"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_the_reason(action: SilenceAction, reason: str) -> None:
    """Key, value and what was expected; nothing is recorded."""
    _, outputs = play(mark(0), action, silences=(SILENCE,))
    (answer,) = answers(outputs)
    assert not answer.applied
    assert answer.reason.startswith(reason)
    assert len(outputs) == 1


# -- inhibition -----------------------------------------------------------------------------------

NODE = Inhibit(name="node", source=('metric="node.down"',), target=('metric!="node.down"',), equal=("host",))
A, B = (("host", "a"),), (("host", "b"),)


def node(at: int = 0, host: Any = A) -> Alert:
    return grave("infra", at, metric="node.down", resource=host)


def test_a_target_is_held_back_while_the_source_fires() -> None:
    """And asked again when it resolves."""
    source, target = node(), grave(at=1_000, resource=A)
    incidents, outputs = play(
        source, target, mark(2_000), resolved(source, 60_000), mark(70_000), inhibit=(NODE,)
    )
    assert {i.opened_at - T0 for i in incidents} == {0, 60_000} or len(incidents[0].members) == 2
    active, ended = said(outputs)
    assert (active.by, active.until_ms) == (source.id, None)
    assert active.reason == f"inhibited by infra: node.down (alert {source.id}), by rule node"
    assert (ended.outcome, ended.at_ms) == ("correlated", T0 + 60_000)


def test_labels_named_equal_must_be_equal() -> None:
    """Another host is another matter."""
    incidents, outputs = play(node(), grave(at=1_000, resource=B), mark(2_000), inhibit=(NODE,))
    assert {m.service for i in incidents for m in i.members} == {"infra", "payment"}
    assert not said(outputs)


def test_a_second_source_takes_over() -> None:
    """The record names it."""
    one, other = node(), grave("infra", 500, metric="node.down", resource=A, fingerprint="other", id="other")
    target = grave(at=1_000, resource=A)
    _, outputs = play(one, other, target, mark(2_000), resolved(one, 60_000), mark(70_000), inhibit=(NODE,))
    assert [s.by for s in said(outputs)] == [one.id, "other"]


def test_a_silenced_source_inhibits_all_the_same() -> None:
    """Who silences the cause does not want to hear of its consequences."""
    quiet = Silence(name="quiet", matchers=('metric="node.down"',))
    incidents, outputs = play(
        node(), grave(at=1_000, resource=A), mark(2_000), inhibit=(NODE,), silences=(quiet,)
    )
    assert not incidents
    assert [s.kind for s in said(outputs)] == ["silence", "inhibition"]


def test_what_inhibits_each_other_never_silences_all() -> None:
    """Two rules in a circle, and the first of the two is silenced for a while: one of them is shown."""
    circle = (
        Inhibit(name="ab", source=('service="a"',), target=('service="b"',)),
        Inhibit(name="ba", source=('service="b"',), target=('service="a"',)),
    )
    quiet = Silence(name="quiet", matchers=('service="a"',), until=iso(MINUTE))
    incidents, outputs = play(
        grave("a"), grave("b", 1_000), mark(2 * MINUTE), inhibit=circle, silences=(quiet,)
    )
    assert {m.service for i in incidents for m in i.members} == {"a"}
    assert [(s.service, s.kind, s.outcome) for s in said(outputs)] == [
        ("a", "silence", ""),
        ("b", "inhibition", ""),
        ("a", "silence", "correlated"),
    ]


def test_a_chain_is_followed_step_by_step() -> None:
    """A cluster speaks for its nodes, a node for its pods."""
    chain = (
        Inhibit(name="nodes", source=('service="cluster"',), target=('service="node"',)),
        Inhibit(name="pods", source=('service="node"',), target=('service="pod"',)),
    )
    cluster, one, pod = grave("cluster"), grave("node", 1_000), grave("pod", 2_000)
    incidents, _ = play(cluster, one, pod, mark(3_000), inhibit=chain)
    assert {m.service for i in incidents for m in i.members} == {"cluster"}
    incidents, _ = play(
        cluster, one, pod, mark(3_000), resolved(cluster, 60_000), mark(70_000), inhibit=chain
    )
    assert {m.service for i in incidents for m in i.members} == {"cluster", "node"}


def test_what_is_both_source_and_target_does_not_inhibit_its_like() -> None:
    """As in Alertmanager."""
    alike = Inhibit(name="alike", source=('severity="critical"',), target=('service=~"a|b"',))
    incidents, outputs = play(grave("a"), grave("b", 1_000), mark(2_000), inhibit=(alike,))
    assert not said(outputs)
    assert len({m.service for i in incidents for m in i.members}) == 2


# -- deduplication --------------------------------------------------------------------------------

REPLICAS = Dedup(name="replicas", by=("service", "metric"), matchers=('metric="errors"',))


def copy(which: str, at: int = 0, **more: Any) -> Alert:
    return grave(
        at=at, metric="errors", labels=(("replica", which),), fingerprint=which, id=f"{which}{at}", **more
    )


def test_the_first_of_duplicates_speaks_for_the_others() -> None:
    """Until it resolves; then the next one does."""
    a, b, c = copy("a"), copy("b", 1_000), copy("c", 2_000)
    (incident,), outputs = play(a, b, c, mark(5_000), dedup=(REPLICAS,))
    assert incident.alerts == (a.id,)
    assert [(s.alert, s.by) for s in said(outputs)] == [(b.id, a.id), (c.id, a.id)]
    (incident,), outputs = play(a, b, c, mark(5_000), resolved(a, 60_000), mark(70_000), dedup=(REPLICAS,))
    assert incident.alerts == (a.id, b.id)
    assert [(s.alert, s.by, s.outcome) for s in said(outputs)][2:] == [
        (b.id, a.id, "correlated"),
        (c.id, b.id, ""),
    ]


def test_it_speaks_on_for_the_window() -> None:
    """What comes again shortly after is the same, unless it lasts."""
    rule = msgspec.structs.replace(REPLICAS, window="5m")
    a, b = copy("a"), copy("b", 2 * MINUTE)
    _, outputs = play(a, mark(1_000), resolved(a, MINUTE), b, mark(5 * MINUTE), dedup=(rule,))
    assert story(outputs) == [("dedup", "active", "replicas", 2 * MINUTE)]
    _, outputs = play(a, mark(1_000), resolved(a, MINUTE), b, mark(7 * MINUTE), dedup=(rule,))
    assert story(outputs)[1] == ("dedup", "correlated", "replicas", 6 * MINUTE)


def test_a_silenced_alert_speaks_for_nobody() -> None:
    """Nor does it later: it was never shown."""
    quiet = Silence(name="quiet", matchers=('replica="a"',))
    a, b = copy("a"), copy("b", 1_000)
    rule = msgspec.structs.replace(REPLICAS, window="5m")
    (incident,), _ = play(a, b, mark(2_000), dedup=(rule,), silences=(quiet,))
    assert incident.alerts == (b.id,)
    late = copy("c", 2 * MINUTE)
    (incident,), _ = play(
        a, mark(2_000), resolved(a, MINUTE), late, mark(3 * MINUTE), dedup=(rule,), silences=(quiet,)
    )
    assert incident.alerts == (late.id,)


def test_matches_are_counted_by_version_of_the_rule() -> None:
    """Another `by` is another version, and begins at none."""
    core = new_core(dedup=(REPLICAS,))
    core.process(records([copy("a"), copy("b", 1), copy("c", 2), mark(5_000)]))
    (key,) = dict(core.suppressor.holding.matches.items())
    assert key.startswith("dedup/replicas/")
    assert core.suppressor.holding.matches.get(key) == 2
    changed = new_core(dedup=(msgspec.structs.replace(REPLICAS, by=("service",)),))
    assert changed.suppressor.relations.current("dedup", "replicas") != key.rpartition("/")[2]


# -- flapping -------------------------------------------------------------------------------------


def flaps(times: int, period: int = 2 * MINUTE) -> list[Message]:
    """A series that fires and resolves `times` times, half of each period firing."""
    log: list[Message] = []
    for i in range(times):
        alert = grave(at=i * period)
        log += [alert, resolved(alert, i * period + period // 2)]
    return log


def test_a_series_that_flaps_stays_one_alert_in_one_incident() -> None:
    """It opens once, is not reopened once it flaps, and says so."""
    log = flaps(12)
    (incident,), outputs = play(*log, mark(24 * MINUTE))
    assert incident.state in ("open", "reopened")
    flapping = [e for e in incident.timeline if e.kind == "flap"]
    assert [(e.text, e.at_ms - T0) for e in flapping] == [("flapping: 7 changes within 30 min", 6 * MINUTE)]
    assert incident.reopened == 3  # the fourth fire is what shows it
    assert [s.kind for s in said(outputs)] == ["flap"] * 16
    assert {s.by for s in said(outputs)} == {log[6].id}  # type: ignore[union-attr]


def test_it_is_resolved_when_it_has_calmed_down() -> None:
    """Two changes within half an hour are calm; the resolve is that of the last one."""
    (incident,), _ = play(*flaps(12), mark(3 * HOUR))
    assert incident.state == "closed"
    last = 11 * 2 * MINUTE + MINUTE
    assert incident.resolved_at == T0 + last
    (end,) = [e for e in incident.timeline if e.text == "no longer flapping"]
    # The third change from the end, a resolve, leaves the window.
    assert end.at_ms - T0 == last - 2 * MINUTE + 30 * MINUTE


def test_one_that_fires_on_while_it_calms_down_ends_the_incident_when_it_resolves() -> None:
    """It remains the alert that stands for it."""
    last = grave(at=24 * MINUTE)
    log = [*flaps(12), last, mark(2 * HOUR)]
    (incident,), _ = play(*log)
    assert incident.state in ("open", "reopened")
    (incident,), outputs = play(*log, resolved(last, 2 * HOUR + 1), mark(4 * HOUR))
    assert (incident.state, incident.resolved_at) == ("closed", T0 + 2 * HOUR + 1)
    assert said(outputs)[-1].outcome == "resolved"


def test_calm_has_hysteresis() -> None:
    """Between the two numbers it stays what it is."""
    core = new_core(flap=Flap(transitions=3, calm=1, window="10m"))
    times = iter([grave(at=i * MINUTE) for i in range(8)])
    log: list[Message] = []
    for alert in times:
        log += [alert, resolved(alert, alert.started_at - T0 + MINUTE // 2)]
        if len(log) == 6:
            break
    core.process(records([*log, mark(3 * MINUTE)]))
    assert core.suppressor.flapping.flapping == 1
    # Changes at 0, 0.5, 1, ... 2.5 min: two are left at 12 min, one is at 12 min and a moment.
    core.process(records([mark(12 * MINUTE - 1)], first=10))
    assert core.suppressor.flapping.flapping == 1
    core.process(records([mark(12 * MINUTE + 1)], first=11))
    assert core.suppressor.flapping.flapping == 0


def test_without_flap_control_everything_passes() -> None:
    """As it comes."""
    (incident,), outputs = play(*flaps(12), mark(24 * MINUTE), flap=Flap(enabled=False))
    assert not said(outputs)
    assert incident.reopened == 11


def test_a_flapping_series_that_is_silenced_stays_silent() -> None:
    """The silence comes first, and nobody is told of its flapping."""
    always = Silence(name="always", matchers=('service="payment"',))
    incidents, outputs = play(*flaps(12), mark(3 * HOUR), silences=(always,))
    assert not incidents
    assert {s.kind for s in said(outputs)} == {"silence"}


# -- bounds and telemetry -------------------------------------------------------------------------


def test_beyond_the_bound_the_longest_held_goes_on() -> None:
    """Rather shown than lost; counted."""
    core = new_core(silences=(SILENCE,))
    core.suppressor.holding.most = 2
    outputs = list(core.process(records([*(grave(at=i, metric=f"m{i}") for i in range(3)), mark(10)])))
    (incident,) = final(outputs).values()
    assert [m.metric for m in incident.members] == ["m0"]
    assert core.telemetry().totals["evicted", "suppressed_alerts"] == 1
    assert core.telemetry().totals["dropped", "suppressed_silence"] == 3
    assert core.telemetry().levels["suppressed_alerts"] == 2


def test_an_alert_whose_group_never_opens_is_recorded_too() -> None:
    """One warning for a moment is no incident, and no secret either."""
    alert = firing("payment", delay=0)
    incidents, outputs = play(alert, mark(1_000), resolved(alert, 5_000), mark(HOUR))
    assert not incidents
    (record,) = said(outputs)
    assert (record.kind, record.outcome, record.alert) == ("unopened", "resolved", alert.id)


def test_an_answer_is_an_action_result() -> None:
    """On the topic of all answers."""
    _, outputs = play(mark(0), add("x"))
    assert isinstance(answers(outputs)[0], ActionResult)
    assert [o.topic for o in outputs] == ["tocsin.suppressions", "tocsin.action-results"]
