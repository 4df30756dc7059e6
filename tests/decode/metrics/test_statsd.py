"""StatsD lines."""

from __future__ import annotations

import pytest

from streams.decode.exponential import BOUNDS
from streams.decode.formats import sniff
from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, Read, decode


def sent(value: str, wire_format: str = "statsd") -> Read:
    return decode(value, wire_format)


def test_the_golden_lines() -> None:
    """Counts are added up, sampled ones for more; the service is a tag's, or the name's first part."""
    found = golden("statsd/lines.txt", T0)
    assert rows(found) == [
        ("checkout.queue", {}, T0, 7.0),
        ("checkout.requests", {}, T0, 7.0),
        ("page.views", {"env": "prod"}, T0, 1.0),
    ]
    assert {(s.metric, s.service, Kind(s.kind).name, s.unit) for s in found.series.values()} == {
        ("checkout.queue", "checkout", "GAUGE", ""),
        ("checkout.requests", "checkout", "DELTA", ""),
        ("checkout.latency", "checkout", "HISTOGRAM_DELTA", "ms"),
        ("page.views", "web", "DELTA", ""),
    }
    assert [s.resource for s in found.named("page.views")] == [(("env", "prod"),)]


@pytest.mark.parametrize("kind", ["ms", "h", "d"])
def test_measurements_of_a_record_are_one_histogram(kind: str) -> None:
    """Sampled ones stand for several, packed ones for themselves."""
    found = sent(f"a.b:100|{kind}\na.b:3:200|{kind}|@0.5")
    ((_, ts, total, counts),) = found.histograms
    assert (ts, total, sum(counts)) == (T0, 506.0, 5.0)
    assert len(counts) == len(BOUNDS) + 1
    at = {round(BOUNDS[i], 2): n for i, n in enumerate(counts[:-1]) if n}
    assert at == {4.0: 2.0, 128.0: 1.0, 256.0: 2.0}


def test_the_last_value_of_a_gauge_counts() -> None:
    """Several in one record have the same time."""
    assert [row[3] for row in rows(sent("a.b:1|g\na.b:9|g"))] == [9.0]


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("a.b:1|c|#route:/pay,urgent,x:", {"route": "/pay", "urgent": "true", "x": "true"}),
        ("a.b,route=/pay:1|c", {"route": "/pay"}),
        ("a.b;route=/pay;x=1:1|c", {"route": "/pay", "x": "1"}),
        ("a.b:1|c|#url:http://x,ü:ö", {"url": "http://x", "ü": "ö"}),
        ("a.b:1|c|c:ci-83c|#k:v", {"k": "v"}),
        ("a.b:1|c|#", {}),
    ],
)
def test_tags_of_three_dialects(line: str, labels: dict[str, str]) -> None:
    """DogStatsD, InfluxDB and Graphite; a tag without a value is \"true\"."""
    assert [row[1] for row in rows(sent(line))] == [labels]


def test_a_tag_names_the_service_and_a_host_is_worse_than_the_name() -> None:
    """The order is: tags that mean a service, the name's first part, the host."""
    services = [
        next(iter(sent(line).series.values())).service
        for line in ("a.b:1|c|#service:s,host:h", "a.b:1|c|#host:h", "ab:1|c|#host:h", "ab:1|c")
    ]
    assert services == ["s", "a", "h", "unknown"]


def test_a_time_may_be_sent() -> None:
    """In seconds, as DogStatsD has it."""
    assert [row[2] for row in rows(sent(f"a.b:1|c|T{T0 // 1_000 - 2}"))] == [T0 - 2_000]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("a.b:+5|g", "wrong-type"),
        ("a.b:-5|g", "wrong-type"),
        ("a.b:user-7|s", "wrong-type"),
        ("a.b:1|x", "wrong-type"),
        ("a.b:|c", "wrong-type"),
        ("a.b:much|c", "wrong-type"),
        ("a.b:nan|c", "non-finite"),
        ("a.b:inf|ms", "non-finite"),
        ("a.b:1|c|@0", "wrong-type"),
        ("a.b:1|c|@2", "wrong-type"),
        ("a.b:1|c|@1e-300", "wrong-type"),
        ("a.b:1|c|@x", "wrong-type"),
        ("a.b:1|c|Tx", "wrong-type"),
        ("_e{5,4}:title|text", "wrong-type"),
        ("_sc|db|0", "wrong-type"),
        ("a.b", "undecodable"),
        ("a.b:1", "undecodable"),
        (":1|c", "undecodable"),
    ],
)
def test_a_bad_line_is_refused_without_its_neighbours(bad: str, reason: str) -> None:
    """And as a whole where it is alone."""
    found = sent(f"a.b:1|c\n{bad}\na.c:1|c\n")
    assert (len(found.samples), reasons(found)) == (2, [(reason, 1)])
    assert reasons(sent(bad)) == [(reason, 0)]


def test_a_counter_may_fall() -> None:
    """`-1|c` is a decrement, and the record's counts are one sum."""
    assert [row[3] for row in rows(sent("a.b:5|c\na.b:-1|c"))] == [4.0]


@pytest.mark.parametrize(
    "line", ["a:1|c", "a.b:1:2|ms|@0.1|#a:b", "a.b:-5|g", "a.b:1|c|#a:b|c:x|T1700000000"]
)
def test_auto_knows_a_line(line: str) -> None:
    """By its type and the parts behind it."""
    assert "unknown-format" not in [reason for reason, _ in reasons(sent(line, "auto"))]


@pytest.mark.parametrize("line", ["12:30|c", "a b:1|c", "key:value|other", "a.b:1|c|odd", "time 12:30"])
def test_auto_does_not_take_other_text_for_it(line: str) -> None:
    """Every part must be known; a time of day is a name only with a type behind it."""
    assert line == "12:30|c" or sniff(line.encode()) == "lines"
