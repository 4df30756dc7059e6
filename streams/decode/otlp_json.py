"""OTLP as JSON: the protobuf messages in their JSON form.

64-bit integers may be strings or numbers, ids are hex in either case, enums numbers or names,
doubles may be "NaN" and "Infinity". A record of which one item is wrong-typed is read again item
by item (`otlp_json_salvage`), so that the others are not lost.
"""

from __future__ import annotations

import msgspec

from streams.decode import anyvalue, otlp, otlp_json_metrics, otlp_json_salvage
from streams.decode import otlp_json_schema as schema
from streams.decode import otlp_json_values as values
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.otlp import NS_PER_MS

_NO_PARENT = bytes(8)

_export = msgspec.json.Decoder(schema.Export, strict=False)


def claims(look: Look) -> bool:
    """It has one of the three lists of an export request."""
    return bool(look.keys & {"resourceMetrics", "resourceLogs", "resourceSpans"})


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of one export request, or of several on lines of their own. Raises `BadRecord`."""
    try:
        exports = _export.decode_lines(value)
    except msgspec.ValidationError:
        exports = otlp_json_salvage.exports(value, sink)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    try:
        for export in exports:
            _take(export, sink)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None


def _take(export: schema.Export, sink: Columns) -> None:
    if export.resource_metrics is None and export.resource_logs is None and export.resource_spans is None:
        raise BadRecord(UNDECODABLE, "no resourceMetrics, resourceLogs or resourceSpans in it")
    for metrics in export.resource_metrics or ():
        otlp_json_metrics.write(metrics, sink)
    for logs in export.resource_logs or ():
        _logs(logs, sink)
    for spans in export.resource_spans or ():
        _spans(spans, sink)


def _logs(part: schema.ResourceLogs, sink: Columns) -> None:
    _, origin = values.sender_of(part.resource, sink)
    for scope in part.scope_logs:
        for record in scope.log_records:
            nanos = record.time_unix_nano or record.observed_time_unix_nano
            if not 0 <= nanos < 2**64:
                sink.refuse(WRONG_TYPE, f"a log record's time must be a 64-bit number, not {nanos}")
                continue
            found = dict(values.pairs([a for a in record.attributes if a.key.startswith("exception.")]))
            body = anyvalue.render(values.plain(record.body)) if record.body is not None else ""
            trace = record.trace_id.lower()
            sink.log(
                origin,
                nanos // NS_PER_MS if nanos else sink.reference_ms,
                _severity(record),
                otlp.body_of(body, record.event_name, found.get("exception.message", "")),
                trace if len(trace) == 32 and trace.strip("0") else "",
                found.get("exception.type", ""),
            )


def _severity(record: schema.Log) -> int:
    number = record.severity_number
    if isinstance(number, int):
        return otlp.severity_number(number, record.severity_text)
    if number.isdecimal() and len(number) < 3:
        return otlp.severity_number(int(number), record.severity_text)
    return otlp.severity_number(0, number.removeprefix("SEVERITY_NUMBER_") or record.severity_text)


def _spans(part: schema.ResourceSpans, sink: Columns) -> None:
    _, origin = values.sender_of(part.resource, sink)
    for scope in part.scope_spans:
        for span in scope.spans:
            try:
                trace, own = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
                parent = bytes.fromhex(span.parent_span_id) or _NO_PARENT
                time = values.millis(span.end_time_unix_nano or span.start_time_unix_nano)
            except ValueError as error:
                sink.refuse(WRONG_TYPE, f"a span's ids must be hex and its end a time: {error}")
                continue
            if len(trace) != 16 or len(own) != 8 or len(parent) != 8:
                sink.refuse(WRONG_TYPE, "a span needs a trace id of 16 bytes and span ids of 8")
                continue
            failed = span.status.code in (otlp.STATUS_ERROR, "STATUS_CODE_ERROR", "2")
            sink.span(origin, time, trace, own, parent, failed)
