"""Equal input, equal incidents, on real data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.publicdata import public_data


def beginning(folder: Path, into: Path, share: float) -> Path:
    """A copy of a data set with this share of its rows, by time."""
    into.mkdir()
    rows = pq.read_table(folder / "metrics.parquet")
    upto = pc.quantile(rows["ts"].cast("int64"), q=share)[0].as_py()
    pq.write_table(rows.filter(pc.less_equal(rows["ts"].cast("int64"), int(upto))), into / "metrics.parquet")
    for name in ("hosts.json", "topology.json"):
        shutil.copy(folder / name, into)
    faults = json.loads((folder / "truth.json").read_text())
    (into / "truth.json").write_text(json.dumps([each for each in faults if each["end_ms"] <= upto]))
    return into


@pytest.mark.timeout(400)
def test_page_size_changes_no_byte_of_the_incidents_of_real_data(tmp_path: Path) -> None:
    """`tocsin backtest` of a fifth of Nezha's Online Boutique with pages of 1, 100 and 10,000 rows."""
    folder = beginning(public_data("nezha_ob"), tmp_path / "data", 1 / 5)
    found = {}
    for page in (1, 100, 10_000):
        out = tmp_path / str(page)
        done = CliRunner().invoke(
            app, ["backtest", str(folder), "-o", str(out), "--page", str(page), "--json"]
        )
        assert done.exit_code == 0, done.output
        found[page] = (out / "incidents.jsonl").read_bytes(), (out / "alerts.jsonl").read_bytes()
    assert found[1] == found[100] == found[10_000]
    assert found[1][0].count(b"\n") > 2
