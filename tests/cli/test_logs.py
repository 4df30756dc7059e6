"""`tocsin logs`: files of any kind, times of any layout, figures that add up, output for all."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import logstats
from cli.logfile import MAX_LINE, Events, Source
from cli.logminer import Parameters
from cli.logstamps import NO_TIME, choose
from cli.logstats import Figures, stretched
from cli.logview import spark
from cli.main import main
from detectors.templates import Template
from tests.publicdata import public_data

NEAR = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * 1_000


def app_log() -> str:
    """Two hours: a request a second-ish, a warning now and then, an error with its stack late."""
    lines = []
    for i in range(240):
        at = f"2026-03-01 {10 + i // 120:02}:{i // 2 % 60:02}:{30 * (i % 2):02},123"
        lines.append(f"{at} INFO  http - GET /orders/{i} took {i % 9} ms")
        if i % 40 == 0:
            lines.append(f"{at} WARN  pool - pool {i} is nearly full")
        if i in (200, 220):
            lines += [
                f"{at} ERROR http - cannot charge order {i}",
                "java.io.IOException: gone",
                "\tat a.B.c(B.java:1)",
            ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text(app_log())
    return path


def code(*args: object) -> int:
    """Exit code of the command."""
    try:
        main(["logs", *map(str, args)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def found(capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    """The command's JSON."""
    assert code(*args, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_figures_of_every_template(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Count, share, rate, first and last time, level, what is new; a stack trace is part of its line."""
    said = found(capsys, log)
    assert {k: said["summary"][k] for k in ("lines", "events", "templates", "new")} == {
        "lines": 252, "events": 248, "templates": 3, "new": 1,
    }  # fmt: skip
    request, warning, error = said["templates"]
    assert (request["count"], request["severity"], request["new"]) == (240, "info", False)
    assert request["template"].startswith("INFO http - GET ")
    assert request["share"] == pytest.approx(240 / 248, abs=1e-6)
    assert request["per_minute"] == pytest.approx(240 / 119.5, abs=1e-6)
    assert (warning["count"], warning["severity"]) == (6, "warn")
    assert (error["count"], error["severity"], error["new"]) == (2, "error", True)
    assert (error["first_seen"], error["first_line"]) == ("2026-03-01T11:40:00.123Z", 208)
    assert error["example"] == "ERROR http - cannot charge order 200"
    assert sum(request["trend"]) == 240


def test_order_filters_and_top(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By what is new, by severity; only some of them."""
    assert [t["severity"] for t in found(capsys, log, "--sort", "new")["templates"]] == [
        "error",
        "warn",
        "info",
    ]
    assert [t["severity"] for t in found(capsys, log, "--sort", "severity", "--top", 1)["templates"]] == [
        "error"
    ]
    assert len(found(capsys, log, "--severity", "warn")["templates"]) == 2
    assert [t["count"] for t in found(capsys, log, "--grep", "nearly|order 200")["templates"]] == [6, 2]
    assert [t["count"] for t in found(capsys, log, "--new")["templates"]] == [2]
    assert found(capsys, log, "--new", "--learn", "0.9")["templates"] == []


def test_compressed_files_and_standard_input_say_the_same(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name says; gzip of several members, UTF-16 with its mark, lines that end in CR LF."""
    raw = log.read_bytes()
    expected = found(capsys, log)["templates"]
    kinds = {
        "gz": gzip.compress(raw[:1_000]) + gzip.compress(raw[1_000:]),
        "bz2": bz2.compress(raw),
        "xz": lzma.compress(raw),
        "zst": bytes(cramjam.zstd.compress(raw)),
        "lz4": bytes(cramjam.lz4.compress(raw)),
        "utf16": raw.decode().encode("utf-16"),
        "bom": b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n"),
    }
    for kind, packed in kinds.items():
        path = tmp_path / f"{kind}.log"
        path.write_bytes(packed)
        assert found(capsys, path)["templates"] == expected, kind
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(kinds["gz"])))
    assert found(capsys, "-")["templates"] == expected


def test_json_lines_are_read_by_the_usual_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Message, time in several forms, level; other lines among them stay lines."""
    rows = [
        {"time": "2026-03-01T10:00:00Z", "level": "info", "msg": "user 1 came"},
        {"@timestamp": "2026-03-01T10:01:00Z", "log.level": "ERROR", "message": "user 2 came"},
        {"ts": 1_772_359_320.5, "severity": "warn", "message": "user 3 came"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "no object", "{broken"]) + "\n")
    said = found(capsys, path)
    user = said["templates"][0]
    assert (user["count"], user["severity"]) == (3, "error")
    assert (user["first_seen"], user["last_seen"]) == ("2026-03-01T10:00:00.000Z", "2026-03-01T10:02:00.500Z")
    assert {t["template"] for t in said["templates"][1:]} == {"no object", "{broken"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-22T18:58:23.327+01:00 x", "2026-11-22T17:58:23.327"),
        ("2026-11-22 18:58:23,327 x", "2026-11-22T18:58:23.327"),
        ("2026-11-22 18:58:23,327 - INFO  [main:App@1] - x", "2026-11-22T18:58:23.327"),
        ("[22/Nov/2026:18:58:23 +0100] x", "2026-11-22T17:58:23"),
        ('1.2.3.4 - - [22/Nov/2026:18:58:23 +0000] "GET / HTTP/1.1" 200 1', "2026-11-22T18:58:23"),
        ("Nov 22 18:58:23 host app[1]: x", "2026-11-22T18:58:23"),
        ("<13>Nov 22 18:58:23 host app[1]: x", "2026-11-22T18:58:23"),
        ("<13>1 2026-11-22T18:58:23Z host app 1 - - x", "2026-11-22T18:58:23"),
        ("[Sun Nov 22 18:58:23 2026] [error] x", "2026-11-22T18:58:23"),
        ("[Sun Nov 22 18:58:23.123456 2026] [core:error] x", "2026-11-22T18:58:23.123"),
        ("261122 185823 148 INFO x", "2026-11-22T18:58:23"),
        ("26/11/22 18:58:23 INFO x", "2026-11-22T18:58:23"),
        ("20261122-18:58:23:606|x", "2026-11-22T18:58:23.606"),
        ("22-Nov-2026 18:58:23.327 INFO x", "2026-11-22T18:58:23.327"),
        ("1:M 22 Nov 2026 18:58:23.327 * Ready", "2026-11-22T18:58:23.327"),
        ("11/22/2026 6:58:23 PM x", None),
        ("11/22/2026 06:58:23 PM x", "2026-11-22T18:58:23"),
        ("22.11.2026 18:58:23 x", "2026-11-22T18:58:23"),
        ("I1122 18:58:23.000123    1 x.go:1] x", "2026-11-22T18:58:23"),
        ("11-22 18:58:23.811  1702  2395 D x", "2026-11-22T18:58:23.811"),
        ("[11.22 18:58:23] chrome.exe - x", "2026-11-22T18:58:23"),
        ("1795373903.327 x", "2026-11-22T18:58:23.327"),
        ("- 1795373903 2026.11.22 R02 2026-11-22-18.58.23.363779 R02 RAS x", "2026-11-22T18:58:23.363"),
        ("nova.log.1.2026-11-22_13:53:08 2026-11-22 18:58:23.008 25746 INFO x", "2026-11-22T13:53:08"),
        ("I, [2026-11-22T18:58:23.327 #123]  INFO -- : x", "2026-11-22T18:58:23.327"),
        ("134681 node-246 unix.hw state 1795373903 1 x", "2026-11-22T18:58:23"),
        ("2026-11-22 18:58:23 UTC [123] LOG:  x", "2026-11-22T18:58:23"),
        ("no time here 12:30", None),
    ],
)
def test_times_of_the_common_layouts(line: str, expected: str | None) -> None:
    """The year that is missing is the nearest; a line without a time has none."""
    chosen = choose([line] * 3, NEAR)
    ms = chosen[1](line).ms if chosen else NO_TIME
    assert ms == (NO_TIME if expected is None else _ms(expected))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def test_a_file_written_a_moment_ago_keeps_its_times(tmp_path: Path) -> None:
    """A local time near the clock's is not moved to it, unlike what comes live."""
    line = f"{datetime.fromtimestamp(NEAR / 1000 - 3 * 3600, UTC):%Y-%m-%d %H:%M:%S} x"
    chosen = choose([line], NEAR)
    assert chosen is not None
    assert chosen[1](line).ms == NEAR - 3 * 3_600_000


@pytest.mark.parametrize(
    ("system", "layout"),
    [
        ("Apache", "ctime"), ("HDFS", "short"), ("HPC", "epoch inside"), ("HealthApp", "compact"),
        ("Linux", "leading"), ("OpenSSH", "leading"), ("Spark", "short with clock"), ("Zookeeper", "leading"),
    ],
)  # fmt: skip
def test_public_logs_have_times_in_nearly_every_line(system: str, layout: str, tmp_path: Path) -> None:
    """Eight systems as they write; the layout is found by itself, and the figures add up."""
    table = pq.read_table(public_data("loghub_2k") / "logs.parquet", columns=["system", "raw"])
    raw = [r["raw"] for r in table.to_pylist() if r["system"] == system]
    path = tmp_path / "x.log"
    path.write_text("\n".join(raw) + "\n")
    events = Events(Source(path), NEAR)
    read = [event for batch in events.batches() for event in batch]
    assert (events.layout, events.lines) == (layout, 2_000)
    assert sum(event.ts != NO_TIME for event in read) > 0.99 * len(read)


def test_tracebacks_without_a_line_of_their_own(tmp_path: Path) -> None:
    """Named by their last line; chained ones are one record, those of two failures are two."""
    one = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: bad 1\n'
    chained = f"{one}\nDuring handling of the above exception, another exception occurred:\n\n{one}"
    path = tmp_path / "x.log"
    path.write_text("start\n\n" + chained.replace("start", "") + one)
    read = [event for batch in Events(Source(path), NEAR).batches() for event in batch]
    assert [event.text.partition("\n")[0] for event in read] == ["start", "ValueError: bad 1"]


def test_overlong_lines_are_cut(tmp_path: Path) -> None:
    """And what follows is still there."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a" * 3_000_000 + b"\nnext\n")
    assert [len(line) for line in Source(path).lines()] == [MAX_LINE, 4]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.log", None, "does not exist → name a log file"),
        ("folder", "folder", r"is a folder → name a file in it, or cat .*folder/\*.log"),
        ("x.log", b"ab\x00cd", r"is not text \(byte 2 is 0\) → name a log file"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_next_step(
    name: str, content: bytes | str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    assert code(path) == 2
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--grep", "("), r"--grep is '\(': expected a regular expression"),
        (("-o", "x.txt"), "unknown extension '.txt' → name a .parquet"),
        (("-o", "/no/such/x.parquet"), "folder /no/such does not exist"),
    ],
)
def test_bad_options_are_said_before_the_work(
    options: tuple[str, ...], said: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and what to do."""
    assert code(log, *options) == 2
    assert re.search(said, capsys.readouterr().err)


def test_an_empty_file_is_not_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in words; an empty list and a heading for programs."""
    path = tmp_path / "x.log"
    path.write_text("")
    assert code(path) == 0
    assert "x.log is empty" in capsys.readouterr().out.replace("\n", "")
    assert found(capsys, path)["templates"] == []
    assert code(path, "-f", "csv") == 0
    assert capsys.readouterr().out.startswith("id,template,count,")


def test_a_cut_off_archive_shows_what_is_there(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so on standard error."""
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(log.read_bytes())[:-200])
    assert code(path, "-f", "csv") == 0
    out, err = capsys.readouterr()
    assert len(list(csv.DictReader(io.StringIO(out)))) >= 2
    assert "the gzip data are damaged or end too early" in err.replace("\n", " ")


def test_secrets_are_masked_unless_told_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in the example and in the Parquet file; the settings file may keep kinds."""
    path = tmp_path / "x.log"
    path.write_text("".join(f"login of user{i}@example.com with password=hunter{i}\n" for i in range(9)))
    out = tmp_path / "x.parquet"
    said = found(capsys, path, "-o", out)
    assert said["summary"]["masked"] == {"mail": 9, "password": 9}
    assert "hunter" not in json.dumps(said) + str(pq.read_table(out).to_pylist())
    config = tmp_path / "c.yaml"
    config.write_text("logs: {secrets: {keep: [mail]}}")
    assert found(capsys, path, "-c", config)["summary"]["masked"] == {"password": 9}
    raw = found(capsys, path, "--no-mask")
    assert (raw["summary"]["masked"], "hunter0" in raw["templates"][0]["example"]) == ({}, True)


def test_parquet_has_the_template_of_each_line(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the table has it in the end, with what varies in the line; nothing else is left beside it."""
    out = tmp_path / "lines.parquet"
    said = found(capsys, log, "-o", out)
    rows = pq.read_table(out).to_pylist()
    by_id = {t["id"]: t for t in said["templates"]}
    assert len(rows) == 248
    for id, template in by_id.items():
        mine = [row for row in rows if row["template_id"] == id]
        assert len(mine) == template["count"]
        assert {row["template"] for row in mine} == {template["template"]}
        assert mine[0]["line"] == template["first_line"]
    last = next(row for row in reversed(rows) if row["severity"] == "warn")
    assert last["params"] == ["200"]
    assert last["ts"] == datetime(2026, 3, 1, 11, 40, 0, 123_000, UTC)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["app.log", "lines.parquet"]


def test_a_pipe_gets_whole_plain_lines(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No colour, no cut, a line each."""
    log.write_text(log.read_text() + "2026-03-01 11:59:59 INFO " + "word " * 90 + "end\n")
    assert code(log) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "word end" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert len(out.splitlines()) == 6


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_terminal_is_never_too_narrow(width: int, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No line longer than it; every template is still there."""
    from rich.console import Console

    from cli.logs import _KEYS, Sort
    from cli.logview import Summary, show

    said = found(capsys, log)
    figures = Figures()
    events = Events(Source(log), NEAR)
    for batch in events.batches():
        figures.add(
            batch, [Template(e.text[:6], "INFO http - GET /orders/<num> took <num> ms", True) for e in batch]
        )
    rows = sorted(figures.rows(0.5, {}), key=_KEYS[Sort.COUNT])
    target = io.StringIO()
    console = Console(file=target, width=width, force_terminal=True, color_system=None)
    summary = Summary(**{**said["summary"], "first_ts": figures.first_ts, "last_ts": figures.last_ts})
    show(rows, summary, [], console, full=False)
    lines = target.getvalue().splitlines()[1:]
    assert max(map(len, lines)) <= width
    assert sum("GET" in line for line in lines) == len(rows)


# -- figures -----------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4 * 10**12) | st.integers(10**12, 10**12 + 10**6)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 20),
)
def test_trends_lose_no_line(said: list[tuple[int, int]], size: int) -> None:
    """Times in any order, from seconds to a century: every line is in its template's trend."""
    from cli.logfile import Event

    figures = Figures()
    events = [Event(i + 1, ts, 0, f"t{which}") for i, (which, ts) in enumerate(said)]
    for i in range(0, len(events), size):
        batch = events[i : i + size]
        figures.add(batch, [Template(event.text, event.text, False) for event in batch])
    rows = figures.rows(0.5, {})
    assert {row.id: int(row.trend.sum()) for row in rows} == {row.id: row.lines for row in rows}
    assert sum(row.lines for row in rows) == len(said)
    assert {row.id: (row.first_ts, row.last_ts) for row in rows} == {
        f"t{w}": (min(ts for x, ts in said if x == w), max(ts for x, ts in said if x == w)) for w, _ in said
    }


def test_templates_beyond_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lines are said to be left out."""
    from cli.logfile import Event

    monkeypatch.setattr(logstats, "MAX_TEMPLATES", 3)
    figures = Figures()
    figures.add(
        [Event(i + 1, NO_TIME, 0, str(i)) for i in range(5)],
        [Template(str(i), str(i), True) for i in range(5)],
    )
    assert (figures.left_out, [row.id for row in figures.rows(0.5, {})]) == (2, ["0", "1", "2"])


def test_templates_that_became_part_of_another_are_one_row() -> None:
    """Lines, times and trend of both."""
    from cli.logfile import Event

    figures = Figures()
    figures.add(
        [Event(1, 1_000, 9, "a b"), Event(2, 2_000, 17, "a c")],
        [Template("1", "a b", True), Template("2", "a c", True)],
    )
    [row] = figures.rows(1.0, {"1": ("3", "a <*>"), "2": ("3", "a <*>")})
    assert (row.id, row.template, row.lines, row.severity) == ("3", "a <*>", 2, 17)
    assert (row.first_ts, row.last_ts, int(row.trend.sum())) == (1_000, 2_000, 2)


def test_small_counts_show_in_a_trend() -> None:
    """Something is never nothing."""
    assert spark([0, 1, 500, 1_000]) == " ▁▄█"
    assert stretched(np.arange(10), 5) == [1, 5, 9, 13, 17]


@pytest.mark.parametrize(
    ("template", "line", "params"),
    [
        ("user <num> from <ip>", "user 7 from 10.0.0.1", ["7", "10.0.0.1"]),
        ("a  <*> (b)", "a x (b)", ["x"]),
        ("<*>=<num>; end", "k=v=3; end", ["k", "v=3"]),
        ("user <num>", "somebody else", None),
        ("plain", "plain", []),
    ],
)
def test_parameters_are_what_stands_in_their_place(
    template: str, line: str, params: list[str] | None
) -> None:
    """None where the line does not fit."""
    assert Parameters().of(template, line) == params
