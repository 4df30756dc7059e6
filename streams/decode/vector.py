"""Vector's events as JSON: metrics and logs, told apart object by object."""

from __future__ import annotations

import msgspec

from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, json_fault
from streams.decode.logs import vector_log
from streams.decode.look import Fields, Look
from streams.decode.metrics.objects import Objects
from streams.decode.metrics.vector import VALUES, decode_metric
from streams.decode.otlp import RowFault

_events = Objects(msgspec.Raw)
_fields = msgspec.json.Decoder(Fields)

_METRIC = {"name", "kind"}
_MESSAGE = {"message", "msg"}
_LOG = {"message", "source_type", "timestamp"}


def claims(look: Look) -> bool:
    """A metric with one of the kinds of values, or a message with its source."""
    first = look.object if look.object is not None else next(iter(look.array or ()), {})
    keys = first.keys()
    return keys >= _LOG or (keys >= _METRIC and len(keys & VALUES) == 1)


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of all events. Raises `BadRecord` if there is none."""
    for raw in _events.read(value, sink):
        try:
            if decode_metric(raw, sink):
                continue
            fields = _fields.decode(raw)
            if fields.keys() >= _METRIC and not fields.keys() & _MESSAGE:
                raise RowFault("a metric whose kind of value is not known, or a log event without a message")
            vector_log.LOGS.take(fields, sink)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)
        except UNREADABLE_JSON as error:
            sink.refuse(*json_fault(error))
