"""Equal input, equal incidents, on real data."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.publicdata import public_data


@pytest.mark.timeout(400)
def test_page_size_changes_no_byte_of_the_incidents_of_real_data(tmp_path: Path) -> None:
    """`tocsin backtest` of Nezha's Online Boutique with pages of 1, 100 and 10,000 rows."""
    folder = public_data("nezha_ob")
    found = {}
    for page in (1, 100, 10_000):
        out = tmp_path / str(page)
        done = CliRunner().invoke(
            app, ["backtest", str(folder), "-o", str(out), "--page", str(page), "--json"]
        )
        assert done.exit_code == 0, done.output
        found[page] = (out / "incidents.jsonl").read_bytes(), (out / "alerts.jsonl").read_bytes()
    assert found[1] == found[100] == found[10_000]
    assert found[1][0].count(b"\n") > 5
