"""JSON logs: names, nesting, times, severities, senders, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from streams.decode import formats
from streams.decode.errors import BadRecord
from streams.decode.logs import vector_log
from streams.decode.rules import Rules
from tests.decode.logs.support import columns, read, rows_of

NOW = 1_724_318_400_000
T = NOW / 1_000


def bit(**fields: Any) -> bytes:
    return json.dumps({"@timestamp": T, "log": "hello", **fields}).encode()


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        (T, NOW),
        (T + 0.123456, NOW + 123),
        (int(T), NOW),
        (NOW + 5, NOW + 5),
        (str(T), NOW),
        (str(NOW), NOW),
        ("2024-08-22T09:20:00.123456Z", NOW + 123),
        ("2024-08-22T09:20:00.123456789Z", NOW + 123),
        ("2024-08-22T11:20:00+02:00", NOW),
        ("2024-08-22T11:20:00.5+0200", NOW + 500),
        ("2024-08-22 09:20:00.000007", NOW),
        (None, NOW + 7),
        ("", NOW + 7),
    ],
)
def test_times_come_in_every_form(time: object, ms: int) -> None:
    """Numbers of any unit, texts of either kind; none at all is the record's own."""
    assert read("fluent-bit", bit(**{"@timestamp": time}), NOW + 7)[0].ts == ms


@pytest.mark.parametrize(
    "time", ["soon", -1, 0, True, {}, [1], "2024-13-01T00:00:00Z", 1e300, "1712010112345678901234"]
)
def test_a_time_that_is_none_is_refused(time: object) -> None:
    """Never replaced silently: the producer said something, and it cannot be read."""
    with pytest.raises(BadRecord) as caught:
        read("fluent-bit", bit(**{"@timestamp": time}), NOW)
    assert caught.value.reason == "wrong-type"


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"level": "ERROR"}, 17),
        ({"level": "warning"}, 13),
        ({"severity": "Critical"}, 18),
        ({"lvl": "eror"}, 17),
        ({"level": "E"}, 17),
        ({"level": 3}, 17),
        ({"PRIORITY": "6"}, 9),
        ({"level": 50}, 17),
        ({"level": 30}, 9),
        ({"level": 99}, 0),
        ({"level": -1}, 0),
        ({"level": {"a": 1}}, 0),
        ({"level": None, "severity": "info"}, 9),
        ({"level": "", "severity": "info"}, 9),
        ({"level": "odd"}, 0),
        ({"level": "odd", "log": "ERROR: no"}, 17),
        ({"log": "[warn] careful"}, 13),
        ({"log": {"level": "error"}}, 17),
        ({"log": {"level": "error"}, "message": "hi"}, 17),
        ({"log": '{"log":{"level":"error"},"message":"hi"}'}, 17),
        ({"log.level": "fatal"}, 21),
    ],
)
def test_severity_is_a_word_or_a_number_or_what_the_message_begins_with(
    fields: dict[str, Any], severity: int
) -> None:
    """Syslog's 0 to 7, pino's tens, words of every length; unknown is 0."""
    assert read("fluent-bit", bit(**fields))[0].severity == severity


def test_a_structured_message_becomes_json_of_sorted_keys() -> None:
    """Cut, with what is nested too deeply left out."""
    assert (
        read("fluent-bit", bit(log={"b": [1, None, 0.5], "a": "ä"}))[0].body == '{"a":"ä","b":[1,null,0.5]}'
    )
    deep: Any = "x"
    for _ in range(20):
        deep = {"k": deep}
    assert read("fluent-bit", bit(log=deep))[0].body == '{"k":' * 8 + "null" + "}" * 8
    assert len(read("fluent-bit", bit(log=["y" * 1_000] * 100))[0].body) == 16_384
    assert read("fluent-bit", bit(log=5))[0].body == "5"


def test_a_message_that_is_json_itself_is_opened_once() -> None:
    """The application's own level, message, trace and exception count; what is no JSON stays as it is."""
    inner = {"level": "error", "msg": "no stock", "trace_id": "AB", "stack_trace": "a.b.Gone: x\n\tat y"}
    row = read("fluent-bit", bit(log=json.dumps(inner) + "\n"))[0]
    assert row[4:] == (17, "no stock", "ab", "a.b.Gone")
    assert read("fluent-bit", bit(log='{"a": 1}'))[0].body == '{"a": 1}'
    assert read("fluent-bit", bit(log="{not json"))[0].body == "{not json"
    assert read("fluent-bit", bit(log='{"msg":"x","level":"info"}', level="error"))[0].severity == 17


def test_fields_without_a_message_are_the_message() -> None:
    """A shipper that merged the application's fields into its own leaves no message behind."""
    found = read("fluent-bit", b'{"date":1724318400.5,"order":7,"kubernetes":{"pod_name":"p"},"by":"kim"}')
    assert found[0].body == '{"by":"kim","order":7}'
    assert found[0].instance == "p"


def test_an_empty_message_is_no_row_and_no_fault() -> None:
    """Applications print blank lines."""
    assert read("fluent-bit", bit(log="\n")) == []
    assert read("fluent-bit", bit(log=None)) == []


def test_colours_are_taken_out_and_the_body_is_cut() -> None:
    """At 16,384 characters."""
    assert read("fluent-bit", bit(log="\x1b[1;31mred\x1b[0m\r\n"))[0].body == "red"
    assert len(read("fluent-bit", bit(log="x" * 1_000_000))[0].body) == 16_384


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"error": {"type": "ValueError"}}, "ValueError"),
        ({"error.type": "ValueError", "stack_trace": "a.B: c"}, "ValueError"),
        ({"stack_trace": "java.io.IOException: gone\n\tat X"}, "java.io.IOException"),
        ({"exc_info": 'Traceback (most recent call last):\n  File "a", line 1\nKeyError: 1'}, "KeyError"),
        ({"exception": {"exception_class": "a.B", "stacktrace": "a.B\n"}}, "a.B"),
        ({"exception": 'Exception in thread "main" a.B$C: x'}, "a.B$C"),
        ({"exception": "it went wrong"}, ""),
        ({"exc_info": True}, ""),
        ({"error": "boom"}, ""),
    ],
)
def test_the_exception_is_a_type(fields: dict[str, Any], kind: str) -> None:
    """From its own field, else from the beginning (in Python, the end) of the stack trace."""
    assert read("fluent-bit", bit(**fields))[0].exception == kind


@pytest.mark.parametrize(
    ("fields", "service"),
    [
        ({"service": "cart"}, "cart"),
        ({"service": {"name": "cart"}}, "cart"),
        ({"kubernetes": {"labels": {"app.kubernetes.io/name": "cart", "app": "x"}}}, "cart"),
        ({"kubernetes": {"labels": {"app": "cart"}, "container_name": "main"}}, "cart"),
        ({"kubernetes": {"container_name": "cart"}}, "cart"),
        ({"kubernetes": {"container_name": None, "labels": [1]}, "hostname": "h"}, "h"),
        ({"kubernetes": "odd", "app": 7}, "7"),
        ({"kubernetes": None}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_fluent_bit_names_the_service_by_label_or_container(fields: dict[str, Any], service: str) -> None:
    """In a stated order; nothing is guessed from odd types."""
    assert read("fluent-bit", bit(**fields))[0].service == service


def test_a_rule_of_the_topic_comes_first() -> None:
    """Names may lead into objects, also such as change from record to record; `=` fixes it."""
    value = bit(kubernetes={"labels": {"team": "shop"}, "container_name": "c"}, meta={"n": 1, "app": "cart"})
    by = {
        ("kubernetes.labels.team",): "shop",
        ("meta.app",): "cart",
        ("none", "=fixed"): "fixed",
        ("stream.x", "kubernetes.container_name"): "c",
    }
    for rule, service in by.items():
        assert read("fluent-bit", value, rules=Rules(service=rule))[0].service == service
    assert read("fluent-bit", value, rules=Rules(keep=("meta.app",)))[0].context == {"meta.app": "cart"}


def test_a_sender_is_read_once_however_its_other_fields_change() -> None:
    """The catalog grows with senders, not with lines."""
    sink = columns(rules=Rules(service=("meta.app",)))
    for n in range(50):
        formats.DECODERS["fluent-bit"](bit(log=f"line {n}", meta={"n": n, "app": f"a{n % 2}"}), sink)
    assert {row.service for row in rows_of(sink)} == {"a0", "a1"}
    assert len(sink.catalog.origins.entries) == 2


def test_ten_thousand_labels_are_bounded() -> None:
    """Of the fields that say who sent it a bounded number is read, and the key kept of them is small."""
    labels = {f"label{i}": "x" * 50 for i in range(10_000)}
    sink = columns()
    formats.DECODERS["fluent-bit"](bit(kubernetes={"container_name": "c", "labels": labels}), sink)
    assert rows_of(sink)[0].service == "c"
    assert all(len(key) < 5_000 for key in sink.catalog.senders)


def test_ten_thousand_different_fields_do_not_pile_up() -> None:
    """What is worked out per set of names is forgotten past a bound."""
    sink = columns()
    for i in range(3_000):
        formats.DECODERS["fluent-bit"](bit(**{f"field{i}": 1}), sink)
    assert len(sink.bodies) == 3_000
    assert len(sink.catalog.origins.entries) == 1


def test_arrays_and_lines_are_rows_and_a_bad_one_is_refused_alone() -> None:
    """In both, with the reason of the bad ones."""
    good = bit().decode()
    for value in (
        f"[{good},5,{good}]",
        f"{good}\n\n{{\n{good}\n",
        f'\n [{good},{{"@timestamp":{T}}},{good}] ',
    ):
        sink = columns()
        formats.DECODERS["fluent-bit"](value.encode(), sink)
        sink.finish()
        assert sink.bodies == ["hello", "hello"]
        assert [refusal.rows for refusal in sink.refusals[0]] == [1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "undecodable"),
        (b"hello", "undecodable"),
        (b"{", "undecodable"),
        (b"5", "wrong-type"),
        (b"[]", "undecodable"),
        (b"[1,2]", "wrong-type"),
        (b"{}\n", "wrong-type"),
        (b'{"log":"\xff","@timestamp":1724318400}', "undecodable"),
        (b'{"log":"\\ud800","@timestamp":1724318400}', "undecodable"),
        (b'{"@timestamp":1724318400}', "wrong-type"),
        (b'{"log":' + b"[" * 100_000, "undecodable"),
        (b'{"@timestamp":1724318400,"log":' + b"[" * 9_000 + b"]" * 9_000 + b"}", "undecodable"),
        (b'{"@timestamp":NaN,"log":"x"}', "undecodable"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(value: bytes, reason: str) -> None:
    """Whole, if nothing of it can."""
    with pytest.raises(BadRecord) as caught:
        read("fluent-bit", value, NOW)
    assert caught.value.reason == reason


def test_gelf_levels_messages_and_chunks() -> None:
    """Levels are syslog's, also as text; the full message counts; over TCP a null byte ends it."""
    value = {"version": "1.1", "host": "h", "short_message": "s", "timestamp": T, "level": "4"}
    row = read("gelf", json.dumps(value).encode() + b"\x00")[0]
    assert (row.severity, row.body, row.ts) == (13, "s", NOW)
    value |= {"full_message": "s\nmore", "_stack_trace": "a.B: x", "_app": "cart", "_env": "prod"}
    row = read("gelf", json.dumps(value))[0]
    assert (row.body, row.exception, row.service, row.context) == (
        "s\nmore", "a.B", "cart", {"env": "prod", "host": "h"},
    )  # fmt: skip
    with pytest.raises(BadRecord, match="chunk"):
        read("gelf", b"\x1e\x0f" + b"12345678\x00\x02rest")


def test_a_metricbeat_document_is_refused_by_name() -> None:
    """It has no message, and its numbers are not logs."""
    value = {
        "@timestamp": "2019-10-27T14:28:00.533Z",
        "@metadata": {"beat": "metricbeat"},
        "system": {"load": 1},
    }
    assert formats.sniff(json.dumps(value).encode()) == "filebeat"
    with pytest.raises(BadRecord, match="Metricbeat"):
        read("filebeat", json.dumps(value))


def test_elastic_names_may_be_nested_or_dotted() -> None:
    """They mean the same."""
    nested = {
        "log": {"level": "warn"},
        "service": {"name": "cart"},
        "trace": {"id": "ab"},
        "error": {"type": "X"},
    }
    dotted = {"log.level": "warn", "service.name": "cart", "trace.id": "ab", "error.type": "X"}
    both = [
        read("filebeat", json.dumps({"@timestamp": "2024-08-22T09:20:00Z", "message": "m", **fields}))
        for fields in (nested, dotted)
    ]
    assert both[0] == both[1]
    assert both[0][0][4:] == (13, "m", "ab", "X")


def test_messagepack_bounds_and_refusals() -> None:
    """Depth, a stranger's extension, trailing bytes, text that is no UTF-8."""
    pack = msgspec.msgpack.encode
    ext = msgspec.msgpack.Ext(5, b"\x01")
    assert read("fluent-bit-msgpack", pack({"@timestamp": T, "log": {"e": ext, "b": b"\xff"}}))[0].body == (
        '{"b":"\ufffd","e":"01"}'
    )
    for value in (
        b"\x91" * 100_000 + b"\xc0",
        b"\x82\xa3log" + b"\x91" * 100_000 + b"\xc0",
        pack({"@timestamp": T, "log": "x"}) + b"\x00",
        b"\x82\xaa@timestamp\xce\x66\xc7\x05\x00\xa3log\xa2\xff\xfe",
        pack([1, 2]),
        pack([]),
        b"",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
    ):
        with pytest.raises(BadRecord):
            read("fluent-bit-msgpack", value, NOW)


def test_vector_logs_by_file_and_by_pod() -> None:
    """What its `file` and `kubernetes_logs` sources write, alone and in a batch."""
    file = {
        "file": "/var/log/a.log", "host": "vm", "message": "[warn] hi", "source_type": "file",
        "timestamp": "2024-08-22T09:20:00.5Z",
    }  # fmt: skip
    pod = {
        "kubernetes": {
            "pod_name": "cart-0", "pod_namespace": "shop", "container_name": "main",
            "pod_labels": {"app": "cart"}, "pod_node_name": "node-1",
        },
        "message": '{"level":"error","message":"no"}', "source_type": "kubernetes_logs", "stream": "stderr",
        "timestamp": "2024-08-22T09:20:00Z",
    }  # fmt: skip
    first, second = read(vector_log.LOGS.decode, json.dumps([file, pod]))
    assert first == ("vm", "vm", {"host": "vm"}, NOW + 500, 13, "[warn] hi", "", "")
    assert second == ("cart", "cart-0", {"host": "node-1", "namespace": "shop"}, NOW, 17, "no", "", "")
