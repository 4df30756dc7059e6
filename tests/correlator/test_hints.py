"""The first hint is the cause, its evidence can be checked, and thin evidence says little."""

from __future__ import annotations

from correlator.hints import Scene, rank
from correlator.incident import Hint
from detectors.alert import Alert
from streams.records.messages import Change
from tests.correlator.make import T0, firing

CALLS = (("gateway", "checkout", 0.0), ("checkout", "payment", 0.0), ("gateway", "cart", 0.0))
WINDOW = 1_800_000


def hints(*alerts: Alert, changes: tuple[Change, ...] = (), calls: tuple = CALLS) -> tuple[Hint, ...]:
    return rank(Scene(alerts, calls, changes, WINDOW))


def kinds(hint: Hint) -> set[str]:
    return {e.kind for e in hint.evidence}


def test_the_deepest_troubled_service_leads() -> None:
    """Equal strength everywhere: the callee explains its callers."""
    found = hints(
        firing("gateway", at=3_000), firing("checkout", at=1_000, strength=30.0), firing("payment", at=1_000)
    )
    assert found[0].service == "payment"
    path = next(e for e in found[0].evidence if e.kind == "path")
    assert "gateway → checkout → payment" in path.text


def test_evidence_names_times_a_person_can_check() -> None:
    """Onset order with UTC times."""
    found = hints(firing("checkout", at=5_000), firing("payment", at=0))
    onset = next(e for e in found[0].evidence if e.kind == "onset")
    assert onset.text == "began 22:13:20, before checkout (22:13:25)"


def test_a_caller_points_to_a_silent_callee() -> None:
    """Errors seen by callers, towards a service whose telemetry stopped."""
    failing = firing("gateway", "http.client.error_ratio", labels=(("peer", "cart:8080"),))
    own = firing("gateway", "http.server.error_ratio")
    silent = firing("cart", "telemetry", at=4_000, kind="absent", severity="error")
    found = hints(failing, own, silent)
    assert found[0].service == "cart"
    assert {"absent", "path"} <= kinds(found[0])


def test_less_traffic_makes_no_suspect() -> None:
    """A callee that is called less is a victim of whoever calls less."""
    found = hints(
        firing("checkout", "http.server.error_ratio"),
        firing("payment", "http.server.request.duration.rate", strength=-40.0),
    )
    assert found[0].service == "checkout"


def test_a_change_just_before_the_trouble_leads() -> None:
    """Of two services in like trouble, the one just deployed; the evidence refers to the change."""
    change = Change("c1", T0 - 5_000, "checkout", version="2.1.0")
    found = hints(firing("checkout"), firing("cart"), changes=(change,))
    assert found[0].service == "checkout"
    evidence = next(e for e in found[0].evidence if e.kind == "change")
    assert (evidence.ref, evidence.at_ms) == ("c1", T0 - 5_000)


def test_an_old_change_says_nothing() -> None:
    """Beyond the window it is no evidence."""
    change = Change("c1", T0 - WINDOW - 1, "checkout")
    assert all("change" not in kinds(h) for h in hints(firing("checkout"), changes=(change,)))


def test_a_log_line_that_names_the_callee_points_to_it() -> None:
    """`upstream cart refused` accuses cart more than its author."""
    line = firing("gateway", "upstream cart: connection refused", kind="log", severity="error")
    assert hints(line)[0].service == "cart"


def test_confidence_leaves_room_for_the_unknown() -> None:
    """Confidences sum to less than one, and one weak signal is mostly unknown."""
    found = hints(firing("checkout", strength=4.0))
    assert sum(h.confidence for h in found) < 0.5
    strong = hints(*(firing(s, strength=60.0) for s in ("gateway", "checkout", "payment")))
    assert sum(h.confidence for h in strong) < 1.0


def test_starvation_alone_gives_no_hint() -> None:
    """Unknown is an answer."""
    assert hints(firing("payment", "requests.rate", strength=-20.0)) == ()


def test_a_cycle_explains_nothing() -> None:
    """Two services that call each other: neither is excused."""
    cycle = (("a", "b", 0.0), ("b", "a", 0.0))
    found = hints(firing("a", strength=50.0), firing("b", at=1_000), calls=cycle)
    assert found[0].service == "a"


def test_a_busy_processor_is_not_excused_by_a_slow_callee() -> None:
    """The callee's slowness does not explain its caller's own resources."""
    found = hints(
        firing("checkout", "process.cpu.utilization", at=0, strength=60.0),
        firing("checkout", "http.server.request.duration.p95", at=4_000),
        firing("payment", "http.server.request.duration.p95", at=4_000, strength=15.0),
    )
    assert found[0].service == "checkout"


def test_a_callee_that_began_clearly_later_explains_nothing() -> None:
    """Twenty seconds after its caller, noticed within two: not the cause."""
    found = hints(firing("checkout", "error_ratio"), firing("payment", "error_ratio", at=20_000))
    assert found[0].service == "checkout"


def test_of_like_log_alerts_the_more_severe_is_named() -> None:
    """A new line that says something is going down comes first; the error it ends in is what to read."""
    down = firing("payment", "payment <*> is going down", at=0, kind="log", severity="info")
    error = firing("payment", "POST /charges failed: KeyError", at=133, kind="log", severity="error")
    found = hints(down, error, firing("checkout", "shop.orders", at=400))
    [log] = [e for e in found[0].evidence if e.kind == "log"]
    assert (found[0].service, log.ref) == ("payment", error.id)
    assert found[0].cause == error.summary


def test_who_stops_calling_is_to_blame_for_silence() -> None:
    """Edges written as one label: the caller took another way, its callees have nothing to do."""
    gone = {"kind": "absent", "severity": "error"}
    found = hints(
        firing("checkout", "telemetry", instance="checkout_payment", **gone),
        firing("checkout", "telemetry", instance="checkout_mail", **gone),
        firing("payment", "telemetry", instance="checkout_payment", **gone),
        firing("payment", "telemetry", kind="absent", severity="warning", count=6),
        firing("mail", "telemetry", instance="checkout_mail", **gone),
        calls=(*CALLS, ("checkout", "mail", 0.0)),
    )
    assert [hint.service for hint in found] == ["checkout"]
    assert {e.kind for e in found[0].evidence} == {"absent"}


def test_who_is_not_called_does_not_stop_calling_by_itself() -> None:
    """The gateway stopped, checkout is starved, whatever it calls."""
    gone = {"kind": "absent", "severity": "error"}
    found = hints(
        firing("gateway", "telemetry", instance="gateway_checkout", **gone),
        firing("gateway", "telemetry", instance="gateway_cart", **gone),
        firing("checkout", "telemetry", instance="gateway_checkout", **gone),
        firing("checkout", "telemetry", instance="checkout_payment", **gone),
    )
    assert [hint.service for hint in found] == ["gateway"]


def test_a_callee_a_little_slower_explains_nothing() -> None:
    """Four milliseconds more do not make a caller half a second slower."""
    slow = {"metric": "http.server.duration", "unit": "s", "strength": 40.0}
    found = hints(
        firing("checkout", value=0.65, expected=0.2, **slow),
        firing("payment", value=0.008, expected=0.004, **slow),
    )
    assert found[0].service == "checkout"
    as_slow = firing("payment", value=0.5, expected=0.05, **slow)
    assert hints(firing("checkout", value=0.65, expected=0.2, **slow), as_slow)[0].service == "payment"


def test_a_name_in_a_callers_log_explains_none_of_its_own_errors() -> None:
    """Checkout logs an error of its own, and that payment could not be reached; payment shows nothing."""
    log = {"kind": "log", "severity": "error"}
    found = hints(
        firing("checkout", "order state is wrong", **log),
        firing("checkout", "no instance", samples=("no instance of payment",), **log),
    )
    assert found[0].service == "checkout"


def test_what_all_slow_services_call_is_a_suspect() -> None:
    """Though nothing is measured of it; not when it is only called less."""
    slow = [firing(s, "http.server.duration", unit="s", value=2.0, expected=0.1) for s in ("a", "b")]
    calls = (("a", "shared", 0.0), ("b", "shared", 0.0), ("a", "other", 0.0))
    found = hints(*slow, calls=calls)
    assert found[0].service == "shared"
    assert found[0].evidence[0].text == "all that are slow or fail call it: a, b"
    starved = firing("shared", "http.server.request.rate", strength=-40.0)
    assert "shared" not in {hint.service for hint in hints(*slow, starved, calls=calls)}
