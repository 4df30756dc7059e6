"""A run of files as records: nothing lost, nothing reordered, however it is cut."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.backtest import run_backtest
from cli.dataset import load
from cli.errors import CliError
from cli.timeline import DAY_MS, Moved, Span, Timeline, ahead
from config.settings import Settings
from tests.shopdata import BEGIN_MS, EDGES, QUIET, SERVICES, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"), seconds=60)


def rows(shop: Path, partitions: int, page: int, slice_ms: int = 0) -> list[tuple[int, dict[str, object]]]:
    timeline = Timeline(load(shop), "monday")
    return [
        (record.partition, json.loads(line))
        for record in timeline.records(partitions, page, slice_ms)
        for line in record.value.split(b"\n")
    ]


def key(row: dict[str, object]) -> str:
    return json.dumps(row, sort_keys=True)


@pytest.mark.parametrize(("partitions", "page", "slice_ms"), [(1, 1, 0), (3, 100, 0), (4, 10_000, 5_000)])
def test_every_row_is_published_once(shop: Path, partitions: int, page: int, slice_ms: int) -> None:
    """Partitions, page size and pacing change nothing about the rows."""
    found = Counter(key(row) for _, row in rows(shop, partitions, page, slice_ms))
    assert found == Counter(key(row) for _, row in rows(shop, 1, 1_000))
    assert sum(found.values()) == 60 * (len(SERVICES) * len(QUIET) + len(SERVICES))


def test_a_partition_is_in_time_order(shop: Path) -> None:
    """Nothing a replay writes is late."""
    last: dict[int, object] = {}
    for partition, row in rows(shop, 3, 50):
        assert row["ts"] >= last.get(partition, 0)  # type: ignore[operator]
        last[partition] = row["ts"]


def test_a_service_stays_in_one_partition(shop: Path) -> None:
    """Producers that key by service look like this."""
    homes: dict[object, set[int]] = {}
    for partition, row in rows(shop, 3, 50):
        homes.setdefault(row["service"], set()).add(partition)
    assert {len(home) for home in homes.values()} == {1}


def test_a_page_is_never_larger_than_asked(shop: Path) -> None:
    """`--page` bounds the rows of a record."""
    assert max(record.rows for record in Timeline(load(shop), "monday").records(2, 17)) == 17


def test_a_slice_is_never_crossed(shop: Path) -> None:
    """A paced replay must not hold rows back until later ones are due."""
    for record in Timeline(load(shop), "monday").records(2, 10_000, slice_ms=2_000):
        slices = {json.loads(line)["ts"] // 2_000 for line in record.value.split(b"\n")}
        assert len(slices) == 1


def test_the_span_names_first_and_last_time(shop: Path) -> None:
    """Begin and end of the replay are taken from the data."""
    span = Timeline(load(shop), "monday").span
    assert (span.begin_ms, span.end_ms) == (BEGIN_MS, BEGIN_MS + 59_500)


def test_topology_and_changes_are_read(shop: Path) -> None:
    """They travel beside the rows."""
    data = load(shop)
    assert data.edges("monday") == sorted(EDGES)
    assert [(change.service, change.kind) for change in data.changes("monday")] == [
        ("inventory", "deployment")
    ]


def test_an_empty_folder_is_refused_with_the_next_step(tmp_path: Path) -> None:
    """The layout is named, not a traceback."""
    with pytest.raises(CliError) as error:
        load(tmp_path)
    assert "metrics.parquet" in error.value.message
    assert "docs/files.md" in error.value.next_step


def test_a_history_goes_up_to_the_run_at_the_same_time_of_day() -> None:
    """Moved by whole days, also backwards; what comes after is left out."""
    for first in (BEGIN_MS - 90 * DAY_MS, BEGIN_MS + 90 * DAY_MS):
        moved = ahead(Span(first - DAY_MS, first + DAY_MS + 5, 10), BEGIN_MS)
        assert moved.by_ms % DAY_MS == 0
        assert first - DAY_MS + moved.by_ms < BEGIN_MS <= first + DAY_MS + 5 + moved.by_ms
        assert moved.before_ms == BEGIN_MS


def test_a_history_too_short_for_that_ends_where_the_run_begins() -> None:
    """An hour at another time of day."""
    span = Span(BEGIN_MS + 7_200_000, BEGIN_MS + 10_800_000, 10)
    assert span.end_ms + ahead(span, BEGIN_MS).by_ms == BEGIN_MS - 1


def test_a_moved_run_has_the_rows_before_only(shop: Path) -> None:
    """The same values, earlier; none at or after the end."""
    data = load(shop)
    whole = Timeline(data, "monday")
    moved = Timeline(data, "monday", Moved(-1_000, BEGIN_MS + 29_000))
    assert moved.span.begin_ms == whole.span.begin_ms - 1_000
    assert moved.span.end_ms < BEGIN_MS + 29_000
    kept = [json.loads(line) for record in moved.records(1, 100) for line in record.value.split(b"\n")]
    assert len(kept) == moved.span.rows
    first = [json.loads(line) for record in whole.records(1, 100) for line in record.value.split(b"\n")]
    assert [{**row, "ts": row["ts"] - 1_000} for row in first[: len(kept)]] == kept


def test_a_run_with_a_history_tells_what_the_run_shows(tmp_path: Path) -> None:
    """A fault right at its beginning is found with it; what the history shows is not told."""
    shop = write_shop(tmp_path, seconds=660)
    rows = pq.read_table(shop / "metrics.parquet")
    ts = rows["ts"].to_numpy()
    fault = BEGIN_MS + 480_000
    runs = np.where(ts < fault - 4_000, "quiet", "fault")
    table = rows.set_column(rows.column_names.index("run"), "run", pa.array(runs))
    pq.write_table(table, shop / "metrics.parquet")
    (shop / "logs.parquet").unlink()
    data, settings = load(shop), Settings()
    assert not run_backtest(data, "fault", settings, 10_000).incidents
    found = run_backtest(data, "fault", settings, 10_000, history="quiet")
    assert {i.hints[0].service for i in found.incidents.values() if i.hints} == {"payment"}
    assert all(i.started_at >= fault - 4_000 for i in found.incidents.values())
