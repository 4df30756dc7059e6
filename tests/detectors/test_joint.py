"""Joint behaviour of a service's series: found, quiet, bounded, equal whatever the cuts."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from config.control import Rule
from config.settings import Detect
from config.settings import Joint as Settings
from detectors.alert import Alert
from detectors.control import Controls
from detectors.joint import METRIC, Joint, JointState
from streams.records.digest import fingerprint
from streams.records.pages import Series

T0 = 1_700_000_010_000
EVERY = 30_000
QUICK = Settings(enabled=True, trees=16, min_windows=48, memory_windows=128, refit_windows=128, max_series=8)
NAMES = ("requests.rate", "cpu.usage", "network.sent", "threads", "gc.time", "memory")
FAULT = 20
"""last windows in which something is wrong"""


def series(service: str = "cart", names: tuple[str, ...] = NAMES) -> list[Series]:
    return [Series(fingerprint(service, name, ()), service, name, ()) for name in names]


def shop(n: int, seed: int = 1, broken: bool = True) -> np.ndarray:
    """Load that CPU and network follow; in the last windows CPU follows another load, in its usual range."""
    dice = np.random.default_rng(seed)
    load = 100 + 40 * np.sin(np.arange(n) / 30.0) + dice.normal(0, 4, n)
    other = load.copy()
    if broken:
        other[-FAULT:] += np.where(load[-FAULT:] > 100, -50, 50)
    cpu = 0.5 * other + 5 + dice.normal(0, 1.5, n)
    return np.array(
        [
            load + dice.normal(0, 3, n),
            np.clip(cpu, cpu[:-FAULT].min(), cpu[:-FAULT].max()),
            2_000 * load + dice.normal(0, 8_000, n),
            dice.poisson(20, n).astype(float),
            dice.normal(1.0, 0.2, n),
            300 + np.cumsum(dice.normal(0, 0.1, n)) + dice.normal(0, 1, n),
        ]
    ).T


def detector(config: Settings = QUICK, rules: tuple[Rule, ...] = ()) -> Joint:
    detect = Detect(joint=config, rules=rules)
    joint = Joint(detect, Controls(detect).of)
    joint.scores = []
    return joint


def play(joint: Joint, known: list[Series], values: np.ndarray, first: int = 0) -> list[Alert]:
    """Rows of all series once a window; windows are taken in one by one."""
    for one in known:
        joint.describe(one, False, T0)
    fps = np.array([one.fp for one in known], np.uint64)
    alerts: list[Alert] = []
    for i, row in enumerate(values, first):
        at = T0 + EVERY * i
        alerts += [alert for _, alert in joint.before(at)]
        joint.feed(fps, np.full(len(fps), at), row)
    alerts += [alert for _, alert in joint.before(T0 + EVERY * (first + len(values)))]
    return alerts


def again(joint: Joint) -> Joint:
    """What a restart makes of it."""
    blob = msgspec.msgpack.encode(joint.export())
    other = Joint(Detect(joint=joint.config), joint._control_of)
    other.load(msgspec.msgpack.decode(blob, type=JointState))
    other.scores = joint.scores
    return other


def test_a_series_that_goes_its_own_way_in_its_usual_range_is_found_within_five_windows() -> None:
    values = shop(300)
    usual = values[:-FAULT, 1]
    assert usual.min() <= values[-FAULT:, 1].min()
    assert values[-FAULT:, 1].max() <= usual.max()
    alerts = play(detector(), series(), values)
    (first,) = [alert for alert in alerts if alert.version == 1]
    onset = T0 + EVERY * (300 - FAULT)
    assert onset <= first.started_at
    assert first.detected_at <= onset + 5 * EVERY
    assert (first.metric, first.kind, first.severity) == (METRIC, "metric", "warning")


def test_the_alert_names_the_series_its_value_and_what_the_others_let_expect() -> None:
    first = play(detector(), series(), shop(300))[0]
    assert first.summary.startswith("cart cpu.usage ")
    assert "its other series let expect" in first.summary
    assert first.samples[0].startswith("cpu.usage ")
    assert "usually" in first.samples[0]


def test_what_goes_together_as_usual_is_not_an_alert() -> None:
    assert play(detector(), series(), shop(600, broken=False)) == []


def test_it_is_silent_until_it_has_learned() -> None:
    joint = detector()
    assert play(joint, series(), shop(QUICK.min_windows + QUICK.apply_windows - 1)) == []
    assert {score for _, _, score in joint.scores or ()} == {0.0}


def test_an_alert_resolves_when_the_series_go_together_again() -> None:
    values = np.concatenate([shop(300), shop(40, seed=2, broken=False)])
    alerts = play(detector(), series(), values)
    assert [alert.state for alert in alerts] == ["firing", "resolved"]
    assert len({alert.id for alert in alerts}) == 1


def test_anomalous_windows_are_not_learned_from() -> None:
    joint = detector(msgspec.structs.replace(QUICK, hold_windows=2, refit_windows=16))
    play(joint, series(), shop(300))
    (group,) = joint.groups
    assert group.history_odd()[-FAULT + 2 :].all()
    assert group.clean <= 300 - FAULT + 2


def test_what_lasts_becomes_the_new_normal_and_is_learned() -> None:
    wrong = shop(500, seed=3, broken=False)
    wrong[260:, 1] += 30.0
    alerts = play(detector(), series(), wrong)
    assert [alert.state for alert in alerts] == ["firing", "resolved"]
    assert "accepted as its new normal" in alerts[-1].summary


def test_while_a_single_series_fires_no_joint_alert_begins() -> None:
    joint = detector()
    values = shop(300)
    play(joint, series(), values[: -FAULT - 1])
    at = T0 + EVERY * (300 - FAULT - 1)
    joint.hear(at, [single("firing", "warning", at)])
    assert play(joint, series(), values[-FAULT - 1 :], 300 - FAULT - 1) == []


def test_single_series_that_agree_raise_the_severity_to_error_at_most() -> None:
    joint = detector()
    values = shop(300)
    alerts = play(joint, series(), values[:-10])
    at = T0 + EVERY * 290
    joint.hear(at, [single("firing", "critical", at)])
    alerts += play(joint, series(), values[-10:], 290)
    assert [alert.severity for alert in alerts] == ["warning", "error"]


def single(state: str, severity: str, at: int) -> Alert:
    return Alert("one", 1, state, "metric", "f", "cart", "cpu.usage", severity, at, at, at, None, "")


@pytest.mark.parametrize("restore_at", [10, 49, 120, 283, 290])
def test_a_restart_in_mid_stream_changes_nothing(restore_at: int) -> None:
    values = shop(300)
    whole = detector()
    expected = play(whole, series(), values)
    joint = detector()
    alerts = play(joint, series(), values[:restore_at])
    joint = again(joint)
    alerts += play(joint, series(), values[restore_at:], restore_at)
    assert alerts == expected
    assert joint.scores == whole.scores
    assert joint.export() == whole.export()


def test_scores_of_a_prefix_are_the_prefix_of_the_scores() -> None:
    values = shop(300)
    whole, prefix = detector(), detector()
    play(whole, series(), values)
    play(prefix, series(), values[:150])
    assert prefix.scores == (whole.scores or [])[:150]


def test_rows_fed_one_by_one_give_the_same_as_at_once() -> None:
    values, known = shop(200), series()
    one_by_one, at_once = detector(), detector()
    for joint in (one_by_one, at_once):
        for one in known:
            joint.describe(one, False, T0)
    fps = np.repeat(np.array([one.fp for one in known], np.uint64), 1)
    for i, row in enumerate(values):
        ts = T0 + EVERY * i + np.arange(len(fps)) - len(fps)
        for joint in (one_by_one, at_once):
            joint.before(T0 + EVERY * i)
        at_once.feed(fps, ts, row)
        for k in range(len(fps)):
            one_by_one.feed(fps[k : k + 1], ts[k : k + 1], row[k : k + 1])
    assert one_by_one.scores == at_once.scores
    assert one_by_one.export() == at_once.export()


def digest() -> str:
    joint = detector(msgspec.structs.replace(QUICK, trees=8))
    alerts = play(joint, series(), shop(300))
    state = msgspec.msgpack.encode((joint.export(), joint.scores, alerts))
    return f"{len(alerts)} {hashlib.sha256(state).hexdigest()}"


def test_plain_python_gives_the_same_bits_as_the_compiled_kernels() -> None:
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from tests.detectors.test_joint import digest\n"
        "print(digest())\n"
    )
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == digest()


def test_constant_series_are_quiet_and_never_a_model_of_their_own() -> None:
    joint = detector()
    assert play(joint, series(), np.full((200, len(NAMES)), 5.0)) == []
    assert joint.groups[0].fits[0].model() is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_change_nothing(bad: float) -> None:
    values = shop(200)
    clean, dirty = detector(), detector()
    play(clean, series(), values)
    for one in series():
        dirty.describe(one, False, T0)
    fps = np.array([one.fp for one in series()], np.uint64)
    for i, row in enumerate(values):
        at = T0 + EVERY * i
        dirty.before(at)
        dirty.feed(fps, np.full(len(fps), at - 1), np.full(len(fps), bad))
        dirty.feed(fps, np.full(len(fps), at), row)
    dirty.before(T0 + EVERY * 200)
    assert dirty.scores == clean.scores


def test_rows_at_or_before_the_last_seen_time_change_nothing() -> None:
    values = shop(120)
    clean, late = detector(), detector()
    play(clean, series(), values)
    for one in series():
        late.describe(one, False, T0)
    fps = np.array([one.fp for one in series()], np.uint64)
    for i, row in enumerate(values):
        at = T0 + EVERY * i
        late.before(at)
        late.feed(fps, np.full(len(fps), at), row)
        late.feed(fps, np.full(len(fps), at), row * 3)
        late.feed(fps, np.full(len(fps), at - 5), row * 3)
    late.before(T0 + EVERY * 120)
    assert late.scores == clean.scores


def test_huge_values_neither_stop_it_nor_spread_to_other_services() -> None:
    joint = detector()
    values = shop(300, broken=False)
    values[100:104, 2] = 1e300
    play(joint, series(), values)
    assert all(np.isfinite(score) for _, _, score in joint.scores or ())


def test_a_gap_is_not_an_alert_and_leaves_no_vectors() -> None:
    joint = detector()
    values = shop(300, broken=False)
    alerts = play(joint, series(), values[:150])
    alerts += play(joint, series(), values[150:], 400)
    assert alerts == []
    assert joint.counters["vectors"] == 300


def test_a_series_that_misses_windows_is_carried_and_then_left_out() -> None:
    joint = detector()
    values = shop(100, broken=False)
    play(joint, series(), values[:80])
    known = series()
    play(joint, known[:3] + known[4:], np.delete(values[80:], 3, axis=1), 80)
    column = joint.groups[0].history()[:, 3]
    assert column[85] == np.float32(values[79, 3])
    assert np.isnan(column[95])


def test_an_alert_ends_when_its_service_falls_silent() -> None:
    joint = detector()
    alerts = play(joint, series(), shop(290))
    alerts += [alert for _, alert in joint.before(T0 + EVERY * 400)]
    assert [alert.state for alert in alerts] == ["firing", "resolved"]
    assert "nothing more was heard" in alerts[-1].summary


def test_excluded_and_sparse_series_take_no_part() -> None:
    joint = detector(rules=(Rule(matchers=('metric="cpu.usage"',), watch=False),))
    known = series()
    joint.describe(known[4], True, T0)
    for one in known[:4]:
        joint.describe(one, False, T0)
    assert [seat.series.metric for seat in joint.groups[0].seats] == [NAMES[0], NAMES[2], NAMES[3]]


def test_ten_thousand_services_stay_within_the_limit_and_are_counted() -> None:
    joint = detector(msgspec.structs.replace(QUICK, max_services=100))
    for i in range(10_000):
        for one in series(f"svc-{i}", NAMES[:2]):
            joint.describe(one, False, T0 + i)
    assert len(joint.groups) == 100
    assert joint.counters["refused_services"] == 2 * 9_900
    assert joint.sums.nbytes < 100_000


def test_a_service_long_idle_gives_way_to_a_new_one() -> None:
    joint = detector(msgspec.structs.replace(QUICK, max_services=1))
    play(joint, series("old"), shop(60, broken=False))
    joint.describe(series("new")[0], False, T0 + 1_000 * EVERY)
    assert [group.service for group in joint.groups] == ["new"]
    assert joint.counters["evicted_services"] == 1
    play(joint, series("new"), shop(60, broken=False), 1_001)
    assert joint.counters["vectors"] == 120


def test_more_series_than_seats_are_refused_and_counted() -> None:
    joint = detector()
    for one in series(names=tuple(f"m{i}" for i in range(20))):
        joint.describe(one, False, T0)
    assert len(joint.groups[0].seats) == QUICK.max_series
    assert joint.counters["refused_series"] == 20 - QUICK.max_series


def test_a_seat_given_to_another_series_is_not_judged_by_what_was_learned_of_the_first() -> None:
    rules = (Rule(matchers=('metric="memory"',), watch=False),)
    joint = detector(msgspec.structs.replace(QUICK, max_series=6))
    values = shop(260, broken=False)
    play(joint, series(), values[:200])
    joint._control_of = Controls(Detect(rules=rules)).of
    joint.describe(series()[5], False, T0 + EVERY * 200)
    known = [*series()[:5], *series(names=("disk.used",))]
    joint.describe(known[5], False, T0 + EVERY * 200)
    values[200:, 5] = 1e6
    assert play(joint, known, values[200:], 200) == []
    assert joint.groups[0].seats[5].series.metric == "disk.used"


def test_switched_off_after_a_restart_what_fires_ends() -> None:
    joint = detector()
    (first,) = play(joint, series(), shop(290))
    other = Joint(Detect(), joint._control_of)
    other.load(msgspec.msgpack.decode(msgspec.msgpack.encode(joint.export()), type=JointState))
    (last,) = other.farewell(T0 + EVERY * 300)
    assert (last.id, last.state, last.version) == (first.id, "resolved", 2)
