"""JSON of prometheus-kafka-adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, Read, decode

TEXT = "2023-11-14T22:13:20Z"


def sample(**fields: Any) -> str:
    labels = {"__name__": "m", "job": "cart"}
    return json.dumps({"name": "m", "value": "1", "timestamp": TEXT, "labels": labels, **fields})


def sent(value: str) -> Read:
    return decode(value, "prometheus-json")


def test_the_golden_sample() -> None:
    """The value is a number in a text; the metric's name is no label."""
    found = golden("prometheus-json/sample.json", T0)
    labels = {"code": "200", "instance": "10.0.0.7:8080"}
    assert rows(found) == [("http_requests_total", labels, T0, 42.0)]
    (series,) = found.series.values()
    assert (series.service, series.kind) == ("checkout", Kind.COUNTER)


def test_not_a_number_is_no_row() -> None:
    """The adapter writes the marker of a series that ended like this."""
    found = sent(sample(value="NaN"))
    assert (found.samples, found.letters) == ([], [])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"value": "+Inf"}, "non-finite"),
        ({"value": "-Inf"}, "non-finite"),
        ({"value": "1e999"}, "non-finite"),
        ({"value": "much"}, "wrong-type"),
        ({"value": ""}, "wrong-type"),
        ({"value": None}, "wrong-type"),
        ({"value": [1]}, "wrong-type"),
        ({"timestamp": "today"}, "wrong-type"),
        ({"timestamp": None}, "wrong-type"),
        ({"name": "", "labels": {}}, "wrong-type"),
        ({"labels": {"a": {}}}, "wrong-type"),
        ({"labels": []}, "wrong-type"),
    ],
)
def test_a_bad_sample_is_refused_without_its_neighbours(fields: dict[str, Any], reason: str) -> None:
    """On lines and in arrays alike."""
    good, bad = sample(), sample(**fields)
    for value in (f"{good}\n{bad}\n{good}\n", f"[{good}, {bad}, {good}]"):
        found = sent(value)
        assert (len(found.samples), reasons(found)) == (2, [(reason, 1)])


def test_a_value_may_be_a_number_and_a_time_an_epoch() -> None:
    """Templates of the adapter's relatives write them so."""
    assert rows(sent(sample(value=2, timestamp=T0 / 1_000))) == [("m", {}, T0, 2.0)]


@pytest.mark.parametrize("bad", ["", " ", "[", "{", "nothing", "[1, 2]"])
def test_what_has_no_sample_is_refused_whole(bad: str) -> None:
    """As one dead letter."""
    assert [letter.rows for letter in sent(bad).letters] == [0]
