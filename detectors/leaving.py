"""Series that a rule excludes while they are watched: what was said of them is resolved, then they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.alert import Alert
from detectors.gate import FIRING, RESOLVE
from detectors.metric_alerts import metric_alert
from detectors.state import EVENT

if TYPE_CHECKING:
    from detectors.bank import Bank


def farewell(bank: Bank, now_ms: int) -> list[Alert]:
    """End the alerts of the series that are leaving, and forget them."""
    going = sorted(bank.leaving, key=lambda slot: int(bank.slots["fp"][slot]))
    alerts = [resolved(bank, slot, now_ms) for slot in going if bank.slots["state"][slot] == FIRING]
    bank.forget(going)
    return alerts


def resolved(bank: Bank, slot: int, now_ms: int) -> Alert:
    """The last version of the alert of a series that fires."""
    s = bank.slots[slot]
    event = np.zeros((), EVENT)
    event["kind"] = RESOLVE
    event["version"] = s["version"] + 1
    event["started_at"] = s["run_start"]
    event["ts"] = event["over_at"] = now_ms
    for name in ("reason", "severity", "fired_at"):
        event[name] = s[name]
    for name in ("value", "expected", "lower", "upper", "score", "strength"):
        event[name] = s[f"worst_{name}"]
    return metric_alert(event, bank.series_at(slot), bank.control_at(slot))
