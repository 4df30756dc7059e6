"""What changed inside requests: branches and waits."""

from __future__ import annotations

from correlator import logcauses
from correlator.logmix import Line
from correlator.requests import branches, ids, waits

START = 1_700_000_400_000
EDGES = [("front", "cart")]


def lines(
    before: int, after: int, step_ms: int = 5, fails: bool = False, load: int = 1
) -> dict[str, list[Line]]:
    """Requests every second of [before, after): front asks cart; both write the trace."""
    found: dict[str, list[Line]] = {"front": [], "cart": []}
    for second in range(before, after):
        for k in range(load):
            at, trace = START + second * 1000, f"{second + 1000:08x}{k:02x}"
            found["front"].append(Line(at, 9, "ask", trace, trace + "a"))
            found["cart"].append(Line(at + step_ms, 9, "asked", trace, trace + "b"))
            end = Line(at + step_ms + 1, 17, "cannot", trace, trace + "b")
            found["cart"].append(end if fails else end._replace(severity=9, template="done"))
            found["front"].append(Line(at + 2 * step_ms + 2, 9, "told", trace, trace + "a"))
    return found


def against(window: dict[str, list[Line]]) -> dict[str, float]:
    found = logcauses.evidence(lines(-60, 0), window, START, EDGES, {"front": {"cart"}})
    total: dict[str, float] = {}
    for service, evidence in found:
        total[service] = total.get(service, 0.0) + evidence.weight
    return total


def test_ids_are_read_in_the_usual_spellings() -> None:
    """Log4j pattern, JSON, logfmt; all zeros is no trace."""
    trace, span = "93bead877ae15b6d9cdf1c1569881314", "723e88fb683376ad"
    assert ids(f"INFO TraceID: {trace} SpanID: {span} hello") == (trace, span)
    assert ids(f'{{"trace_id":"{trace}","span_id":"{span}"}}') == (trace, span)
    assert ids(f"trace.id={trace} x") == (trace, "")
    assert ids(f"trace_id={0:032d}") == ("", "")


def test_a_step_left_out_is_a_branch_and_load_is_none() -> None:
    """Every request fails: told with both shares. Three times the load: nothing."""
    normal = lines(-60, 0)["cart"]
    (first, *_) = branches(normal, lines(0, 60, fails=True)["cart"], START)
    assert {first.seen / first.of, round(first.usual)} == {0.0, 1.0}
    assert branches(normal, lines(0, 60, load=3)["cart"], START)[0].g < logcauses.BRANCH_FLOOR


def test_a_failing_callee_is_accused_and_more_load_accuses_nobody() -> None:
    assert max(against(lines(0, 60, fails=True)).items(), key=lambda x: x[1])[0] == "cart"
    assert against(lines(0, 60, load=3)) == {}


def test_a_slow_step_names_both_ends_and_the_callee_leads() -> None:
    window = lines(0, 60, step_ms=500)
    pairs = {(w.before, w.after) for w in waits(lines(-60, 0), window, START)}
    assert pairs == {("front", "cart"), ("cart", "front")}
    weights = against(window)
    assert weights["cart"] > weights["front"] > 0


def test_the_order_of_lines_does_not_matter() -> None:
    normal, window = lines(-60, 0), lines(0, 60, step_ms=500, fails=True)
    turned = {s: x[::-1] for s, x in window.items()}
    beneath = {"front": {"cart"}}
    assert logcauses.evidence(normal, window, START, EDGES, beneath) == logcauses.evidence(
        normal, turned, START, EDGES[::-1], beneath
    )
