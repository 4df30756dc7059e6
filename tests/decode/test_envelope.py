"""What records come wrapped in: compression, CloudEvents in all three modes, and bombs."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import InputTopic, Settings, Topics
from streams.decode import envelope
from streams.decode.envelope import Opened
from streams.decode.errors import REASONS, BadRecord
from streams.decode.ingest import ingest_factory
from streams.decode.times import rfc3339_ms
from streams.records.stage import Record
from tests.decode.support import T0, core, read, record
from tests.decode.support import settings as ingest_settings

LIMIT = 100_000
NOW = rfc3339_ms("2026-11-22T19:00:01Z")
LINE = json.dumps({"ts": T0, "service": "cart", "metric": "hits", "value": 1}).encode()
Headers = dict[str, str]


def bare(value: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(value) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda v: bytes(cramjam.zstd.compress(v)),
    "lz4": lambda v: bytes(cramjam.lz4.compress(v)),
    "snappy": lambda v: bytes(cramjam.snappy.compress(v)),
}
NAMED = {
    **PACKED,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": bare,
    "SNAPPY": lambda v: bytes(cramjam.snappy.compress_raw(v)),
    "identity": lambda v: v,
    "gzip, zstd": lambda v: bytes(cramjam.zstd.compress(gzip.compress(v))),
}
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "t", "time": "2026-11-22T19:00:00Z"}


def wrapped(value: bytes | None, headers: Headers | None = None) -> Record:
    return Record("in", 0, 0, T0, None, value, tuple((k, v.encode()) for k, v in (headers or {}).items()))


def opened(value: bytes | None, headers: Headers | None = None, limit: int = LIMIT) -> Opened:
    return envelope.open(wrapped(value, headers), limit)


def refused(value: bytes | None, headers: Headers | None = None, limit: int = LIMIT) -> tuple[str, str]:
    with pytest.raises(BadRecord) as bad:
        opened(value, headers, limit)
    return bad.value.reason, bad.value.detail


def event(**more: Any) -> bytes:
    return json.dumps({**EVENT, **more}).encode()


@pytest.mark.parametrize("value", [LINE, b"[]", b"\n\x10\x02", b"\x00\x01", b" {}", b"(text)", b"\x1f"])
def test_a_record_without_wrapping_is_left_alone(value: bytes) -> None:
    """The very same bytes."""
    assert opened(value) == Opened(value)
    assert opened(value).value is value
    assert opened(value, {"traceparent": "00-1-2-3"}).value is value


@pytest.mark.parametrize("name", PACKED)
def test_compressed_values_are_known_by_their_beginning(name: str) -> None:
    """No header needed."""
    assert opened(PACKED[name](LINE)).value == LINE
    assert opened(PACKED[name](LINE) * 2).value == LINE * 2


@pytest.mark.parametrize("name", NAMED)
def test_a_header_names_the_encoding(name: str) -> None:
    """In any case; several are undone from the last to the first."""
    assert opened(NAMED[name](LINE), {"Content-Encoding": name}).value == LINE


def test_an_unknown_encoding_is_named() -> None:
    """With those that are known."""
    reason, detail = refused(LINE, {"content-encoding": "br"})
    assert reason == "undecodable"
    assert "'br'" in detail
    assert "zstd" in detail


@pytest.mark.parametrize("name", NAMED)
def test_what_is_damaged_is_refused(name: str) -> None:
    """Cut off, or not what the header says."""
    if name != "identity":
        raw = NAMED[name](LINE)
        assert refused(raw[: len(raw) // 2], {"content-encoding": name})[0] == "undecodable"
        assert refused(b"\x07\x99 no such thing", {"content-encoding": name})[0] == "undecodable"


@pytest.mark.parametrize("name", [name for name in NAMED if name != "identity"])
def test_the_output_is_bounded(name: str) -> None:
    """Exactly at the limit it passes, a byte more is refused."""
    assert len(opened(NAMED[name](b"a" * LIMIT), {"content-encoding": name}).value) == LIMIT
    reason, detail = refused(NAMED[name](b"a" * (LIMIT + 1)), {"content-encoding": name})
    assert reason == "oversized"
    assert str(LIMIT) in detail


BOMB = """
import gzip, resource, sys, zlib
import cramjam
from streams.decode import envelope
from streams.decode.errors import BadRecord
from streams.records.stage import Record

name, size, limit = sys.argv[1], int(sys.argv[2]), 8_000_000
chunk = bytes(1_000_000)
if name == "gzip":
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(chunk) for _ in range(size)) + packer.flush()
else:
    packer = getattr(cramjam, name).Compressor()
    parts = []
    for _ in range(size):
        packer.compress(chunk)
        parts.append(bytes(packer.flush()))
    bomb = b"".join(parts) + bytes(packer.finish())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    envelope.open(Record("in", 0, 0, 0, None, bomb), max(limit, len(bomb)))
    print("opened")
except BadRecord as bad:
    print(bad.reason)
print(len(bomb), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("name", PACKED)
def test_a_bomb_is_refused_without_being_held(name: str) -> None:
    """200 MB of zeros: no more memory than the limit, and a little for the decompressor."""
    done = subprocess.run(
        [sys.executable, "-c", BOMB, name, "200"], capture_output=True, text=True, check=True, timeout=200
    )
    said, figures = done.stdout.splitlines()
    size, grown = map(int, figures.split())
    assert said == "oversized"
    assert grown * 1024 < 2 * max(8_000_000, size) + 16_000_000


def test_a_structured_event_is_its_data() -> None:
    """The content type says so, in any case and with parameters; time and source come along."""
    for kind in ("application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"):
        found = opened(event(data=json.loads(LINE)), {"Content-Type": kind})
        assert json.loads(found.value) == json.loads(LINE)
        assert (found.reference_ms, found.source) == (rfc3339_ms("2026-11-22T19:00:00Z"), "/shop")


def test_a_structured_event_is_known_without_its_header() -> None:
    """By its four required attributes."""
    assert json.loads(opened(event(data={"a": 1})).value) == {"a": 1}
    incomplete = json.dumps({"specversion": "1.0", "id": "1", "data": 1}).encode()
    assert opened(incomplete).value is incomplete


def test_data_may_be_base64_or_a_text() -> None:
    """Binary formats come as the one, lines as the other."""
    assert opened(event(data_base64=base64.b64encode(b"\n\x00\xff").decode())).value == b"\n\x00\xff"
    assert opened(event(data="<13>a line", datacontenttype="text/plain")).value == b"<13>a line"
    assert opened(event(data_base64=base64.b64encode(gzip.compress(LINE)).decode())).value == LINE


def test_an_event_in_binary_mode_is_its_value() -> None:
    """Its attributes are headers."""
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "CE_TIME": "2026-11-22T19:00:00Z"}
    assert opened(LINE, headers) == Opened(LINE, rfc3339_ms("2026-11-22T19:00:00Z"), "/s")
    assert opened(gzip.compress(LINE), {**headers, "content-encoding": "gzip"}).value == LINE


def test_a_batch_is_all_its_events() -> None:
    """In their order, with their own times and sources."""
    value = b"[" + event(data={"n": 1}) + b"," + event(data={"n": 2}, source="/b", time=None) + b"]"
    for headers in ({"content-type": "application/cloudevents-batch+json"}, {}):
        found = opened(value, headers)
        assert [json.loads(part.value)["n"] for part in (found, *found.more)] == [1, 2]
        assert [(part.source, part.reference_ms > 0) for part in (found, *found.more)] == [
            ("/shop", True),
            ("/b", False),
        ]


@pytest.mark.parametrize(
    ("value", "headers", "reason", "word"),
    [
        (None, {}, "empty", "without a value"),
        (None, {"ce_specversion": "1.0"}, "empty", "tombstone"),
        (event(), {}, "empty", "without data"),
        (event(data=None), {}, "empty", "without data"),
        (b"[]", {"content-type": "application/cloudevents-batch+json"}, "empty", "without events"),
        (b"{}", {"content-type": "application/cloudevents+json"}, "wrong-type", "specversion"),
        (b"no", {"content-type": "application/cloudevents+json"}, "undecodable", "CloudEvent"),
        (b"\x01", {"content-type": "application/cloudevents+avro"}, "undecodable", "only JSON"),
        (event(data=1, specversion="0.3"), {}, "wrong-type", "0.3"),
        (LINE, {"ce_specversion": "2.0"}, "wrong-type", "2.0"),
        (event(data_base64="=!"), {}, "undecodable", "base64"),
        (b"x" * (LIMIT + 1), {}, "oversized", "100001"),
    ],
)
def test_what_has_no_content_says_why(value: bytes | None, headers: Headers, reason: str, word: str) -> None:
    """A reason from the list, and a detail of its own."""
    found, detail = refused(value, headers)
    assert (found, word in detail) == (reason, True), detail


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", *NAMED]), st.booleans())
def test_whatever_comes_is_opened_or_refused(value: bytes, name: str, cloud: bool) -> None:
    """No other exception, and never more than the limit."""
    headers = {"content-encoding": name} if name else {}
    if cloud:
        headers["content-type"] = "application/cloudevents+json"
    for body in (value, *(pack(value)[: len(value) + 20] for pack in PACKED.values())):
        try:
            size, reason = len(opened(body, headers, 1_000).value), REASONS[0]
        except BadRecord as bad:
            size, reason = 0, bad.reason
        assert size <= 1_000
        assert reason in REASONS


def test_the_data_of_events_are_rows_like_any_other() -> None:
    """Through ingest; a bad event of a batch leaves the others."""
    of = ingest_settings("tocsin")
    batch = b"[" + b",".join([event(data=json.loads(LINE)), event(data={"ts": T0}), event(data=7)]) + b"]"
    found = read(core(of).process([record(batch)]), of=of)
    assert found.by_name() == {"hits": [(T0, 1.0)]}
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 2)]
    assert found.letters[0].value == batch


def test_a_batch_of_nothing_but_bad_events_is_refused_whole() -> None:
    """As any record of which nothing can be used."""
    of = ingest_settings("tocsin")
    found = read(core(of).process([record(b"[" + event(data=7) + b"," + event(data=8) + b"]")]), of=of)
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 0)]


def test_auto_finds_the_format_of_what_is_inside() -> None:
    """And keeps it."""
    chosen = core(ingest_settings("auto"))
    found = read(chosen.process([record(gzip.compress(event(data=json.loads(LINE))))]))
    assert chosen.format == "tocsin"
    assert found.by_name() == {"hits": [(T0, 1.0)]}


def test_the_source_of_an_event_can_name_the_service() -> None:
    """The same bytes from another source are another service's; without an event the next rule holds."""
    topics = Topics(inputs=(InputTopic(name="in", format="alerts", service=("ce_source", "team")),))
    maker = ingest_factory(Settings(topics=topics), ["in/0"])("in", 0)
    data = {
        "receiver": "r",
        "status": "firing",
        "version": "4",
        "groupKey": "{}",
        "alerts": [{"status": "firing", "labels": {"alertname": "x", "team": "blue"}}],
    }
    values = [event(data=data), event(data=data, source="/b"), json.dumps(data).encode()]
    found = read(maker.process([record(value, i, NOW) for i, value in enumerate(values)]))
    assert [message["service"] for _, message in found.messages] == ["/shop", "/b", "blue"]


def test_the_time_of_an_event_stands_in_for_a_missing_one() -> None:
    """An alert that states none was said when its event was."""
    of = ingest_settings("alerts")
    sent = event(data={"event_action": "trigger", "dedup_key": "k", "payload": {"summary": "s"}})
    ((_, found),) = read(core(of).process([record(sent, ts=rfc3339_ms(EVENT["time"]) + 5)]), of=of).messages
    assert found["seen_at"] == rfc3339_ms(EVENT["time"])


def test_gzip_of_many_members_is_read_up_to_a_bound() -> None:
    """Log shippers append members; a stream of nothing but members is refused before it costs time."""
    assert envelope.open(wrapped(b"".join(map(gzip.compress, (b"{", b"}")))), LIMIT).value == b"{}"
    with pytest.raises(BadRecord, match="more than 10000 members") as caught:
        envelope.open(wrapped(gzip.compress(b"") * 400_000), 10_000_000)
    assert caught.value.reason in REASONS
