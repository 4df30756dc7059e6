"""Tocsin JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.records.digest import fingerprint
from streams.records.pages import Kind
from tests.decode.support import T0, decode


def line(**fields: Any) -> str:
    return json.dumps({"ts": T0, "service": "cart", **fields})


def test_a_metric_line_becomes_a_sample_of_its_series() -> None:
    """Labels and instance are identity, unit and kind description, resource context."""
    found = decode(
        line(metric="hits", value=3, labels={"route": "/a", "n": 1}, instance="c-1", unit="1", kind="counter",
             resource={"host": "h"}),
        "tocsin",
    )  # fmt: skip
    (series,) = found.series.values()
    labels = (("instance", "c-1"), ("n", "1"), ("route", "/a"))
    assert series.fp == fingerprint("cart", "hits", labels)
    assert (series.labels, series.kind, series.unit) == (labels, Kind.COUNTER, "1")
    assert series.resource == (("host", "h"),)
    assert [row[2:] for row in found.samples] == [(T0, 3.0)]


def test_lines_in_one_record_are_rows_of_their_own() -> None:
    """Newline-separated objects, blank lines between them, of all three kinds."""
    value = "\n".join(
        [line(metric="m", value=1), "", line(body="hello", severity="error"), line(trace_id="t", span_id="s")]
    )
    found = decode(value + "\n", "tocsin")
    assert (len(found.samples), len(found.logs), len(found.spans)) == (1, 1, 1)
    assert found.logs[0][2:4] == (17, "hello")
    assert not found.letters


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "undecodable"),
        ("not json", "undecodable"),
        ('{"ts": 1, "service": "\xff"}', "undecodable"),
        (line(metric="m", value="1"), "wrong-type"),
        (line(metric="m", value=True), "wrong-type"),
        (line(metric="m", value=None), "wrong-type"),
        (line(metric="m"), "wrong-type"),
        (line(metric="", value=1), "wrong-type"),
        (line(metric="m", value=1, kind="sum"), "wrong-type"),
        (line(metric="m", value=1, labels=["a"]), "wrong-type"),
        (line(metric="m", value=1, labels={"a": {"b": 1}}), "wrong-type"),
        (line(metric="m", value=1, ts="today"), "wrong-type"),
        (line(metric="m", value=1, service=""), "wrong-type"),
        (line(body=5), "wrong-type"),
        (line(span_id="s"), "wrong-type"),
        (line(), "wrong-type"),
        ('{"service": "cart", "metric": "m", "value": 1}', "wrong-type"),
        (line(metric="m", value=1).replace("1}", "1e999}"), "wrong-type"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_without_its_neighbours(bad: str, reason: str) -> None:
    """The record's good lines pass; the dead letter says how many lines were refused, and why."""
    good = line(metric="good", value=1)
    raw = f"{good}\n{bad}\n{good}".encode("latin-1")
    found = decode(raw, "tocsin")
    assert [value for *_, value in found.samples] == [1.0, 1.0]
    assert [(letter.reason, letter.rows, letter.value) for letter in found.letters] == [(reason, 1, raw)]
    assert found.letters[0].detail


def test_a_record_of_bad_lines_alone_is_refused_as_a_whole() -> None:
    """`rows` 0 says that nothing of it was used."""
    found = decode("{\n}", "tocsin")
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("undecodable", 0)]


def test_a_time_with_a_fraction_is_cut_to_milliseconds() -> None:
    """Some producers compute times in floating point."""
    assert decode(line(metric="m", value=1, ts=T0 + 0.75), "tocsin").samples[0][2] == T0


@pytest.mark.parametrize(
    ("severity", "number"), [("ERROR", 17), ("warn", 13), (21, 21), ("ERROR3", 19), ("odd", 0), (99, 0)]
)
def test_severity_may_be_a_name_or_a_number(severity: str | int, number: int) -> None:
    """Unknown ones are unknown (0), not refused."""
    assert decode(line(body="x", severity=severity), "tocsin").logs[0][2] == number


def test_span_ids_need_not_be_hex() -> None:
    """Any text is an id; a child finds its parent by the same text."""
    parent, child = (
        line(trace_id="t", span_id="a"),
        line(trace_id="t", span_id="b", parent_id="a", error=True),
    )
    found = decode(f"{parent}\n{child}", "tocsin")
    by_failed = {failed: (trace, span, above) for _, _, trace, span, above, failed in found.spans}
    assert by_failed[1][2] == by_failed[0][1]
    assert by_failed[1][0] == by_failed[0][0]


def test_very_long_labels_stay_distinct() -> None:
    """They are cut, and their digest keeps them apart."""
    found = decode(
        "\n".join(line(metric="m", value=1, labels={"q": "x" * 5_000 + end}) for end in "ab"), "tocsin"
    )
    assert len(found.series) == 2
    assert all(len(dict(series.labels)["q"]) <= 200 for series in found.series.values())


def test_a_body_is_cut_at_its_limit() -> None:
    """A stack dump of megabytes does not travel on."""
    assert len(decode(line(body="x" * 100_000), "tocsin").logs[0][3]) == 16_384
