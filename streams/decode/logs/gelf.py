"""GELF 1.1: what Graylog's clients, Docker's gelf driver and Fluent Bit's `format gelf` write.

A message compressed with gzip or zlib is opened before it comes here. Chunks of a UDP datagram have
no place in Kafka: put together they were never one record.
"""

from __future__ import annotations

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, BadRecord
from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.shape import Shape
from streams.decode.look import Look
from streams.decode.senders import Usual

NAME = "gelf"

_CHUNK = b"\x1e\x0f"
_SERVICE = (
    *("_service.name", "_service_name", "_service", "_application_name", "_app_name", "_application", "_app"),
    *("_kubernetes_labels_app", "_kubernetes_container_name", "_container_name", "facility", "_facility"),
)
_INSTANCE = ("_pod_name", "_pod", "_kubernetes_pod_name", "_container_id", "host")

SHAPE = Shape(
    NAME,
    time=("timestamp",),
    # The full message begins with the short one, where there is one.
    message=("full_message", "short_message"),
    sent_by=(
        *dict.fromkeys((*_SERVICE, *_INSTANCE)),
        *("_environment", "_env", "_namespace", "_kubernetes_namespace_name", "_zone", "_region", "_version"),
    ),
    usual=Usual(service=(*_SERVICE, "host"), instance=_INSTANCE, env=("_environment", "_env")),
    context=(
        ("_namespace", "namespace"),
        ("_kubernetes_namespace_name", "namespace"),
        ("_zone", "zone"),
        ("_region", "region"),
        ("_version", "version"),
    ),
    severity=("level",),
    trace=("_trace_id", "_traceId", "_trace.id", "_TraceId"),
    exception=("_exception_type", "_exceptionType", "_exception_class", "_error_type"),
    stack=("_stack_trace", "_stacktrace", "_exception", "_StackTrace"),
)

_reader = JsonLog(SHAPE)


def claims(look: Look) -> bool:
    """A host and a short message."""
    return {"host", "short_message"} <= look.keys


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of a record. Raises `BadRecord`."""
    if value.startswith(_CHUNK):
        raise BadRecord(UNDECODABLE, "one chunk of a chunked GELF message; send it whole")
    # Over TCP a message ends in a null byte.
    _reader.decode(value.rstrip(b"\x00") if value.endswith(b"\x00") else value, sink)
