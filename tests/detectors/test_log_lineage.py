"""Open log alerts whose template becomes part of a more general one."""

from __future__ import annotations

import msgspec
import pytest

from detectors.alert import Alert
from detectors.logs import Logs, LogsState
from tests.detectors.test_logs import CONFIG, LEARNED, learned, line, say

NAMES = ("alpha", "beta", "gamma", "delta", "omega")


def refusals(names: tuple[str, ...], at: int) -> list:
    return [line(at + n, f"peer {name} refused our last offer", 17) for n, name in enumerate(names)]


def restored(logs: Logs) -> Logs:
    other = Logs(CONFIG)
    other.load(msgspec.msgpack.decode(msgspec.msgpack.encode(logs.export()), type=LogsState))
    return other


@pytest.mark.parametrize("crash", [False, True])
def test_an_open_alert_follows_its_template(crash: bool) -> None:
    """Three words are three alerts; the fourth shows that they are values, and the oldest alert goes on."""
    logs = learned()
    first = say(logs, refusals(NAMES[:3], LEARNED + 1), LEARNED + 1_000)
    assert len({alert.id for alert in first}) == 3
    if crash:
        logs = restored(logs)
    merged = say(logs, refusals(NAMES[3:], LEARNED + 1_500), LEARNED + 2_000)
    if crash:
        logs = restored(logs)
    again = say(logs, refusals(NAMES, LEARNED + 2_500), LEARNED + 3_000)
    assert {alert.id for alert in merged + again} == {first[0].id}
    end = say(logs, [], LEARNED + 600_000)
    assert {(alert.id, alert.state) for alert in end} == {(alert.id, "resolved") for alert in first}
    assert [alert.count for alert in end if alert.id == first[0].id] == [8]


def test_restoring_between_any_two_steps_changes_nothing() -> None:
    """Alerts, byte for byte, with a restart after each step and without."""

    def run(restart: bool) -> list[Alert]:
        logs, out = learned(), []
        for step in range(12):
            at = LEARNED + 1_000 * step
            names = (NAMES * 3)[step : step + 2]
            out += say(logs, refusals(names, at + 1), at + 1_000)
            if restart:
                logs = restored(logs)
        return out + say(logs, [], LEARNED + 600_000)

    assert run(True) == run(False) != []
