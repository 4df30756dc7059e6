"""Where a burst of lines begins, by their times alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detectors.logkinds import LEAST_DEVIANCE
from detectors.logonset import gathering, onset
from detectors.logs import Logs
from tests.detectors.test_log_signals import CONFIG, T0, line

SECOND = 1_000


def began(*seconds: float) -> float:
    return gathering([round(SECOND * at) for at in seconds], LEAST_DEVIANCE) / SECOND


def test_a_stray_line_before_many_at_once_is_not_their_beginning() -> None:
    """As the demo's gateway had it: one failed checkout, nothing to log for 25 s, then a bad release."""
    assert began(0, 25.3, 25.4, 25.6, 26.1, 26.7, 26.9, 27.1, 27.8, 28.1) == 25.3


def test_what_grows_begins_with_its_first_line() -> None:
    """Quicker and quicker, without a step."""
    assert began(0, 5, 8, 10, 11, 11.5, 11.8) == 0


def test_a_few_lines_say_nothing_of_their_rate() -> None:
    """Two of three at once may be chance."""
    assert began(0) == 0
    assert began(0, 20) == 0
    assert began(0, 20, 20.1) == 0


def test_lines_that_become_rarer_began_with_the_first() -> None:
    """The split must be from slow to quick."""
    assert began(*(0.1 * n for n in range(10)), 30, 60, 90) == 0


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=60).map(sorted))
def test_it_is_one_of_the_lines_wherever_the_clock_stands(times: list[int]) -> None:
    """Times of day do not matter, nor that lines come in the same millisecond."""
    found = gathering(times, LEAST_DEVIANCE)
    assert found in times
    assert gathering([T0 + at for at in times], LEAST_DEVIANCE) == T0 + found


def test_a_share_that_rises_begins_where_it_rises() -> None:
    """Of a thousand lines the kind had one at the start, then every second one."""
    lines = [(0, 0), *((500 + n, 1_000 + 2 * n) for n in range(20))]
    assert onset(lines, 1_040, 0.001, 0) == 500
    assert onset([], 1_040, 0.001, 7) == 7


def test_a_service_that_logs_little_has_no_early_onset() -> None:
    """One line a second, an error in sixty; then, of nothing but errors, many."""
    logs = Logs(CONFIG)
    stray, begin = T0 + 405_000, T0 + 430_000
    quiet = [(T0 + SECOND * n, n % 60 == 59) for n in range(400)]
    bad = [(stray, True), *((begin + 300 * n, True) for n in range(12))]
    lines = [line(ts, "ERROR odd one" if loud else "hello", 17 if loud else 9) for ts, loud in [*quiet, *bad]]
    found = [alert for _, alert in logs.run(lines, begin + 9_000) if alert.severity == "error"]
    assert [alert.started_at for alert in found[:1]] == [begin]
