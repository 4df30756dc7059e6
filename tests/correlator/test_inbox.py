"""Held facts leave in the order of event time; timers in the order of time, group, step."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.inbox import Inbox, key_of
from correlator.index import NEVER, Timers
from tests.correlator.make import firing

FACTS = st.builds(
    firing,
    st.sampled_from(("gateway", "payment")),
    st.sampled_from(("latency", "errors")),
    st.integers(0, 40).map(lambda n: n * 250),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FACTS, max_size=30), st.data())
def test_facts_leave_in_order_however_they_come(facts: list, data: st.DataObject) -> None:
    """Some are taken out in between; what comes then at or before what was released is a repetition."""
    inbox, left, put = Inbox(1_000), [], {}
    for offset, fact in enumerate(facts):
        key = key_of(fact, b"")
        known = key in put or key[0] <= inbox.released_ms
        before = inbox.repeated
        assert not inbox.put(fact, msgspec.json.encode(fact), offset)
        assert inbox.repeated - before == known
        if not known:
            put[key] = offset
        until = data.draw(st.sampled_from((None, None, key[0] - 1, key[0])))
        while until is not None and (at := inbox.next_at()) is not None and at <= until:
            left.append((at, inbox.pop()))
        inbox.released_ms = max(inbox.released_ms, until or inbox.released_ms)
        held = [key for key in put if key not in {key_of(f, b"") for _, (_, f) in left}]
        assert inbox.next_at() == min((key[0] for key in held), default=None)
        assert inbox.offsets() == sorted(put[key] for key in held)
    while inbox.next_at() is not None:
        left.append((inbox.next_at(), inbox.pop()))
    assert [key_of(fact, b"") for _, (_, fact) in left] == sorted(put)
    assert all(at == said for at, (said, _) in left)
    assert not len(inbox)


def test_beyond_its_bound_the_earliest_facts_are_due() -> None:
    """And it says so, and counts."""
    inbox = Inbox(2)
    facts = [firing("gateway", at=at) for at in (9_000, 3_000, 5_000)]
    assert [inbox.put(fact, b"", offset) for offset, fact in enumerate(facts)] == [False, False, True]
    assert inbox.released_ms == inbox.next_at() == facts[1].detected_at
    assert inbox.forced == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.none() | st.integers(0, 9)), max_size=30
    )
)
def test_timers_fall_due_in_order_and_never_before_the_soonest(sets: list) -> None:
    """Moved and cancelled as may be."""
    timers, due = Timers(), {}
    for group, step, at in sets:
        timers.set(group, step, at)
        due[group, step] = at
        assert timers.soonest <= min((at for at in due.values() if at is not None), default=NEVER)
    expected = sorted((at, *key) for key, at in due.items() if at is not None)
    assert timers.entries() == expected
    found = []
    while timers.next_due() is not None:
        assert timers.soonest == timers.next_due()
        found.append(timers.pop())
    assert found == expected
    assert timers.soonest == NEVER
