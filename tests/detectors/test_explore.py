"""The detector explorer's core: equal to `tocsin score`, silent in warm-up, each component named."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.main import main
from config.settings import Detect
from detectors.evidence import NEWS
from detectors.explore import COMPONENTS, Explored, Raw, choices, explore, figures
from detectors.held import Part
from detectors.origins import derived_from
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series
from tests.detectors.bankdata import T0, noise, scores

MINUTE = 60_000
ROOT = Path(__file__).parents[2]


def of(
    metric: str,
    kind: Kind = Kind.GAUGE,
    labels: tuple[tuple[str, str], ...] = (),
    bounds: tuple[float, ...] = (),
) -> Series:
    return Series(fingerprint("shop", metric, labels), "shop", metric, labels, "", int(kind), bounds)


def fault(n: int = 300) -> np.ndarray:
    values = noise(n)
    values[200:230] += 200
    return values


def raw(series: Series, values: np.ndarray) -> Raw:
    n = len(values)
    return Raw((series,), np.full(n, series.fp, np.uint64), T0 + MINUTE * np.arange(n), values)


def explored(series: Series, values: np.ndarray) -> Explored:
    found = explore(raw(series, values), f"{series.fp:016x}", Detect())
    assert found is not None
    return found


def test_it_says_what_tocsin_score_says(tmp_path: Path) -> None:
    """Score, band, state and reason of each sample, of a gauge."""
    values = fault()
    rows = [f"shop,queue.length,{T0 + MINUTE * i},{v!r}" for i, v in enumerate(values.tolist())]
    (tmp_path / "in.csv").write_text("\n".join(["service,metric,ts,value", *rows]) + "\n")
    with pytest.raises(SystemExit, match="0"):
        main(["score", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")])
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    found = explored(of("queue.length"), values)
    for name in ("score", "expected", "lower", "upper"):
        theirs = [float(row[name]) if row[name] else np.nan for row in table]
        ours = getattr(found, name)
        np.testing.assert_array_equal(np.where(np.isfinite(ours), ours, np.nan), theirs)
    assert found.reason == [row["reason"] for row in table]
    assert any(found.reason)


def test_warm_up_is_silent_and_marked() -> None:
    """As live: nothing is said of the first samples."""
    found = explored(of("queue.length"), fault())
    warmup = Detect().warmup_samples
    assert found.warming[:warmup].all()
    assert not found.warming[warmup:].any()
    assert not found.score[:warmup].any()


def test_each_component_has_its_say_in_bits() -> None:
    """One column a statistic; what spoke for the score is the largest of its row."""
    values = fault()
    found = explored(of("queue.length"), values)
    assert found.says.shape == (len(values), len(COMPONENTS))
    assert len(found.words) == len(COMPONENTS)
    reason = scores(values).reason
    for i in np.flatnonzero(reason >= NEWS):
        assert found.says[i].argmax() == reason[i] - NEWS
    assert found.says[200].max() > 2 * found.says[150].max()


def test_alerts_are_spans_and_the_worst_samples_are_told() -> None:
    """From the first anomalous sample on."""
    found = explored(of("queue.length"), fault())
    assert found.spans[0].started_at == T0 + MINUTE * 200
    assert found.spans[0].ended_at is not None
    assert found.worst[0].ts_ms == T0 + MINUTE * 200
    assert found.worst[0].text == found.reason[200]


def test_counters_are_judged_by_their_rate() -> None:
    """Under the counter's own fingerprint, in units a second."""
    steps = fault()
    found = explored(of("requests", Kind.COUNTER), np.cumsum(steps))
    np.testing.assert_allclose(found.value, steps[1:] / 60)
    assert found.unit == "1/s"
    assert found.spans[0].started_at == T0 + MINUTE * 200


def histogram(n: int = 60) -> Raw:
    series = of("http.server.request.duration", Kind.HISTOGRAM, (("route", "/pay"),), (0.1, 1.0))
    counts = np.cumsum(np.tile([90.0, 10.0, 0.0], (n, 1)), axis=0)
    ts = T0 + MINUTE * np.arange(n)
    widths = np.full(n, 3)
    columns = (np.full(n, series.fp, np.uint64), np.cumsum(np.full(n, 12.0)), 3 * np.arange(n), widths)
    return Raw.of((series,))._replace(histograms=Part(ts, columns, counts.ravel(), 0))


def test_a_histogram_stands_for_its_95th_percentile() -> None:
    """Of all label sets together; each figure can be asked for by its own fingerprint."""
    data = histogram()
    (series,) = data.series
    found = explore(data, f"{series.fp:016x}", Detect())
    assert found is not None
    assert (found.metric, found.labels) == ("http.server.request.duration.p95", ())
    by_name = {name: fp for fp, name in reversed(choices(series))}
    mean = explore(data, by_name["http.server.request.duration.mean"], Detect())
    assert mean is not None
    np.testing.assert_allclose(mean.value, 0.12)


def test_what_can_be_chosen_is_what_is_derived() -> None:
    """Every choice leads back to its source, and has a row where there are enough observations."""
    data = histogram()
    (series,) = data.series
    offered = [int(fp, 16) for fp, _ in choices(series)]
    assert set(offered) <= set(derived_from(series))
    assert set(figures(data, derived_from(series))) <= set(offered)


@pytest.mark.parametrize("fp", ["00000000000000aa", "ffffffffffffffff"])
def test_without_rows_there_is_nothing_to_explore(fp: str) -> None:
    """Neither of an unknown series nor of no rows at all."""
    assert explore(raw(of("queue.length"), noise(5)), fp, Detect()) is None
    assert explore(Raw.of(()), fp, Detect()) is None


COMPILED = """
import sys
from detectors.explore import warm
from tests.detectors import test_explore as uses

def compiled():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("detectors."):
            kernels = [one for one in vars(module).items() if hasattr(one[1], "signatures")]
            found |= {(name, kernel): set(one.signatures) for kernel, one in kernels}
    return found

warm()
before = compiled()
uses.test_a_histogram_stands_for_its_95th_percentile()
uses.test_counters_are_judged_by_their_rate()
after = compiled()
assert any(after.values())
print([kernel for kernel in after if after[kernel] - before.get(kernel, set())])
"""


def test_after_warming_nothing_is_left_to_compile() -> None:
    run = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr
