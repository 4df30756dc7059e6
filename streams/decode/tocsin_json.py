"""Tocsin JSON lines: one object a line, a metric sample, a log line or a span."""

from __future__ import annotations

import msgspec

from streams.decode import otlp
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.otlp import RowFault
from streams.decode.resource import origin, series
from streams.records.digest import digest64
from streams.records.pages import Kind, Origin

KINDS = {"gauge": Kind.GAUGE, "counter": Kind.COUNTER, "delta": Kind.DELTA}

_EMPTY = msgspec.Raw(b"{}")


class Line(msgspec.Struct):
    """All fields of all three kinds of line; `metric`, `body` or `span_id` says which it is."""

    ts: int | float
    service: str
    metric: str | None = None
    value: float | None = None
    labels: msgspec.Raw = _EMPTY
    instance: str = ""
    unit: str = ""
    kind: str = "gauge"
    resource: msgspec.Raw = _EMPTY
    body: str | None = None
    severity: int | str = 0
    trace_id: str = ""
    exception: str = ""
    span_id: str | None = None
    parent_id: str | None = None
    error: bool = False


_line = msgspec.json.Decoder(Line)
_texts = msgspec.json.Decoder(dict[str, str | int | float | bool | None])
_anything = msgspec.json.Decoder()


def claims(look: Look) -> bool:
    """A time, a service, and what makes a metric, a log line or a span."""
    keys = look.keys
    if not {"ts", "service"} <= keys or {"incident", "action"} <= keys:
        return False
    return {"metric", "value"} <= keys or "body" in keys or {"trace_id", "span_id"} <= keys


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of all lines; a bad line is refused alone. Raises `BadRecord` if all are bad."""
    try:
        lines = _line.decode_lines(value)
    except UNREADABLE_JSON:
        _one_by_one(value, sink)
        return
    for line in lines:
        try:
            take(line, sink)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)


def _one_by_one(value: bytes, sink: Columns) -> None:
    good = 0
    first: tuple[str, str] | None = None
    for raw in value.split(b"\n"):
        if not raw.strip():
            continue
        try:
            take(_line.decode(raw), sink)
            good += 1
        except UNREADABLE_JSON as error:
            fault = json_fault(error)
        except RowFault as error:
            fault = (error.reason, error.detail)
        else:
            continue
        first = first or fault
        sink.refuse(*fault)
    if not good:
        raise BadRecord(*(first or (UNDECODABLE, "no JSON line in it")))


def take(line: Line, sink: Columns) -> None:
    """Append one line. Raises `RowFault`."""
    if not line.service:
        raise RowFault("a line needs a service")
    ts = line.ts
    if isinstance(ts, float):
        if not 0 <= ts <= 1e15:
            raise RowFault(f"ts must be milliseconds since 1970, not {ts!r}")
        ts = int(ts)
    elif not -(2**62) < ts < 2**62:
        raise RowFault("ts must be milliseconds since 1970")
    if line.metric is not None:
        slot, value = _slot(line, sink)
        sink.sample(slot, ts, value)
    elif line.body is not None:
        number, name = (line.severity, "") if isinstance(line.severity, int) else (0, line.severity)
        severity = otlp.severity_number(number, name)
        body = line.body[: otlp.MAX_BODY]
        sink.log(_sender(line, sink), ts, severity, body, line.trace_id.lower(), line.exception)
    elif line.span_id is not None:
        _span(line, ts, sink)
    else:
        raise RowFault("a line needs metric and value, or body, or trace_id and span_id")


def _sender(line: Line, sink: Columns) -> int:
    def build() -> Origin:
        return origin(line.service, line.instance, dict(_labels(line.resource, "resource")))

    return sink.catalog.origin((line.service, line.instance, bytes(line.resource)), build)


def _labels(raw: msgspec.Raw, name: str) -> list[tuple[str, str]]:
    try:
        found = _texts.decode(raw)
    except UNREADABLE_JSON as error:
        raise RowFault(f"{name} must be an object of texts, numbers and booleans: {error}") from None
    return [
        (key, value if isinstance(value, str) else _plain(value))
        for key, value in found.items()
        if value is not None
    ]


def _plain(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def slot_of(raw: bytes, sink: Columns) -> int:
    """Slot of the series of a line that is a sample. Raises `RowFault` or one of `UNREADABLE_JSON`."""
    line = _line.decode(raw)
    if not line.service or line.metric is None:
        raise RowFault("not a sample")
    return _slot(line, sink)[0]


def _slot(line: Line, sink: Columns) -> tuple[int, float]:
    """Slot and value of a sample."""
    if not line.metric or line.value is None:
        raise RowFault("a metric line needs a name and a value")
    group = sink.catalog.group((line.service, line.instance, line.metric, line.unit, line.kind))
    key = (bytes(line.labels), bytes(line.resource))
    slot = group.get(key)
    if slot is None:
        kind = KINDS.get(line.kind)
        if kind is None:
            raise RowFault(f"kind must be gauge, counter or delta, not {line.kind[:40]!r}")
        sender = sink.catalog.origins.entries[_sender(line, sink)]
        labels = _labels(line.labels, "labels")
        described = series(sender, line.metric, labels, line.unit, kind, sink.catalog.max_labels)
        slot = sink.catalog.add_series(group, key, described)
    return slot, line.value


def _span(line: Line, ts: int, sink: Columns) -> None:
    if not line.trace_id or not line.span_id:
        raise RowFault("a span line needs trace_id and span_id")
    parent = id_bytes(line.parent_id, 8) if line.parent_id else bytes(8)
    trace, own = id_bytes(line.trace_id, 16), id_bytes(line.span_id, 8)
    sink.span(_sender(line, sink), ts, trace, own, parent, line.error)


def id_bytes(text: str, size: int) -> bytes:
    """An id as `size` bytes: hex digits of that length as they are, any other text digested."""
    if len(text) == 2 * size:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    half = digest64(text).to_bytes(8, "little")
    return half if size == 8 else half + digest64("", text).to_bytes(8, "little")
