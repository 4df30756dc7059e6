"""Pictures of scored tables: what is drawn, thinned and named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cli import plotdata
from cli.errors import CliError
from cli.plot import file_name, shortened
from cli.plotdata import Curve, alert_spans, curves, windows_from
from cli.samples import open_input
from cli.score import score
from cli.scored import open_output
from cli.scorer import Scorer
from config.settings import Detect
from tests.detectors.bankdata import T0, noise

PNG = b"\x89PNG\r\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two series, a fault of 30 minutes in `a`, labelled."""
    fault = noise(300)
    fault[200:230] += 200
    lines = ["series,ts,value,label"]
    for i, (a, b) in enumerate(zip(fault.tolist(), noise(300, seed=2).tolist(), strict=True)):
        lines += [f"a,{T0 + 60_000 * i},{a},{int(200 <= i < 230)}", f"b,{T0 + 60_000 * i},{b},0"]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def drawn(table: Path, labels: Path | None = None, suffix: str = ".csv") -> list[Curve]:
    """What a picture of the table would show."""
    output = table.with_name(f"out{suffix}")
    scorer, reader = Scorer(Detect()), open_input(table)
    with open_output(output, reader) as writer:
        for chunk in reader.chunks():
            writer.write(chunk, scorer.score(chunk))
    return curves(output, scorer.series, None if labels is None else windows_from(labels))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_curve_is_what_was_written(table: Path, suffix: str) -> None:
    """Values, alerts and labels of each series, from either format."""
    a, b = drawn(table, suffix=suffix)
    assert (a.name, a.alerts, len(a.ts), int(a.label.sum())) == ("a", 1, 300, 30)
    assert (b.name, b.alerts, b.label.any()) == ("b", 0, False)
    ((first, last),) = alert_spans(a)
    assert (first, last) == (201, 231)
    assert np.isnan(a.lower[:20]).all()
    assert np.isfinite(a.lower[21:]).all()


def test_a_long_series_is_thinned_without_losing_an_extreme(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Least and most value, highest score, any alert or label of each stretch."""
    whole = drawn(table)[0]
    monkeypatch.setattr(plotdata, "MOST_POINTS", 100)
    monkeypatch.setattr(plotdata, "COLUMNS", 20)
    thin = drawn(table)[0]
    assert (len(thin.ts), thin.joined) == (20, 15)
    assert (thin.low.min(), thin.high.max()) == (whole.low.min(), whole.high.max())
    assert thin.score.max() == whole.score.max()
    assert thin.label.any()
    assert len(alert_spans(thin)) == 1


@pytest.mark.parametrize("form", ["pairs", "windows"])
def test_labels_may_come_from_a_file(table: Path, tmp_path: Path, form: str) -> None:
    """Pairs of times, as milliseconds or ISO 8601."""
    pairs = [[T0, "2023-11-14T22:20:00Z"]]
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"b": pairs if form == "pairs" else {"windows": pairs}}))
    a, b = drawn(table, labels)
    assert (a.label.sum(), b.label.sum()) == (0, 7)


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [[1]]}', '{"a": [[1, "soon"]]}'])
def test_labels_that_cannot_be_read_are_said_to_be_so(tmp_path: Path, text: str) -> None:
    """With the form that was expected."""
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(CliError, match=r"labels\.json") as error:
        windows_from(path)
    assert "[[start, end], ...]" in error.value.next_step


def test_a_folder_gets_a_picture_a_series(table: Path, tmp_path: Path) -> None:
    """Named after the series."""
    score(table, tmp_path / "out.csv", plot=tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a.png", "b.png"]
    assert (tmp_path / "pictures" / "a.png").read_bytes().startswith(PNG)


def test_a_file_gets_all_series_with_most_alerts_first(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as a page holds; how many were left out is said."""
    monkeypatch.setattr("cli.plot.PANELS", 1)
    score(table, tmp_path / "out.csv", plot=tmp_path / "all.svg", as_json=True)
    assert json.loads(capsys.readouterr().out)["pictures"]["left_out"] == 1
    assert (tmp_path / "all.svg").read_text().lstrip().startswith("<?xml")


def test_equal_tables_give_equal_pictures(table: Path, tmp_path: Path) -> None:
    """No date inside."""
    for name in ("one.png", "two.png"):
        score(table, tmp_path / "out.csv", plot=tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0], [1e12, -1e12, 0.0]])
def test_odd_series_are_drawn_too(tmp_path: Path, values: list[float]) -> None:
    """None, one, or equal values, and huge ones."""
    path = tmp_path / "in.csv"
    path.write_text("ts,value\n" + "".join(f"{T0 + 60_000 * i},{v}\n" for i, v in enumerate(values)))
    score(path, tmp_path / "out.csv", plot=tmp_path / "p.png")
    assert (tmp_path / "p.png").exists() == bool(values)


def test_without_matplotlib_the_extra_is_named_before_the_work(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is scored for nothing."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CliError, match="matplotlib") as error:
        score(table, tmp_path / "out.csv", plot=tmp_path / "p.png")
    assert "tocsin[plot]" in error.value.next_step
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("plot", "output", "says"),
    [
        ("p.gif", "out.csv", "unknown extension"),
        ("no/p.png", "out.csv", "does not exist"),
        ("p.png", "-", "standard output"),
    ],
)
def test_a_place_that_will_not_do_is_refused_before_the_work(
    table: Path, tmp_path: Path, plot: str, output: str, says: str
) -> None:
    """With what would do."""
    target = Path("-") if output == "-" else tmp_path / output
    with pytest.raises(CliError, match=says):
        score(table, target, plot=tmp_path / plot)


def test_names_of_series_become_safe_file_names() -> None:
    """Distinct, without separators."""
    assert file_name("../a b/$c", set()) == "a-b-c"
    assert file_name("a", {"a", "a-2"}) == "a-3"
    assert file_name("///", set()) == "series"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    """What tells series apart is often the end."""
    text = shortened("begin" + "x" * 200 + "end", 30)
    assert (len(text), text.startswith("begin"), text.endswith("end")) == (30, True, True)
