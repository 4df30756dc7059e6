"""Telegraf's JSON and the InfluxDB line protocol: the same metrics in two forms."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from streams.decode.formats import sniff
from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, Read, decode

RECEIVED = T0 + 2_345
CPU = {"cpu": "cpu-total", "instance": "raynor"}
ETH0 = {"instance": "raynor", "interface": "eth0"}


def metric(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "tags": {"host": "n1"}, "fields": {"value": 1.5}, "timestamp": T0 // 1_000, **fields}


def sent(value: Any, wire_format: str = "telegraf-json") -> Read:
    return decode(value if isinstance(value, bytes | str) else json.dumps(value), wire_format, ts=RECEIVED)


@pytest.mark.parametrize("name", ["telegraf-json/metric.json", "influx/cpu.txt"])
def test_each_field_is_a_series(name: str) -> None:
    """Named by metric and field; the host is service and instance where nothing else is."""
    found = golden(name, RECEIVED)
    assert rows(found) == [("cpu_usage_idle", CPU, T0, 98.2), ("cpu_usage_user", CPU, T0, 1.3)]
    assert {(s.service, s.kind, s.resource) for s in found.series.values()} == {
        ("raynor", Kind.GAUGE, (("host", "raynor"),))
    }


@pytest.mark.parametrize("name", ["telegraf-json/batch.json", "influx/batch.txt"])
def test_a_batch_with_well_known_counters_and_a_text(name: str) -> None:
    """What a text says is no number: `uptime_format` is no row, and no fault."""
    found = golden(name, RECEIVED)
    assert reasons(found) == []
    assert rows(found) == [
        ("net_bytes_recv", ETH0, T0, 1_048_576.0),
        ("net_bytes_sent", ETH0, T0, 2_048.0),
        ("system_uptime", {"instance": "raynor"}, T0, 86_400.0),
    ]
    assert [s.kind for s in found.named("net_bytes_recv")] == [Kind.COUNTER]
    assert [s.kind for s in found.named("system_uptime")] == [Kind.GAUGE]


@pytest.mark.parametrize("number", [T0 // 1_000, T0, T0 * 1_000, T0 * 1_000_000])
def test_times_of_any_precision(number: int) -> None:
    """Their size says which."""
    assert sent(metric(timestamp=number)).samples[0][2] == T0
    assert sent(f"m,host=n1 value=1 {number}", "influx").samples[0][2] == T0


def test_without_a_time_it_is_the_records() -> None:
    """Both forms may leave it out."""
    assert sent("m,host=n1 value=1", "influx").samples[0][2] == RECEIVED
    assert sent({"name": "m", "fields": {"value": 1}, "tags": {}}).samples[0][2] == RECEIVED


def test_booleans_are_one_and_zero_and_a_field_called_value_has_no_name_of_its_own() -> None:
    """In both forms."""
    assert rows(sent(metric(fields={"up": True, "value": 2}))) == rows(
        sent(f"m,host=n1 up=t,value=2i {T0}", "influx")
    )
    assert [(row[0], row[3]) for row in rows(sent(metric(fields={"up": False, "value": 2})))] == [
        ("m", 2.0),
        ("m_up", 0.0),
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (metric(fields={}), "wrong-type"),
        (metric(fields={"state": "ok"}), "wrong-type"),
        (metric(fields={"a": [1]}), "wrong-type"),
        (metric(fields=None), "wrong-type"),
        (metric(name="", fields={"value": 1}), "wrong-type"),
        (metric(timestamp="soon"), "wrong-type"),
        (metric(timestamp=-5), "wrong-type"),
        (metric(tags=[1]), "wrong-type"),
        ({"metrics": 5}, "wrong-type"),
    ],
)
def test_a_bad_metric_is_refused_without_its_neighbours(bad: dict[str, Any], reason: str) -> None:
    """In batches, arrays and on lines."""
    good = metric()
    for value in (
        {"metrics": [good, bad, good]},
        [good, bad, good],
        f"{json.dumps(good)}\n{json.dumps(bad)}\n{json.dumps(good)}",
    ):
        found = sent(value)
        assert (len(found.samples), reasons(found)) == (2, [(reason, 1)])


def test_an_object_may_span_lines() -> None:
    """Indented JSON is one object, not many bad lines."""
    assert len(sent(json.dumps(metric(), indent=2)).samples) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r"my\ metric,host=n1 a\ b=1", ("my metric_a b", {"instance": "n1"}, 1.0)),
        (r"a\,b,host=n1,t\=x=y\,z v\,w=2", ("a,b_v,w", {"instance": "n1", "t=x": "y,z"}, 2.0)),
        (r"m,host=n1,path=C:\dir value=1", ("m", {"instance": "n1", "path": r"C:\dir"}, 1.0)),
        ('m,host=n1 text="a, b=3 c",value=1', ("m", {"instance": "n1"}, 1.0)),
        (r'm,host=n1 text="say \"hi, x=1\" \\",value=1', ("m", {"instance": "n1"}, 1.0)),
        ('m,host=n1 text="two\nlines v=3",value=1', ("m", {"instance": "n1"}, 1.0)),
        ("m,host=n1,zone=Zürich value=1", ("m", {"instance": "n1", "zone": "Zürich"}, 1.0)),
        ("m,host=n1 value=12u", ("m", {"instance": "n1"}, 12.0)),
        ("m,host=n1 value=-12i", ("m", {"instance": "n1"}, -12.0)),
        ("m,host=n1 value=-1.5e-3", ("m", {"instance": "n1"}, -0.0015)),
        ("m,host=n1 value=FALSE", ("m", {"instance": "n1"}, 0.0)),
    ],
)
def test_a_line_and_its_escapes(line: str, expected: tuple[str, dict[str, str], float]) -> None:
    """The same with a time behind and among other lines, ended in either way."""
    name, labels, value = expected
    assert rows(sent(line, "influx")) == [(name, labels, RECEIVED, value)]
    found = sent(f"# a comment\r\n\r\n{line} {T0}000000\r\nother,host=n1 value=1 {T0}\n", "influx")
    assert rows(found) == sorted([(name, labels, T0, value), ("other", {"instance": "n1"}, T0, 1.0)], key=str)
    assert not found.letters


@pytest.mark.parametrize(
    "bad",
    [
        "m",
        "m value",
        "m value=",
        "m value=much",
        "m value=1.5i",
        "m value=1 soon",
        "m value=1 -5",
        "m value=1 2 3",
        "m,host value=1",
        "m,=n1 value=1",
        ",host=n1 value=1",
        'm text="only"',
        'm text="open',
        "m value=" + "9" * 400 + "i",
        "m value=i",
        "m,host=\udcff value=1",
    ],
)
def test_a_bad_line_is_refused_without_its_neighbours(bad: str) -> None:
    """And as a whole where it is alone."""
    raw = bad.encode("utf-8", "surrogateescape")
    good = b"good,host=n1 value=1"
    found = sent(good + b"\n" + raw + b"\n" + good, "influx")
    assert len(found.samples) >= 1
    assert [rows for _, rows in reasons(found)] == [1]
    assert [letter.rows for letter in sent(raw, "influx").letters] == [0]


@pytest.mark.parametrize("bad", [b'm text="open\n', b'm text="\\"\n', b'm,a="b\n'])
def test_quotes_that_stay_open_take_no_more_than_linear_time(bad: bytes) -> None:
    """A few cost their line alone; where there are many, one search for an end may cover many lines."""
    good = b"good,host=n1 value=1\n"
    assert len(sent(bad + good, "influx").samples) == 1
    started = time.process_time()
    assert sent(good + bad * 100_000, "influx").samples
    assert time.process_time() - started < 20


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity"])
def test_what_is_not_finite_is_refused(value: str) -> None:
    """Telegraf drops these itself."""
    assert reasons(sent(f"m v={value},w=1", "influx")) == [("non-finite", 1)]


@pytest.mark.parametrize(
    "line",
    ["level=info msg=hello 1700000000", "GET /a=1 200", "a b=1", "a b=x 1700000000", "cpu 98.2 1700000000"],
)
def test_auto_does_not_take_a_log_line_for_a_metric(line: str) -> None:
    """A line must have typed fields and a time."""
    assert sniff(line.encode()) == "lines"
