"""Where a producer of JSON logs keeps what: names of fields, in order of preference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from streams.decode.logs import levels
from streams.decode.senders import Usual

SEVERITY = (
    *("level", "severity", "log.level", "log_level", "loglevel", "lvl", "levelname", "severity_text"),
    "PRIORITY",
)
TRACE = ("trace_id", "traceId", "trace.id", "traceID", "dd.trace_id")
EXCEPTION = ("error.type", "exception.type", "exception_class", "exception.exception_class")
STACK = ("error.stack_trace", "exception.stacktrace", "stack_trace", "stacktrace", "exc_info", "exception")
MESSAGE = ("message", "msg", "log", "event", "MESSAGE")


class Shape(NamedTuple):
    """A name with dots also leads into objects, but not into those of `sent_by`."""

    name: str
    time: tuple[str, ...]
    message: tuple[str, ...]
    sent_by: tuple[str, ...]
    """fields that say who sent it: the same from record to record of one sender"""
    usual: Usual
    """where the service, the instance and the environment are among these, with dots into objects"""
    context: tuple[tuple[str, str], ...] = ()
    """(name among these, the name under which `senders.CONTEXT` knows it)"""
    severity: tuple[str, ...] = SEVERITY
    trace: tuple[str, ...] = TRACE
    exception: tuple[str, ...] = EXCEPTION
    stack: tuple[str, ...] = STACK
    level: Callable[[object], int] = levels.of
    check: Callable[[dict[str, Any]], None] | None = None
    """raises `RowFault` for a record without a message that is no log record at all"""
