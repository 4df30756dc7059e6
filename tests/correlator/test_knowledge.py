"""Incidents that look alike find each other; what people found out comes back; what recurs is a problem."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.domain import DomainCore
from correlator.group import Finding
from correlator.incident import Incident
from correlator.past import Knowledge, Past, Problem
from correlator.pastbook import FEW, NEAR, PastBook, _plain
from correlator.problems import joined, opened
from correlator.symptoms import signature, symptoms
from detectors.alert import Alert
from streams.records.messages import Action, Change
from streams.records.stage import Output
from tests.correlator.make import T0, Message, answers, final, firing, mark, new_core, records, resolved

HOUR = 3_600_000
DAY = 24 * HOUR


def fault(at: int, *services: str, log: str = "", severity: str = "critical") -> list[Message]:
    """An incident of these services that ends after a minute and has closed after half an hour."""
    found = [
        firing(s, "http.server.duration.p95", at + 1_000 * n, severity=severity)
        for n, s in enumerate(services)
    ]
    if log:
        found.append(firing(services[0], log, at + 500, kind="log", severity="error"))
    found.sort(key=lambda a: a.detected_at)
    over = [resolved(alert, at + 60_000) for alert in found]
    return [*found, mark(at + 59_000), *over, mark(at + 30 * 60_000)]


def record(incident: str, at: int = 0, action: str = "record", **said: str) -> Action:
    return Action(f"{action}-{incident}-{at}", T0 + at, incident, action, "ann", **said)


def said(outputs: list[Output]) -> list[tuple[str, Problem | Knowledge]]:
    """(last parts of the event type, record) of what was written about problems."""
    found = []
    for output in outputs:
        if output.topic == "tocsin.problems":
            event = msgspec.json.decode(output.value or b"")
            fact = msgspec.convert(event["data"], Problem | Knowledge)
            found.append((event["type"].removeprefix("tocsin."), fact))
    return found


def problems(outputs: list[Output]) -> list[Problem]:
    return [fact for _, fact in said(outputs) if isinstance(fact, Problem)]


def by_start(outputs: list[Output]) -> list[Any]:
    return sorted(final(outputs).values(), key=lambda i: i.started_at)


def played(*logs: list[Message], **correlate: Any) -> list[Output]:
    messages = [message for log in logs for message in log]
    return list(new_core(**correlate).process(records(messages)))


def first_id(log: list[Message]) -> str:
    (incident,) = final(new_core().process(records(log))).values()
    return incident.id


FIRST = fault(0, "payment", "checkout", log="connection refused by <ip> pool")
CAUSE = {"cause": "connection pool too small", "cause_service": "payment", "fix": "raised the pool to 50"}


def test_a_closed_incident_is_similar_to_the_next_one_and_says_in_what() -> None:
    one, two = by_start(
        played(FIRST, fault(DAY, "payment", "checkout", log="connection refused by <ip> pool"))
    )
    (similar,) = two.similar
    assert (similar.id, similar.closed_at, similar.same) == (one.id, one.closed_at, True)
    assert similar.similarity == 1.0
    assert "payment latency up" in similar.why
    assert "payment says: connection pool refused" in similar.why
    assert not one.similar
    assert one.signature == two.signature


def test_an_incident_of_other_services_or_words_is_not_similar() -> None:
    """Also one beside it in time: only what had closed when it opened."""
    other = fault(DAY, "cart", "store", log="certificate expired")
    one, two = by_start(played(FIRST, other))
    assert two.similar == ()
    assert one.signature != two.signature
    beside = sorted(
        [*fault(0, "payment", "checkout")[:2], *fault(5_000, "store", "cart")[:2]],
        key=lambda a: a.detected_at,
    )
    assert all(i.similar == () for i in by_start(played([*beside, mark(60_000)])))


def test_the_recorded_cause_is_suggested_and_is_evidence_for_its_service() -> None:
    """The cause was in a service that shows nothing itself."""
    id = first_id(FIRST)
    hidden = {**CAUSE, "cause_service": "vault"}
    again = fault(DAY, "payment", "checkout", log="connection refused by <ip> pool")
    out = played(FIRST, [record(id, HOUR, **hidden)], again)
    two = by_start(out)[1]
    assert two.suggestion == (
        "the last time this was: vault: connection pool too small; fixed by: raised the pool to 50"
        f" (incident {id}, 2023-11-14)"
    )
    assert (two.similar[0].cause, two.similar[0].fix) == (
        "connection pool too small",
        "raised the pool to 50",
    )
    (hint,) = [h for h in two.hints if h.service == "vault"]
    (evidence,) = hint.evidence
    assert (evidence.kind, evidence.ref) == ("similar", id)
    assert 0.2 < evidence.weight < 0.22
    assert id in evidence.text
    assert "100% alike" in evidence.text
    assert two.hints[0].service != "vault", "the past alone outweighs nothing that is seen now"


def test_a_cause_recorded_with_the_resolve_counts_like_one_recorded_after_closing() -> None:
    log = fault(0, "payment", "checkout")
    id = first_id(log)
    early = [*log[:2], mark(30_000), record(id, 40_000, "resolve", **CAUSE), *log[2:]]
    late = [*log, record(id, HOUR, **CAUSE)]
    again = fault(DAY, "payment", "checkout")
    for messages in (early, late):
        out = played(messages, again)
        assert all(a.applied for a in answers(out))
        assert by_start(out)[1].similar[0].cause == CAUSE["cause"]
        (known,) = [fact for _, fact in said(out) if isinstance(fact, Knowledge)]
        assert (known.incident, known.cause, known.fix, known.actor) == (
            id,
            CAUSE["cause"],
            CAUSE["fix"],
            "ann",
        )
    entries = [e.text for e in by_start(played(early))[0].timeline if e.kind == "action"]
    expected = "ann recorded cause: payment: connection pool too small; fixed by: raised the pool to 50"
    assert expected in entries


def test_what_is_said_later_corrects_and_what_is_not_said_stays() -> None:
    id = first_id(FIRST)
    out = played(FIRST, [record(id, HOUR, **CAUSE), record(id, HOUR + 1, fix="restarted it")])
    first, second = [fact for _, fact in said(out) if isinstance(fact, Knowledge)]
    assert (second.version, second.cause, second.fix) == (first.version + 1, CAUSE["cause"], "restarted it")


def test_a_finding_is_refused_with_its_reason() -> None:
    """And the same action is answered the same way, applied once."""
    id = first_id(FIRST)
    empty, unknown = record(id, HOUR), record("0" * 16, HOUR, **CAUSE)
    long = record(id, HOUR + 1, cause="x" * 2_001)
    good = record(id, HOUR + 2, **CAUSE)
    out = played(FIRST, [empty, unknown, long, good, good])
    reasons = [(a.applied, a.reason) for a in answers(out)]
    assert reasons == [
        (False, "say what the cause was, or what helped"),
        (False, "no such incident, or it is closed"),
        (False, "cause has 2001 characters, at most 2000 are kept"),
        (True, "applied"),
        (True, "applied"),
    ]
    assert len(said(out)) == 1


def test_the_third_in_thirty_days_opens_a_problem_with_its_incidents() -> None:
    days = (0, 10, 29)
    out = played(*(fault(d * DAY, "payment", "checkout") for d in days))
    found = by_start(out)
    (problem,) = problems(out)
    assert said(out)[0][0] == "problem.opened"
    assert (problem.state, problem.version, problem.count) == ("open", 1, 3)
    assert problem.incidents == tuple(i.id for i in found)
    assert (problem.first_seen, problem.last_seen) == (found[0].started_at, found[2].started_at)
    assert problem.title == "payment is slow"
    assert problem.services == ("checkout", "payment")
    assert problem.interval_ms == 14.5 * DAY
    assert [i.problem for i in found] == ["", "", problem.id]


def test_the_third_after_thirty_days_does_not_and_both_numbers_are_settings() -> None:
    logs = [fault(d * DAY, "payment", "checkout") for d in (0, 10, 31)]
    assert problems(played(*logs)) == []
    assert len(problems(played(*logs, problem_window_ms=32 * DAY))) == 1
    assert len(problems(played(*logs[:2], problem_incidents=2))) == 1


def test_a_problem_with_a_recorded_cause_is_a_known_error() -> None:
    """Recorded before it opened, or after."""
    logs = [fault(d * DAY, "payment", "checkout") for d in range(3)]
    id = first_id(logs[0])
    before = problems(played(logs[0], [record(id, HOUR, **CAUSE)], *logs[1:]))
    after = problems(played(*logs, [record(id, 3 * DAY, **CAUSE)]))
    assert [p.state for p in before] == ["known_error"]
    assert [p.state for p in after] == ["open", "known_error"]
    for problem in (before[-1], after[-1]):
        assert (problem.cause, problem.cause_service, problem.fix) == tuple(CAUSE.values())


def test_a_closed_problem_is_open_again_when_it_comes_back() -> None:
    """Later ones join; versions grow by the facts."""
    logs = [fault(d * DAY, "payment", "checkout") for d in range(5)]
    (problem,) = problems(played(*logs[:3]))

    def act(verb: str, at: int, note: str = "") -> Action:
        return Action(f"p-{verb}", T0 + at, "", verb, "ann", note, problem=problem.id)

    steps = [act("workaround", 3 * DAY - 2, "fail over by hand"), act("close", 3 * DAY - 1)]
    out = played(*logs[:3], steps, *logs[3:])
    assert [(a.applied, a.state, a.problem) for a in answers(out)] == [
        (True, "open", problem.id),
        (True, "closed", problem.id),
    ]
    kinds = [kind for kind, _ in said(out)]
    assert kinds == [
        "problem.opened",
        "problem.updated",
        "problem.closed",
        "problem.reopened",
        "problem.updated",
    ]
    told = problems(out)
    assert [p.version for p in told] == [1, 2, 3, 4, 5]
    assert [p.state for p in told] == ["open", "open", "closed", "open", "open"]
    assert (told[-1].count, told[-1].reopened, told[-1].workaround) == (5, 1, "fail over by hand")
    assert told[2].closed_at == T0 + 3 * DAY - 1
    assert told[-1].closed_at is None


def test_illegal_steps_of_a_problem_are_refused_with_the_reason() -> None:
    logs = [fault(d * DAY, "payment", "checkout") for d in range(3)]
    (problem,) = problems(played(*logs))
    steps = [
        Action(f"p{n}", T0 + 3 * DAY + n, "", verb, "ann", note, problem=id)
        for n, (verb, note, id) in enumerate(
            [
                ("workaround", "", problem.id),
                ("reopen", "", problem.id),
                ("acknowledge", "", problem.id),
                ("close", "", "nonsense"),
                ("resolve", "", problem.id),
                ("resolve", "", problem.id),
            ]
        )
    ]
    got = [(a.applied, a.reason) for a in answers(played(*logs, list(steps)))]
    assert got == [
        (False, "say what the workaround is"),
        (False, "cannot reopen a problem that is open"),
        (False, "unknown action 'acknowledge' on a problem; known: workaround, resolve, close, reopen"),
        (False, "no such problem, or it is no longer remembered"),
        (True, "applied"),
        (False, "cannot resolve a problem that is resolved"),
    ]


def test_merged_incidents_count_once_and_undone_ones_for_themselves() -> None:
    def two(day: int) -> list[Message]:
        both = [
            firing("payment", at=day * DAY, severity="critical"),
            firing("store", at=day * DAY + 500, severity="critical"),
        ]
        return [*both, mark(day * DAY + 30_000)]

    def ends(day: int) -> list[Message]:
        log = two(day)
        over = [resolved(a, day * DAY + 60_000) for a in log if isinstance(a, Alert)]
        return [*over, mark(day * DAY + 1_800_000)]

    ids = sorted(final(new_core().process(records(two(0)))), key=str)
    assert len(ids) == 2
    merge = Action("m", T0 + 31_000, ids[0], "merge", "ann", "", (ids[1],))
    undo = Action("u", T0 + 32_000, ids[1], "undo", "ann")
    core = new_core()
    core.process(records([*two(0), merge, *ends(0)]))
    assert [p.id for p, _ in core.engine.state.knowledge.book.entries()[1]] == [ids[0]]
    core = new_core()
    core.process(records([*two(0), merge, undo, *ends(0)]))
    assert sorted(p.id for p, _ in core.engine.state.knowledge.book.entries()[1]) == ids


def test_a_finding_goes_with_a_merge_and_comes_back_with_its_undoing() -> None:
    both = [firing("payment", severity="critical"), firing("store", at=500, severity="critical")]
    ids = sorted(final(new_core().process(records([*both, mark(30_000)]))))
    merge = Action("m", T0 + 31_000, ids[0], "merge", "ann", "", (ids[1],))
    undo = Action("u", T0 + 32_000, ids[1], "undo", "ann")
    core = new_core()
    core.process(records([*both, mark(30_000), record(ids[1], 30_500, **CAUSE), merge]))
    finding = core.engine.groups[ids[0]].finding
    assert finding is not None
    assert finding.cause == CAUSE["cause"]
    core.process(records([undo], first=5))
    assert core.engine.groups[ids[0]].finding is None
    assert core.engine.groups[ids[1]].finding == finding


SERVICES = ("payment", "checkout", "cart", "store", "gateway")


@st.composite
def history(draw: st.DrawFn) -> list[Message]:
    """Incidents of a few kinds over weeks, some with causes, some problems handled by people."""
    log: list[Message] = []
    for n in range(draw(st.integers(3, 7))):
        day = 3 * n * DAY
        services = draw(st.lists(st.sampled_from(SERVICES[:3]), min_size=1, max_size=2, unique=True))
        words = draw(st.sampled_from(("", "connection refused", "disk full")))
        one = fault(day, *services, log=words)
        log += one
        if draw(st.booleans()):
            alert = one[0]
            assert isinstance(alert, Alert)
            found = final(new_core().process(records(one)))
            log.append(record(min(found), day + HOUR, **CAUSE))
        log.append(mark(day + DAY))
    return log


def _cut(draw: st.DrawFn, log: list[Message], **correlate: Any) -> tuple[DomainCore, list[Output]]:
    """The log through cores that give way to each other somewhere, in pages of any size."""
    all = records(log)
    core, out, at = new_core(**correlate), [], 0
    for _ in range(3):
        cut = draw(st.integers(at, len(all)))
        out += core.process(all[at:cut])
        blob, at = core.snapshot(), core.needed_offset(cut)
        core = new_core(**correlate)
        core.restore(blob)
    return core, [*out, *core.process(all[at:])]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_restarts_change_nothing_of_what_the_past_says(data: st.DataObject) -> None:
    """Byte for byte: incident versions, problems, knowledge, and the memory itself."""
    log = data.draw(history())
    whole = new_core(problem_incidents=2)
    expected = whole.process(records(log))
    core, out = _cut(data.draw, log, problem_incidents=2)
    assert {o.value for o in out} == {o.value for o in expected}
    assert [o.value for o in out if o.topic == "tocsin.problems"] == [
        o.value for o in expected if o.topic == "tocsin.problems"
    ]
    assert core.snapshot() == whole.snapshot()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_change_recorded_late_finds_the_same_past(data: st.DataObject) -> None:
    """Up to the closing of the incident it belongs to."""
    past = [message for n in range(3) for message in fault(n * DAY, "payment", "checkout", log="disk full")]
    change = Change("c1", T0 + 3 * DAY - 5_000, "payment")
    now = fault(3 * DAY, "payment", "checkout", log="disk full")[:-1]
    where = data.draw(st.integers(0, len(now)))
    early = final(new_core().process(records([*past, change, *now])))
    late = final(new_core().process(records([*past, *now[:where], change, *now[where:]])))
    assert {k: msgspec.json.encode(v) for k, v in early.items()} == {
        k: msgspec.json.encode(v) for k, v in late.items()
    }


def _past(number: int, shown: tuple[str, ...], domain: str = "default") -> Past:
    return Past(number, f"i{number}", domain, "s", "w", "t", number, number, [], shown)


def _shown(*pairs: tuple[str, str]) -> tuple[str, ...]:
    return symptoms([firing(service, metric) for service, metric in pairs])


def test_the_book_forgets_the_oldest_first_and_counts_that() -> None:
    book = PastBook(most=3)
    shown = _shown(("payment", "latency"))
    for number in range(1, 6):
        book.add(_past(number, shown))
    assert [p.id for p, _ in book.entries()[1]] == ["i3", "i4", "i5"]
    assert book.evicted == 2
    assert [n.past.id for n in book.nearest(shown, "default", book.next)] == ["i5", "i4", "i3"]
    assert [n.past.id for n in book.nearest(shown, "default", 5)] == ["i4", "i3"], "not what closed later"
    assert book.nearest(shown, "other", book.next) == [], "domains do not mix"


def test_what_every_incident_shows_is_little_likeness() -> None:
    """Rare symptoms decide, also when many share the common one and nearest neighbours are asked."""
    book = PastBook()
    common = ("gateway", "latency")
    for number in range(1, 4 * FEW):
        book.add(_past(number, _shown(common, (f"service-{number}", "errors"))))
    asked = _shown(common, ("service-7", "errors"))
    first, second, *_ = book.nearest(asked, "default", book.next)
    assert first.past.id == "i7"
    assert first.similarity == 1.0
    assert second.similarity < 0.35
    assert first.shared[0].startswith("kind\0service-7\0") or first.shared[0].startswith(
        "metric\0service-7\0"
    )


def test_few_and_many_are_found_alike() -> None:
    """The way over nearest neighbours names whom a look at all of them names."""
    book = PastBook()
    kinds = [(s, m) for s in SERVICES for m in ("latency", "errors", "cpu")]
    for number in range(1, 60):
        book.add(_past(number, _shown(kinds[number % 15], kinds[(number * 7) % 15])))
    asked = _shown(kinds[3], kinds[6])
    near = {p.id for p in book._near(asked)}
    for past, _ in book.entries()[1]:
        shown = book.get(past.id).symptoms
        if _plain(asked, shown) > NEAR + 0.01:
            assert past.id in near
        elif _plain(asked, shown) < NEAR - 0.01:
            assert past.id not in near
    assert 0 < len(near) < 59


def test_a_signature_forgets_numbers_ids_and_who_else_suffers() -> None:
    def of(*alerts: Alert) -> str:
        return signature("default", "payment", alerts).id

    slow = firing("payment", "http.server.duration.p95")
    assert of(slow) == of(firing("payment", "http.server.duration.p50", 5_000), firing("checkout"))
    log = firing("payment", "timeout after <num> ms to <ip>", kind="log", severity="error")
    other = firing("payment", "card declined", kind="log", severity="error")
    assert of(slow) != of(log) != of(other)
    assert of(log) == of(log, slow), "what is graver decides"
    assert signature("default", "payment", [log]).words == "payment logs failures: timeout after"
    assert signature("other", "payment", [slow]).id != of(slow)


def test_what_is_mostly_alike_is_suggested_and_what_is_hardly_alike_is_not_named() -> None:
    """Other series of the same services, so that nothing but likeness tells."""
    past = fault(0, "payment", "checkout", "gateway")

    def after(*services: str) -> Incident:
        now = [firing(s, "rpc.duration", DAY + 100 * n, severity="critical") for n, s in enumerate(services)]
        log = [past, [record(first_id(past), HOUR, **CAUSE)], now, [mark(DAY + 60_000)]]
        return by_start(played(*log))[1]

    likely, hardly = after("payment", "checkout", "gateway"), after("store", "cart", "gateway")
    assert 0.5 < likely.similar[0].similarity < 0.9
    assert likely.suggestion
    assert "similar" in [e.kind for h in likely.hints for e in h.evidence]
    assert hardly.similar == ()


def test_what_is_somewhat_alike_is_named_without_a_suggestion() -> None:
    past = fault(0, "payment", "checkout", log="disk full")
    other = [firing("payment", "rpc.duration", DAY, severity="critical"), mark(DAY + 60_000)]
    two = by_start(played(past, [record(first_id(past), HOUR, **CAUSE)], other))[1]
    (similar,) = two.similar
    assert 0.35 <= similar.similarity < 0.5
    assert similar.cause == CAUSE["cause"]
    assert not two.suggestion
    alien = [firing("checkout", "jvm.gc", DAY, severity="critical"), mark(DAY + 60_000)]
    assert by_start(played(past, alien))[1].similar == ()


def test_five_are_named_and_the_one_whose_cause_is_known_is_among_them() -> None:
    """Although six newer ones are as similar."""
    logs = [fault(d * DAY, "payment", "checkout") for d in range(8)]
    id = first_id(logs[0])
    last = by_start(played(logs[0], [record(id, HOUR, **CAUSE)], *logs[1:]))[-1]
    assert len(last.similar) == 5
    assert last.similar[-1].id == id
    assert id in last.suggestion


def test_a_cause_recorded_meanwhile_shows_with_the_next_version() -> None:
    one, now = fault(0, "payment", "checkout"), fault(DAY, "payment", "checkout")
    log = [one, [now[0], mark(DAY + 10_000)], [record(first_id(one), DAY + 10_000, **CAUSE)], now[1:]]
    assert CAUSE["cause"] in by_start(played(*log))[1].suggestion


def test_what_closed_after_it_opened_is_not_its_past() -> None:
    """However often it is looked at again."""
    long = firing("payment", "slow.duration", severity="critical")
    short = firing("payment", "other.duration", 20 * 60_000, severity="critical")
    over = resolved(short, 21 * 60_000)
    end = resolved(long, 60 * 60_000)
    log = [long, mark(1_200_000), short, mark(1_250_000), over, mark(3_500_000), end, mark(9_000_000)]
    first, second = by_start(played(log))
    assert (first.state, second.state) == ("closed", "closed")
    assert first.closed_at > second.closed_at
    assert first.similar == ()


def test_a_split_off_incident_has_the_past_of_what_it_was_part_of() -> None:
    past = fault(0, "payment", "checkout")
    now = fault(DAY, "payment", "checkout")[:3]
    out = played(past, now)
    id = by_start(out)[1].id
    split = Action("s", T0 + DAY + 50_000, id, "split", "ann", "", ("checkout",))
    found = by_start(played(past, now, [split]))
    (new,) = [i for i in found if {m.service for m in i.members} == {"checkout"}]
    assert [s.id for s in new.similar] == [found[0].id]


def test_a_cause_of_an_incident_outside_the_problem_is_not_the_problems() -> None:
    """It began more than thirty days before the others."""
    logs = [fault(d * DAY, "payment", "checkout") for d in (0, 40, 50, 60)]
    out = played(*logs, [record(first_id(logs[0]), 61 * DAY, **CAUSE)])
    (problem,) = problems(out)
    assert problem.count == 3
    assert problem.cause == ""


def test_a_problem_names_its_newest_hundred_incidents_and_counts_all() -> None:
    shown = _shown(("payment", "latency"))
    problem = opened([_past(n, shown) for n in (1, 2, 3)], 3)
    for number in range(4, 121):
        problem = joined(problem, _past(number, shown), number)
    assert problem.count == 120
    assert problem.incidents == tuple(f"i{n}" for n in range(21, 121))
    assert (problem.first_seen, problem.last_seen, problem.interval_ms) == (1, 120, 1)


def test_of_many_alike_the_one_with_a_cause_is_compared() -> None:
    """Also the oldest of more than are compared exactly."""
    book, shown = PastBook(), _shown(("payment", "latency"))
    for number in range(1, 91):
        past = _past(number, shown)
        past.finding = Finding("pool", "payment", "", "", "ann", 0, 1) if number == 1 else None
        book.add(past)
    found = [near.past.id for near in book.nearest(shown, "default", book.next)]
    assert len(found) == 64
    assert "i1" in found
    assert "i90" in found


def test_what_a_caller_measures_of_its_callee_speaks_of_the_callee() -> None:
    """Faults of two callees that one caller sees are not alike."""

    def seen(callee: str) -> tuple[str, ...]:
        alert = firing("gateway", "rpc.client.duration.p95", labels=(("peer.service", callee),))
        return symptoms([alert], (), {"gateway", "payment", "cart"})

    assert seen("payment") == (
        "kind\0payment\0latency up for its callers",
        "metric\0gateway\0rpc.client.duration to payment",
    )
    assert not set(seen("payment")) & set(seen("cart"))
    assert seen("nobody-known")[0] == "kind\0gateway\0latency up"


def test_a_change_is_a_symptom_and_numbers_are_none() -> None:
    shown = symptoms(
        [firing("payment", "took <num> ms id42", **{"kind": "log"})], [Change("c", T0, "payment")]
    )
    assert shown == (
        "change\0payment\0deployment",
        "kind\0payment\0logs something new",
        "word\0payment\0took",
    )
