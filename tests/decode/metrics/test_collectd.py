"""collectd's write_kafka, against records of a collectd 5.12."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.settings import InputTopic, Settings, Topics
from streams.decode.ingest import ingest_factory
from streams.records.pages import Kind
from tests.decode.metrics.support import golden, reasons, rows
from tests.decode.support import T0, TOPIC, Read, decode, read, record

RATES, COUNTERS = 1_795_373_876_000, 1_795_534_817_000
"""ms, about when the golden records were written"""


def values(**fields: Any) -> dict[str, Any]:
    return {
        "values": [1.5],
        "dstypes": ["gauge"],
        "dsnames": ["value"],
        "time": T0 / 1_000,
        "interval": 10.0,
        "host": "n1",
        "plugin": "load",
        "plugin_instance": "",
        "type": "load",
        "type_instance": "",
        **fields,
    }


def sent(*lists: dict[str, Any], wire_format: str = "collectd") -> Read:
    return decode(json.dumps(lists), wire_format)


def test_rates_of_an_interface() -> None:
    """Plugin, type and source make the name; with StoreRates a derive is a gauge, per second."""
    found = golden("collectd/interface.json", RATES)
    labels = {"instance": "web-01", "plugin_instance": "lo"}
    number = 6960.62670662341
    assert rows(found) == [
        ("interface_if_octets_rx", labels, 1_795_373_875_893, number),
        ("interface_if_octets_tx", labels, 1_795_373_875_893, number),
    ]
    assert {(s.service, s.kind, s.unit, s.resource) for s in found.series.values()} == {
        ("web-01", Kind.GAUGE, "By/s", (("host", "web-01"),))
    }


def test_the_load_is_three_gauges() -> None:
    """Where plugin and type are the same word, it is not said twice."""
    assert [row[0] for row in rows(golden("collectd/load.json", RATES))] == [
        "load_longterm",
        "load_midterm",
        "load_shortterm",
    ]


def test_without_store_rates_a_derive_is_a_counter() -> None:
    """Same names, so that the choice can be corrected later."""
    found = golden("collectd-counters/cpu.json", COUNTERS)
    labels = {"instance": "web-01", "plugin_instance": "1", "type_instance": "idle"}
    assert rows(found) == [("cpu", labels, 1_795_534_816_493, 111_774.0)]
    (series,) = found.series.values()
    assert series.kind == Kind.COUNTER
    assert [s.unit for s in golden("collectd-counters/interface.json", COUNTERS).series.values()] == [
        "By"
    ] * 2


@pytest.mark.parametrize(
    ("dstype", "kind"),
    [("gauge", Kind.GAUGE), ("derive", Kind.COUNTER), ("counter", Kind.COUNTER), ("absolute", Kind.DELTA)],
)
def test_the_four_types_of_a_source(dstype: str, kind: Kind) -> None:
    """An absolute one is reset when it is read; as rates all are gauges."""
    raw = values(dstypes=[dstype])
    assert [s.kind for s in sent(raw, wire_format="collectd-counters").series.values()] == [kind]
    assert [s.kind for s in sent(raw).series.values()] == [Kind.GAUGE]


def test_a_null_is_no_row_and_no_fault() -> None:
    """The first value of a rate is always one."""
    found = sent(values(values=[None, 2], dstypes=["derive"] * 2, dsnames=["rx", "tx"]))
    assert [row[0] for row in rows(found)] == ["load_tx"]
    assert found.letters == []


def test_meta_may_name_the_service_and_is_no_label() -> None:
    """It goes before the host."""
    found = sent(values(meta={"service": "cart", "network:received": True, "n": 5}))
    (series,) = found.series.values()
    assert (series.service, dict(series.labels)) == ("cart", {"instance": "n1"})


def test_a_topic_may_take_the_plugin_for_the_service() -> None:
    """`service: [plugin]` in its rules."""
    inputs = (InputTopic(name=TOPIC, format="collectd", service=("plugin",)),)
    core = ingest_factory(Settings(topics=Topics(inputs=inputs)), [f"{TOPIC}/0"])(TOPIC, 0)
    found = read(core.process([record(json.dumps([values()]))]))
    (series,) = found.series.values()
    assert (series.service, series.labels) == ("load", (("instance", "n1"),))


@pytest.mark.parametrize(
    "bad",
    [
        values(values=[]),
        values(values=[1, 2]),
        values(values=["1"]),
        values(values=5),
        values(dstypes=["odd"]),
        values(dstypes=[]),
        values(dstypes=5),
        values(dsnames=[1]),
        values(values=[], dstypes=[], dsnames=[]),
        values(plugin=""),
        values(type=""),
        values(time=0),
        values(time=None),
        values(time=1e30),
        values(host=None),
        values(meta=[1]),
    ],
)
def test_a_bad_value_list_is_refused_without_its_neighbours(bad: dict[str, Any]) -> None:
    """The array's others pass."""
    found = sent(values(), bad, values(plugin="other"))
    assert len(found.samples) == 2
    assert [reason for reason, _ in reasons(found)] == ["wrong-type"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "collectd"), (999, "collectd"), (1_234.5, "collectd"), (1_234, "collectd-counters")],
)
def test_auto_tells_counters_by_their_size(value: float, expected: str) -> None:
    """A rate has a fraction, because no interval is exact."""
    found = ingest_factory(Settings(topics=Topics(inputs=(InputTopic(name=TOPIC),))), [f"{TOPIC}/0"])(
        TOPIC, 0
    )
    found.process([record(json.dumps([values(values=[value], dstypes=["derive"])]))])
    assert found.format == expected  # type: ignore[attr-defined]
