"""Plain lines, the last resort: each line is a log record, with what its beginning says of time and severity.

Lines that go on with the one before (indented, `Caused by:`, the parts of a traceback) stay with it.
Nothing of it is refused: bytes that are no UTF-8 are replaced, control characters taken out.
"""

from __future__ import annotations

import msgspec

from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE, BadRecord
from streams.decode.logs import levels, stamps, texts
from streams.decode.logs.json_log import opened, reference
from streams.decode.look import Look
from streams.decode.otlp import MAX_BODY, RowFault
from streams.decode.senders import sender
from streams.records.pages import Origin

NAME = "lines"

_GOES_ON = (
    *(" ", "\t", "Caused by:", "Suppressed:", "Traceback (most recent call last)", "goroutine "),
    *("During handling of the above exception", "The above exception was the direct cause"),
)
TRACEBACK = "Traceback (most recent call last)"


def claims(look: Look) -> bool:
    """Text that is not JSON, nor the beginning of it. Asked only when nothing else claims a record."""
    line = look.line
    if line is None or line.lstrip().startswith(("{", "[{", '["')):
        return False
    try:
        msgspec.json.decode(look.value)
    except UNREADABLE_JSON:
        return True
    return False


def decode(value: bytes, sink: Columns) -> None:
    """Append a row per line. Raises `BadRecord` if there is nothing but blanks."""
    text = value.translate(None, texts.CONTROL).decode("utf-8", "replace")
    origin = sink.catalog.origin(NAME, lambda: _sender(sink))
    found = together(text) if "\n" in text else [text]
    try:
        rows = sum([_take(each, origin, sink) for each in found])
    except RowFault as fault:
        raise BadRecord(fault.reason, fault.detail) from None
    if not rows:
        raise BadRecord(WRONG_TYPE, "nothing but blank lines")


def _sender(sink: Columns) -> Origin:
    # Nothing in a line says who sent it: only a rule with a fixed name can.
    return sender({}, sink.catalog.rules).origin


def together(text: str) -> list[str]:
    """The lines of a text, each with those that go on with it, as far as a body may be long."""
    found: list[str] = []
    parts: list[str] = []
    length = 0
    trace = False
    """whether the last line belongs to a Python traceback, which ends in a line that is not indented"""
    for line in text.split("\n"):
        if parts and goes_on(line, trace):
            trace = in_trace(line, trace)
            if length <= MAX_BODY:
                parts.append(line)
                length += len(line) + 1
            continue
        if not line.strip():
            continue  # also between the tracebacks of a chain
        if parts:
            found.append("\n".join(parts))
        parts, length = [line], len(line)
        trace = line.startswith(TRACEBACK)
    if parts:
        found.append("\n".join(parts))
    return found


def goes_on(line: str, trace: bool) -> bool:
    """Whether a line belongs to the one before it; `trace`: `in_trace` of that one."""
    return line.startswith(_GOES_ON) or (trace and line != "") or _is_exception(line)


def in_trace(line: str, trace: bool) -> bool:
    """Whether a Python traceback goes on behind a line; `trace`: the same of the line before it."""
    return line.startswith(TRACEBACK) or (trace and line.startswith(_GOES_ON))


def _is_exception(line: str) -> bool:
    """A line that is an exception's type and message: `java.io.IOException: gone`."""
    name = line[:200].partition(":")[0]
    return name.endswith(("Exception", "Error")) and "." in name and name.replace(".", "").isalnum()


def _take(text: str, origin: int, sink: Columns) -> bool:
    body = texts.plain(text)
    if not body:
        return False
    if body[0] == "{":
        inner = opened(body)
        if inner is not None:
            body = texts.plain(inner[0]) or body
            sink.log(origin, reference(sink), inner[1] or levels.leading(body), body, inner[2], inner[3])
            return True
    ts, end = stamps.leading(body, sink.reference_ms)
    sink.log(origin, ts if ts >= 0 else reference(sink), levels.leading(body, end), body)
    return True
