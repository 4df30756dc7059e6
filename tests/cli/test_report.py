"""The report over six weeks of rows: what the questions answer, and what is written to files and the page."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cli.main import main
from cli.reportdata import TABLES, columns, gather
from cli.reportpage import chart, noise_bars, page, step_of
from config.settings import ClickHouse
from embedded.stack import Stack
from sinks import analytics
from sinks.analytics import NoiseDay
from sinks.clickhouse import connect
from sinks.reader import Group, Reader, Stat
from sinks.schema import create_database, migrate
from streams.records.messages import MAX_MS
from tests.cli.reportrows import DAYS, clocks, fill, incidents
from tests.sinks.make import DAY, HOUR, MINUTE, T0

Run = Callable[..., tuple[int, str, str]]
ALL = incidents()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(kafka=False) as running:
        for database in ("tocsin", "empty"):
            settings = ClickHouse(url=running.clickhouse, database=database)
            first = connect(settings, database="default")
            create_database(first, database)
            first.close()
            client = connect(settings)
            migrate(client)
            if database == "tocsin":
                fill(client)
            client.close()
        yield running


@pytest.fixture
def reader(stack: Stack) -> Iterator[Reader]:
    client = connect(ClickHouse(url=stack.clickhouse))
    yield Reader(client)
    client.close()


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", stack.clickhouse)

    def finished(*words: str, database: str = "tocsin") -> tuple[int, str, str]:
        monkeypatch.setenv("TOCSIN_CLICKHOUSE_DATABASE", database)
        with pytest.raises(SystemExit) as caught:
            main(["report", *words])
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return finished


def test_service_levels_are_counted_by_the_day_they_were_due(reader: Reader) -> None:
    """Met, missed and open as the clocks say; a period leaves out what is due at its end or later."""
    found = analytics.slas(reader, 0, MAX_MS)
    for name in ("sla respond", "sla resolve"):
        mine = [clock.state for clock in clocks() if clock.name == name]
        rows = [row for row in found if row.name == name]
        assert sum(row.met for row in rows) == mine.count("met")
        assert sum(row.missed for row in rows) == mine.count("missed")
        assert sum(row.open for row in rows) == mine.count("running") == 1
    week = analytics.slas(reader, T0, T0 + 7 * DAY)
    due = [c for c in clocks() if T0 <= c.due_at < T0 + 7 * DAY]
    assert sum(row.n for row in week) == len(due) > 0


def test_busy_services_count_every_incident_they_take_part_in(reader: Reader) -> None:
    """Named by the hint in their own incidents only, and ordered by count."""
    found = {row.service: row for row in analytics.busiest(reader, 0, MAX_MS)}
    for name in ("payment", "checkout", "search"):
        assert found[name].incidents == sum(name in [s.service for s in i.services] for i in ALL)
    assert (found["payment"].suspected, found["checkout"].suspected) == (found["payment"].incidents, 0)
    counts = [row.incidents for row in analytics.busiest(reader, 0, MAX_MS, limit=3)]
    assert counts == sorted((row.incidents for row in found.values()), reverse=True)[:3]


def test_what_comes_back_is_counted_within_the_period(reader: Reader) -> None:
    """All three kinds over all time, with the mean time between starts; none in an hour."""
    found = {row.signature: row for row in analytics.recurring(reader, 0, MAX_MS)}
    starts = sorted(i.started_at for i in ALL if i.signature == "s-search")
    assert found["s-search"].n == len(starts)
    assert found["s-search"].interval_ms == pytest.approx((starts[-1] - starts[0]) / (len(starts) - 1))
    assert len(found) == 3
    assert analytics.recurring(reader, T0, T0 + HOUR) == []


def test_team_load_and_hints_agree_with_the_incidents(reader: Reader) -> None:
    """By owner, the nameless too; hints against recorded services."""
    found = {row.team: row for row in analytics.loads(reader, 0, MAX_MS)}
    assert {team: row.opened for team, row in found.items()} == {
        team: sum(i.owner == team for i in ALL) for team in ("team-pay", "team-find", "")
    }
    night = [i for i in ALL if i.owner == "team-find" and not 6 <= (i.opened_at // HOUR) % 24 < 22]
    assert found["team-find"].at_night == len(night) > 0
    hints = analytics.hints(reader, 0, MAX_MS)
    right = sum(i.hints[0].service == i.cause_service for i in ALL)
    assert (hints.n, hints.top1, hints.unknown) == (len(ALL), right, 0)
    assert hints.top1_share == pytest.approx(right / len(ALL))


def test_noise_says_what_was_suppressed(reader: Reader) -> None:
    """Nine alerts a day, every sixth held back; the days add up to the whole."""
    noise = reader.noise(0, MAX_MS)
    assert (noise.alerts, noise.suppressed, noise.incidents) == (9 * DAYS, 9 * DAYS // 6, len(ALL))
    days = analytics.noise_days(reader, 0, MAX_MS)
    assert sum(day.alerts for day in days) == noise.alerts
    assert sum(day.suppressed for day in days) == noise.suppressed
    midnight = T0 - T0 % DAY
    some = analytics.noise_days(reader, midnight, midnight + 2 * DAY)
    assert [day.day for day in some] == ["2026-01-01", "2026-01-02"]


def test_by_team_and_by_week(run: Run) -> None:
    """A row for each team, the most loaded first; weeks are Mondays without a hole."""
    groups = json.loads(run("--by", "team", "--json")[1])["groups"]
    assert {g["key"] for g in groups} == {"team-pay", "team-find", ""}
    assert [g["resolved"] for g in groups] == sorted((g["resolved"] for g in groups), reverse=True)
    weeks = [g["key"] for g in json.loads(run("--by", "week", "--json")[1])["groups"]]
    assert weeks[:2] == ["2025-12-29", "2026-01-05"]
    assert len(weeks) == 7


def test_the_terminal_report_has_short_tables(run: Run) -> None:
    """Service levels, services, what comes back and hints; text from outside is not markup."""
    code, out, _ = run()
    assert code == 0
    for title in ("Service levels", "Busiest services", "What comes back", "Hints"):
        assert title in out
    assert "mail queue grows <b>fast</b>" in out
    assert re.search(r"378 alerts \(63 suppressed\) → \d+ incidents", out)


def test_csv_of_weeks_has_the_figures_of_the_json(run: Run, tmp_path: Path) -> None:
    """The same numbers under names that end in their unit; no figure is an empty cell."""
    target = tmp_path / "weeks.csv"
    code, out, _ = run("--by", "week", "-o", str(target))
    assert (code, out) == (0, f"{target}: the report as csv\n")
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    groups = json.loads(run("--by", "week", "--format", "json")[1])["groups"]
    assert [row["week"] for row in rows] == [g["key"] for g in groups]
    assert [float(row["mttr_p90_ms"]) for row in rows] == [g["mttr"]["p90"] for g in groups]
    assert [int(row["acknowledged"]) for row in rows] == [g["acknowledged"] for g in groups]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("database", ["tocsin", "empty"])
def test_every_table_is_written_as_csv_and_parquet(
    run: Run, tmp_path: Path, table: str, database: str
) -> None:
    """Equal rows in both, and the same columns and types with nothing in them."""
    parquet = pytest.importorskip("pyarrow.parquet")
    code, out, _ = run("--table", table, "--format", "csv", database=database)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    target = tmp_path / "r.parquet"
    assert run("--table", table, "-o", str(target), database=database)[0] == 0
    found = parquet.read_table(target)
    assert found.column_names == columns(table, "") == out.splitlines()[0].split(",")
    assert not any(str(kind) == "null" for kind in found.schema.types)
    assert found.num_rows == len(rows)
    assert (len(rows) > 0) == (database == "tocsin" or table == "hints")
    for row, other in zip(rows, found.to_pylist(), strict=True):
        assert {k: "" if v is None else str(v) for k, v in other.items()} == {
            k: str(float(v)) if v and isinstance(other[k], float) else v for k, v in row.items()
        }


def test_parquet_without_pyarrow_says_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the next step, no trace."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("-o", str(tmp_path / "r.parquet"))
    assert code != 0
    assert "pip install 'tocsin[files]'" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "parquet"), "-o report.parquet"),
        (("-o", "report.xlsx"), "--html FILE"),
        (("--table", "moons"), "timing, sla"),
        (("--json", "--format", "csv"), "leave one out"),
        (("--html", "/nowhere/report.html"), "name another file"),
        (("--format", "csv", "-o", "/nowhere/report.csv"), "name another file"),
    ],
)
def test_what_cannot_be_written_is_said_with_the_next_step(
    run: Run, words: tuple[str, ...], says: str
) -> None:
    """Also where the folder is missing."""
    code, _, err = run(*words)
    assert code != 0
    assert says in " ".join(err.split())


class _Asks(HTMLParser):
    """What a page would fetch, and which elements it has."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetches += [v or "" for k, v in attrs if k in ("src", "href", "action", "xlink:href", "srcset")]


def test_the_page_stands_alone_and_shows_every_part(run: Run, tmp_path: Path) -> None:
    """No script, nothing fetched, both colour schemes; each part is there with a drawing and its table."""
    target = tmp_path / "report.html"
    assert run("--html", str(target), "--by", "team")[0] == 0
    text = target.read_text()
    asks = _Asks()
    asks.feed(text)
    assert asks.fetches == []
    assert not {"script", "link", "img", "iframe"} & set(asks.tags)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert "<b>fast</b>" not in text
    assert "mail queue grows &lt;b&gt;fast&lt;/b&gt;" in text
    parts = re.split(r"<h2>", text)[1:]
    assert len(parts) == 8
    for part in parts:
        assert "<table" in part
        assert "<svg" in part or part.startswith("By team")


def test_the_page_of_nothing_has_no_figures(run: Run, tmp_path: Path) -> None:
    """Dashes and sentences, no drawing, no zero for what was not measured."""
    target = tmp_path / "report.html"
    assert run("--html", str(target), database="empty")[0] == 0
    text = target.read_text()
    assert text.count("<b>–</b>") == 6
    assert "<svg" not in text
    assert "No service level was due" in text


def test_equal_figures_give_equal_pages(reader: Reader) -> None:
    """Byte for byte; the only clock is the argument."""
    found = gather(reader, 0, MAX_MS)
    course = reader.report(0, MAX_MS, "week")
    days = analytics.noise_days(reader, 0, MAX_MS)
    assert page(found, course, days, "all", T0) == page(gather(reader, 0, MAX_MS), course, days, "all", T0)


NOTHING = Stat(0, None, None, None, None)


def _group(day: str, p50: float | None) -> Group:
    stat = NOTHING if p50 is None else Stat(2, p50, p50, 2 * p50, 2 * p50)
    return Group(day, 0 if p50 is None else 2, 0, 0, 0, None, stat, stat, stat, stat, stat)


def test_a_line_is_broken_where_nothing_was_resolved() -> None:
    """Two stretches around an empty day; a lone point is a dot without a line."""
    course = [_group(f"2026-01-0{n}", v) for n, v in enumerate((60e3, 120e3, None, 90e3, None, 1e3, 2e3), 1)]
    drawn = chart("MTTR", "", course, "mttr")
    assert len(drawn.dots) == 5
    assert [len(points.split()) for points in drawn.p50] == [2, 2]
    assert [label for _, label in drawn.ticks] == ["0", "1 min", "2 min", "3 min", "4 min"]
    assert drawn.dots[0][2] == "2026-01-01: p50 1 min 0 s, p90 2 min 0 s, n 2"


def test_the_drawing_stays_within_its_frame() -> None:
    """Also for one day, for nothing at all, and for months between days."""
    for values in ([], [5.0], [None], [1.0, 100 * DAY], [0.0, 0.0]):
        drawn = chart("MTTR", "", [_group(f"2026-01-0{n}", v) for n, v in enumerate(values, 1)], "mttr")
        assert all(56 <= x <= 352 and 10 <= y <= 146 for x, y, _ in drawn.dots)
        assert all(10 <= y <= 146 for y, _ in drawn.ticks)
    bars = noise_bars([NoiseDay("2026-01-01", 7, 1, 9, -0.3), NoiseDay("2026-01-02", 0, 0, 0, None)])
    assert all(x >= 56 and x + w <= 352 and max(a, i) <= 136 for x, w, a, i, _ in bars.bars)
    assert noise_bars([]).bars == []


def test_long_periods_are_drawn_by_week() -> None:
    """A day has too few incidents for a percentile."""
    days = [_group(f"2026-{n // 28 + 1:02}-{n % 28 + 1:02}", 1.0) for n in range(32)]
    assert step_of(days) == "week"
    assert step_of(days[:31]) == "day"
    assert step_of([_group("2026-01-05", MINUTE), _group("2026-01-12", None)]) == "week"
