"""However a partition's records are cut into calls, the result is the same."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records.stage import Record
from tests.decode import producers, support
from tests.decode.support import T0, Read, control, core, read, record

_times = st.integers(-20_000, 20_000)


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """A line of any kind, near T0; now and then far off, or broken."""
    ts = T0 + draw(_times)
    service = draw(st.sampled_from("abc"))
    kind = draw(st.sampled_from(["metric", "metric", "metric", "log", "span", "future", "odd"]))
    base: dict[str, Any] = {"ts": ts, "service": service}
    if kind == "log":
        return {**base, "body": draw(st.sampled_from(["x", "y"])), "severity": 9}
    if kind == "span":
        return {**base, "trace_id": draw(st.sampled_from("pq")), "span_id": draw(st.sampled_from("uvw"))}
    if kind == "future":
        return {**base, "ts": T0 * 2, "metric": "m", "value": 1}
    if kind == "odd":
        return {**base, "metric": "m", "value": "high"}
    version = draw(st.sampled_from(["1", "2"]))
    return {**base, "metric": "m", "value": draw(st.integers(0, 9)), "resource": {"version": version}}


@st.composite
def partitions(draw: st.DrawFn) -> list[Record]:
    """Records of one partition: several lines each, junk, and a replay in the middle."""
    values = draw(st.lists(st.one_of(st.lists(lines(), min_size=1, max_size=5), st.just(None)), max_size=60))
    records = []
    for value in values:
        raw = "junk" if value is None else "\n".join(map(json.dumps, value))
        records.append(record(raw, len(records), ts=T0 + draw(_times)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(records)))
        records[at:at] = [control("begin", "e", T0 - 10_000)]
        if draw(st.booleans()):
            until = draw(st.integers(at + 1, len(records)))
            records[until:until] = [control("end", "e", T0 - 10_000)]
    return [one._replace(offset=offset) for offset, one in enumerate(records)]


def run(records: list[Record], size: int, wire_format: str = "tocsin") -> Read:
    of = support.settings(wire_format)
    made, found = core(of), Read()
    for at in range(0, len(records), size):
        read(made.process(records[at : at + size]), found, of)
    return found


def by_series(found: Read) -> dict[int, list[tuple[int, float]]]:
    """Rows of each series in order of arrival."""
    rows: dict[int, list[tuple[int, float]]] = {}
    for _, fp, ts, value in found.samples:
        rows.setdefault(fp, []).append((ts, value))
    return rows


def held_description(found: Read) -> list[tuple[int, int, str]]:
    """What a reader of the pages takes each row's series to be."""
    from streams.records.pages import i64, u64

    known: dict[int, Any] = {}
    rows = []
    for _, page in found.pages:
        known.update({series.fp: series for series in page.series})
        rows += [
            (fp, ts, repr(known[fp]))
            for fp, ts in zip(u64(page.fps).tolist(), i64(page.ts).tolist(), strict=True)
        ]
    return rows


@settings(max_examples=80, deadline=None)
@given(records=partitions(), size=st.sampled_from([2, 7]))
def test_chunks_of_any_size_give_the_same(records: list[Record], size: int) -> None:
    """Rows, their order within a series, late and dead-letter decisions, and final watermarks."""
    single, many, whole = run(records, 1), run(records, size), run(records, 1_000)
    for other in (many, whole):
        assert other.rows() == single.rows()
        assert by_series(other) == by_series(single)
        assert other.letters == single.letters
        assert other.watermarks == single.watermarks
        assert not other.undescribed


def test_real_otlp_in_any_chunks_gives_the_same() -> None:
    """Metrics with histograms, logs and spans, each many times over."""
    now = producers.now_of(producers.metrics())
    raws = [
        message.SerializeToString()
        for message in (producers.metrics(), producers.traces(), producers.metrics(True))
    ]
    records = [record(raws[i % 3], i, ts=now) for i in range(60)]
    single = run(records, 1, "otlp")
    assert single.histograms
    assert single.spans
    for size in (7, 1_000):
        other = run(records, size, "otlp")
        assert other.rows() == single.rows()
        assert other.watermarks == single.watermarks


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_a_changed_description_holds_from_its_first_row_on(size: int) -> None:
    """A new version of a service shares its fingerprint: no page may mix before and after."""
    versions = ["1", "1", "2", "2", "1"]
    values = [
        {"ts": T0 + i, "service": "a", "metric": "m", "value": i, "resource": {"version": version}}
        for i, version in enumerate(versions)
    ]
    rows = held_description(run([record(value, i) for i, value in enumerate(values)], size))
    assert ["version', '1" in text for _, _, text in rows[:4]] == [True, True, False, False]


def test_rows_too_many_for_one_page_come_in_several() -> None:
    """Each small enough for a broker; only the last one moves the watermark."""
    body = "\n".join(
        json.dumps({"ts": T0 + i, "service": "a", "metric": "m", "value": 1, "labels": {"n": i % 5_000}})
        for i in range(60_000)
    )
    made = core(support.settings("tocsin", shards=1))
    outputs = made.process([record(body)])
    assert max(len(output.value or b"") for output in outputs) < 1_000_000
    found = read(outputs)
    assert len(found.samples) == 60_000
    assert not found.undescribed
    marks = [page.watermark for _, page in found.pages]
    assert len(marks) > 2
    assert set(marks[:-1]) == {-1}
    assert marks[-1] == T0 - 5_000


def test_long_log_lines_are_cut_into_pages_too() -> None:
    """By their bytes, not by their number."""
    body = "\n".join(
        json.dumps({"ts": T0, "service": "a", "body": "ü" * 16_000}, ensure_ascii=False) for _ in range(200)
    )
    outputs = core(support.settings("tocsin", shards=1)).process([record(body)])
    assert max(len(output.value or b"") for output in outputs) < 1_000_000
    assert Counter(len(row[3]) for row in read(outputs).logs) == {16_000: 200}
