"""`tocsin score`: the same rows in the same order, with what the detectors thought of them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.columns import ADDED, NO_TIME, to_ms
from cli.errors import CliError
from cli.main import main
from tests.detectors.bankdata import T0, noise, scores


def fault(n: int = 300) -> np.ndarray:
    values = noise(n)
    values[200:230] += 200
    return values


def write_csv(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*args: object) -> None:
    main(["score", *map(str, args)])


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rows = [f"a,{T0 + 60_000 * i},{v!r},x{i}" for i, v in enumerate(fault().tolist())]
    return write_csv(tmp_path / "in.csv", "series,ts,value,note", rows)


def score(*args: object) -> int:
    """Exit code of the command."""
    try:
        run(*args)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_rows_and_their_order_are_kept(samples: Path, tmp_path: Path) -> None:
    """Every input cell comes back as it was, followed by the added columns."""
    score(samples, "-o", tmp_path / "out.csv")
    before, after = read(samples), read(tmp_path / "out.csv")
    assert [{k: row[k] for k in before[0]} for row in after] == before
    assert list(after[0])[-6:] == list(ADDED)


def test_scores_are_those_of_the_bank(samples: Path, tmp_path: Path) -> None:
    """The same numbers to the last bit as the live code gives."""
    score(samples, "-o", tmp_path / "out.csv")
    found = [float(row["score"]) for row in read(tmp_path / "out.csv")]
    np.testing.assert_array_equal(found, scores(fault()).score)


def test_states_are_written_in_words(samples: Path, tmp_path: Path) -> None:
    """warming, ok, pending, firing."""
    score(samples, "-o", tmp_path / "out.csv")
    states = [row["state"] for row in read(tmp_path / "out.csv")]
    assert [states[i] for i in (0, 19, 20, 200, 201)] == ["warming", "warming", "ok", "pending", "firing"]


def test_parquet_in_and_out_keeps_types(tmp_path: Path) -> None:
    """Column types of the input stay; `file` names the series as well."""
    n = 100
    table = pa.table(
        {
            "file": pa.array(["f"] * n).dictionary_encode(),
            "ts": pa.array(T0 + 60_000 * np.arange(n), pa.timestamp("ms")),
            "value": pa.array(noise(n), pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(table)
    assert out.schema.field("score").type == pa.float64()
    assert out["score"].null_count == 0


def test_csv_and_parquet_give_equal_scores(samples: Path, tmp_path: Path) -> None:
    """The format of the output changes nothing in it."""
    score(samples, "-o", tmp_path / "out.csv")
    score(samples, "-o", tmp_path / "out.parquet")
    rows = read(tmp_path / "out.csv")
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["reason"] for row in rows] == [row["reason"] or "" for row in table]
    assert [float(row["score"]) for row in rows] == [row["score"] for row in table]
    assert [row["state"] for row in rows] == [row["state"] for row in table]


def test_series_are_scored_apart_however_they_are_mixed(tmp_path: Path) -> None:
    """Interleaved series score as if each had a file of its own."""
    a, b = fault(), noise(300, seed=8, level=-3.0)
    rows = []
    for i in range(300):
        rows += [f"a,{T0 + 60_000 * i},{a[i]!r}", f"b,{T0 + 60_000 * i},{b[i]!r}"]
    rows = [row.replace("np.float64(", "").replace(")", "") for row in rows]
    score(write_csv(tmp_path / "in.csv", "series,ts,value", rows), "-o", tmp_path / "out.csv")
    found = [float(row["score"]) for row in read(tmp_path / "out.csv")]
    np.testing.assert_array_equal(found[::2], scores(a).score)
    np.testing.assert_array_equal(found[1::2], scores(b).score)


def test_odd_rows_are_kept_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Repeated, backward, not-a-number and untimed rows: an empty score, and a count."""
    rows = [f"a,{T0 + 60_000 * i},{i % 3}" for i in range(40)]
    rows += [f"a,{T0},5", f"a,{T0 + 60_000 * 39},5", f"a,{T0 + 60_000 * 40},", "a,,5"]
    source = write_csv(tmp_path / "in.csv", "series,ts,value", rows)
    score(source, "-o", tmp_path / "out.csv", "--json")
    after = read(tmp_path / "out.csv")
    assert len(after) == 44
    assert [row["score"] for row in after[40:]] == [""] * 4
    assert [row["state"] for row in after[40:43]] == ["ok"] * 3
    summary = json.loads(capsys.readouterr().out)
    assert (summary["repeated_or_backward_rows"], summary["nonfinite_rows"]) == (2, 1)
    assert (summary["rows_without_time"], summary["rows"]) == (1, 44)


def test_a_file_without_a_series_column_is_one_series(tmp_path: Path) -> None:
    """ts and value are enough."""
    rows = [f"{T0 + 60_000 * i},{v!r}" for i, v in enumerate(fault().tolist())]
    score(write_csv(tmp_path / "in.csv", "ts,value", rows), "-o", tmp_path / "out.csv")
    found = [float(row["score"]) for row in read(tmp_path / "out.csv")]
    np.testing.assert_array_equal(found, scores(fault()).score)


@pytest.mark.parametrize(
    "written",
    [
        1_396_310_400_000,
        1_396_310_400,
        1_396_310_400_000_000,
        1_396_310_400_000_000_000,
        "1396310400",
        "2014-04-01 00:00:00",
        "2014-04-01T00:00:00Z",
        "2014-04-01T02:00:00+02:00",
    ],
)
def test_times_may_be_ms_seconds_or_iso(written: str | int) -> None:
    """All of these are the same moment."""
    assert to_ms(written) == 1_396_310_400_000


@pytest.mark.parametrize("written", ["", "soon", None, float("nan"), 1e300])
def test_unreadable_times_are_no_time(written: str | float | None) -> None:
    """They are said to be unreadable, not guessed."""
    assert to_ms(written) == NO_TIME


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("in.csv", "series,when,value\n", "no column 'ts'"),
        ("in.csv", "series,ts,value,score\n", "already has a column 'score'"),
        ("in.csv", "series,ts,value\na,1\n", "line 2 has 2 cells"),
        ("in.csv", "ts,value\n1,2\n2,x\n", "line 3, column 'value' is 'x': expected a number"),
        ("in.csv", "time,value\nsoon,2\n", "line 2, column 'time' is 'soon': expected milliseconds, seconds"),
        ("in.csv", "", "is empty"),
        ("in.csv", "1,2\n3,4\n", "no column 'ts'"),
        ("in.txt", "", "unknown extension"),
        ("in.parquet", "not parquet", "is not Parquet"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path: Path, name: str, text: str, says: str) -> None:
    """It names the file and what is wrong, and leaves no output behind."""
    from cli.score import score as command

    source, output = tmp_path / name, tmp_path / "out.csv"
    source.write_text(text)
    with pytest.raises(CliError, match=says):
        command(source, output)
    assert not output.exists()


def test_a_bad_call_exits_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback: one line on standard error."""
    assert score(tmp_path / "nope.csv", "-o", tmp_path / "out.csv") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CSV needs no pyarrow; Parquet names the extra."""
    from cli.score import score as command

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    command(samples, tmp_path / "out.csv")
    with pytest.raises(CliError, match="pyarrow") as caught:
        command(samples, tmp_path / "out.parquet")
    assert "tocsin[files]" in caught.value.next_step


def test_reasons_say_in_words_what_is_unusual_and_for_how_long(samples: Path, tmp_path: Path) -> None:
    """Ordinary rows have none."""
    score(samples, "-o", tmp_path / "out.csv")
    reasons = [row["reason"] for row in read(tmp_path / "out.csv")]
    assert reasons[:200].count("") > 190
    assert reasons[200].endswith(" its usual 100.0") or "x its usual" in reasons[200]
    assert reasons[206].endswith(", for 6 min")


def test_a_run_lasts_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and figures do not depend on how many rows are read at a time."""
    rows = [f"{s},{T0 + 60_000 * i},{v!r}" for i, v in enumerate(fault().tolist()) for s in "ab"]
    source = write_csv(tmp_path / "in.csv", "series,ts,value", rows)
    score(source, "-o", tmp_path / "whole.csv")
    monkeypatch.setattr("cli.samples.ROWS", 7)
    score(source, "-o", tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_parquet_errors_name_the_row_and_the_column(tmp_path: Path) -> None:
    """Text that is no number, in the second row."""
    from cli.score import score as command

    table = pa.table({"ts": pa.array([T0, T0 + 1]), "value": pa.array(["1.5", "much"])})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(CliError, match="row 2, column 'value' is 'much': expected a number"):
        command(tmp_path / "in.parquet", tmp_path / "out.csv")


def test_a_failed_run_leaves_an_older_output_as_it_was(tmp_path: Path) -> None:
    """The output is replaced when the new one is whole."""
    source = write_csv(tmp_path / "in.csv", "ts,value", [f"{T0},1", f"{T0 + 1},x"])
    (tmp_path / "out.csv").write_text("before")
    assert score(source, "-o", tmp_path / "out.csv") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"


@pytest.mark.parametrize(
    "header", ["ts,value", "Timestamp,Value", "time, y", "@timestamp,val", "datetime,VALUE"]
)
def test_columns_are_found_by_usual_names(tmp_path: Path, header: str) -> None:
    """In upper or lower case."""
    score(write_csv(tmp_path / "in.csv", header, [f"{T0},1"]), "-o", tmp_path / "out.csv")
    assert read(tmp_path / "out.csv")[0]["state"] == "warming"


def test_standard_input_to_standard_output(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table alone on standard output, the summary on standard error."""
    score(samples, "-o", tmp_path / "out.csv")
    capsys.readouterr()
    with samples.open("rb") as raw:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": raw}))
        score("-", "-o", "-")
    said = capsys.readouterr()
    assert said.out == (tmp_path / "out.csv").read_text()
    assert "300 rows of 1 series" in said.err


def test_rules_match_the_columns_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """service, metric and series: the same rules as in the worker."""
    config = tmp_path / "tocsin.yaml"
    config.write_text(
        "detect: {rules: [{matchers: ['service=db', 'metric=\"disk.used\"', 'series=a'], warning_above: 90},"
        " {matchers: ['series=b'], watch: false}]}"
    )
    rows = [f"{T0 + i},db,disk.used,%,{name},{95 * (i == 5)}" for i in range(9) for name in "abc"]
    source = write_csv(tmp_path / "in.csv", "ts,service,metric,unit,series,value", rows)
    score(source, "-o", tmp_path / "out.csv", "-c", config, "--json")
    after = read(tmp_path / "out.csv")
    assert [row["reason"] for row in after if row["score"] == "1.0"] == [
        "above its warning threshold of 90.0 %"
    ]
    assert {row["score"] for row in after if row["series"] == "b"} == {""}
    summary = json.loads(capsys.readouterr().out)
    assert (summary["alerts"], summary["rows_of_excluded_series"]) == (1, 9)
