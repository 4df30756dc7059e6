"""`tocsin diagnose`: from files to a ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli.cases import CaseFile, Cutter, read_cases
from cli.dataset import load
from cli.errors import CliError
from cli.main import app
from correlator.diagnose import diagnose

START = 1_700_000_400_000
SERVICES = ("front", "cart", "pay")


def write(folder: Path, factor: dict[tuple[str, str], float], truth: bool = False) -> Path:
    """Forty quiet minutes and five of trouble: (service, metric) times its factor."""
    rng = np.random.default_rng(1)
    base = {"latency": 0.1, "requests": 100.0, "cpu_utilization": 0.2}
    rows: dict[str, list[Any]] = {"run": [], "ts": [], "service": [], "metric": [], "value": []}
    for service in SERVICES:
        for metric, level in base.items():
            for minute in range(-40, 5):
                value = level * (1 + 0.02 * rng.standard_normal())
                value *= factor.get((service, metric), 1.0) if minute >= 0 else 1.0
                for key, cell in zip(
                    rows, ("r", START + minute * 60_000, service, metric, value), strict=True
                ):
                    rows[key].append(cell)
    pq.write_table(pa.table(rows), folder / "metrics.parquet")
    edges = [{"caller": "front", "callee": "cart"}, {"caller": "cart", "callee": "pay"}]
    (folder / "topology.json").write_text(json.dumps(edges))
    if truth:
        (folder / "truth.json").write_text("this must never be read")
    return folder


CHAIN = {("front", "latency"): 4.0, ("cart", "latency"): 4.0, ("pay", "latency"): 4.0}


def ranked(folder: Path, **case: Any) -> list[str]:
    cutter = Cutter(load(folder))
    return [h.service for h in diagnose(cutter.cut(CaseFile("c", "r", START, START + 300_000, **case)))]


def test_the_deepest_of_a_slow_chain_comes_first(tmp_path: Path) -> None:
    """All three are four times as slow; only pay's time is its own."""
    assert ranked(write(tmp_path, CHAIN))[0] == "pay"


def test_a_busy_processor_tells_the_cause_from_the_victim(tmp_path: Path) -> None:
    """Cart is slow and burns; pay is well."""
    slow = {("front", "latency"): 4.0, ("cart", "latency"): 4.0, ("cart", "cpu_utilization"): 4.5}
    assert ranked(write(tmp_path, slow))[0] == "cart"


def test_what_the_symptom_does_not_depend_on_is_no_cause(tmp_path: Path) -> None:
    """Noticed at pay: front's trouble cannot be behind it."""
    folder = write(tmp_path, {("front", "cpu_utilization"): 4.5, ("pay", "latency"): 1.5})
    assert ranked(folder, symptom="pay")[0] == "pay"


def test_every_service_is_ranked_once(tmp_path: Path) -> None:
    assert sorted(ranked(write(tmp_path, CHAIN))) == sorted(SERVICES)


def test_the_ranking_is_a_function_of_the_data(tmp_path: Path) -> None:
    """Twice the same, evidence included."""
    write(tmp_path, CHAIN)
    case = CaseFile("c", "r", START, START + 300_000)
    once, again = (diagnose(Cutter(load(tmp_path)).cut(case)) for _ in range(2))
    assert once == again


def test_cases_in_rankings_out_and_truth_untouched(tmp_path: Path) -> None:
    """The contract of --cases: {id: [services, best first]}; a truth.json beside the data is never opened."""
    folder = write(tmp_path, CHAIN, truth=True)
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps([{"id": "x", "run": "r", "start_ms": START, "fault_type": "ignored"}]))
    out = tmp_path / "out.json"
    result = CliRunner().invoke(app, ["diagnose", str(folder), "--cases", str(cases), "-o", str(out)])
    assert result.exit_code == 0, result.output
    answer = json.loads(out.read_text())
    assert list(answer) == ["x"]
    assert answer["x"][0] == "pay"


def test_a_window_by_hand_shows_evidence(tmp_path: Path) -> None:
    """Ranked table with what speaks for each."""
    folder = write(tmp_path, CHAIN)
    result = CliRunner().invoke(app, ["diagnose", str(folder), "--from", "2023-11-14T22:20:00Z", "--json"])
    assert result.exit_code == 0, result.output
    (hints,) = json.loads(result.output).values()
    assert hints[0]["service"] == "pay"
    assert "normally" in hints[0]["evidence"][0]["text"]


@pytest.mark.parametrize(
    "content",
    ["{", '[{"id": "x"}]', '[{"id": "x", "run": "r", "start_ms": "soon"}]'],
    ids=["json", "key", "type"],
)
def test_a_bad_file_of_cases_is_named(tmp_path: Path, content: str) -> None:
    """One clear message with what was expected."""
    path = tmp_path / "cases.json"
    path.write_text(content)
    with pytest.raises(CliError, match=r"cases\.json"):
        read_cases(path)


def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="no run 'other'"):
        Cutter(load(write(tmp_path, {}))).cut(CaseFile("c", "other", START))
