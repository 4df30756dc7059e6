"""What is kept of a group's alerts says the same as reading all of them again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from correlator.hints import Scene, rank
from correlator.signs import Signs
from detectors.alert import Alert
from tests.correlator.make import firing

SERVICES = ("gateway", "checkout", "payment", "cart")
CALLS = (("gateway", "checkout", 0.0), ("checkout", "payment", 0.2))
MINUTE = 60_000


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    kind = draw(st.sampled_from(("metric", "metric", "log", "absent")))
    return firing(
        draw(st.sampled_from(SERVICES)),
        draw(st.sampled_from(("latency", "client.duration", "cpu.utilization", "requests"))),
        draw(st.integers(0, 30)) * 1_000,
        kind=kind,
        strength=draw(st.sampled_from((4.0, 20.0, -9.0))),
        severity=draw(st.sampled_from(("warning", "critical"))),
        labels=draw(st.sampled_from(((), (("peer.service", "payment"),)))),
        samples=("checkout is away",) if kind == "log" else (),
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_hints_from_what_was_kept_equal_those_from_all_alerts(data: st.DataObject) -> None:
    """Alerts come, get stronger, weaker or other words, leave; and other services get known."""
    held: list[Alert] = []
    signs = Signs()
    for _ in range(data.draw(st.integers(2, 6))):
        known = {a.id for a in held}
        held += [
            a
            for a in data.draw(st.lists(alerts(), max_size=5, unique_by=lambda a: a.id))
            if a.id not in known
        ]
        for index, alert in enumerate(held):
            held[index] = replace(alert, **data.draw(st.sampled_from(NEWS)))
        if held and data.draw(st.integers(0, 4)) == 0:
            held.pop(data.draw(st.integers(0, len(held) - 1)))
        scene = Scene(list(held), data.draw(st.sampled_from((CALLS, CALLS[:1], ()))), [], MINUTE)
        assert rank(scene, signs) == rank(scene)


NEWS: tuple[dict[str, object], ...] = (
    *({}, {}, {"version": 2, "summary": "over"}, {"strength": 30.0}, {"strength": 3.0}),
    *({"severity": "critical"}, {"samples": ("payment is away",)}, {"started_at": 1_700_000_000_500}),
)
