"""Syslog as it travels: RFC 5424, and RFC 3164 (BSD) with its relatives, told apart line by line.

The parser is our own: the one on the package index for RFC 5424 runs a grammar over every character
(more than ten times slower), leaves escapes in structured data as they are and knows no RFC 3164. Here
each line is split at its first spaces, once.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, BadRecord
from streams.decode.logs import levels, stamps, texts
from streams.decode.logs.json_log import reference
from streams.decode.logs.tagged import Tagged, split_tag
from streams.decode.look import Look
from streams.decode.otlp import RowFault

NAME = "syslog"

MAX_PARAMS = 128
"""parameters of structured data that are looked at"""

_TRACE = ("trace_id", "traceId", "trace.id", "traceID")


class Data(NamedTuple):
    """Structured data: `{"id.name": value}`, and where the message begins."""

    params: dict[str, str]
    end: int


def claims(look: Look) -> bool:
    """A priority, then a version and a time, or a time of either kind."""
    line = look.line
    if line is None:
        return False
    pri, at = _priority(line)
    if pri < 0:
        return False
    rest = line[at : at + 40]
    if rest[:2] == "1 ":
        return rest[2:4] == "- " or (rest[6:7] == "-" and rest[12:13] == "T")
    return (rest[:3] in stamps.MONTHS and rest[9:10] == ":") or (rest[4:5] == "-" and rest[10:11] == "T")


def decode(value: bytes, sink: Columns) -> None:
    """Append a row per message; a line that begins with no priority belongs to the one before it.

    Raises `BadRecord`.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(UNDECODABLE, f"not UTF-8: {error.reason} at byte {error.start}") from None
    text = text.strip("\r\n\x00 ")
    if "\n<" not in text:
        try:
            _take(text, sink)
        except RowFault as fault:
            raise BadRecord(UNDECODABLE, fault.detail) from None
        return
    good = 0
    for message in _messages(text):
        try:
            _take(message, sink)
            good += 1
        except RowFault as fault:
            sink.refuse(UNDECODABLE, fault.detail)
    if not good:
        raise BadRecord(UNDECODABLE, "no syslog message in it")


def _messages(text: str) -> list[str]:
    found: list[list[str]] = []
    for line in text.split("\n"):
        if found and _priority(line)[0] < 0:
            found[-1].append(line)
        else:
            found.append([line])
    return ["\n".join(lines) for lines in found if any(map(str.strip, lines))]


def _priority(line: str) -> tuple[int, int]:
    """The number in `<…>` at the beginning and where the rest begins; -1 if there is none."""
    end = line.find(">", 1, 5)
    digits = line[1:end]
    if end < 2 or line[0] != "<" or not (digits.isascii() and digits.isdecimal()) or int(digits) > 191:
        return -1, 0
    return int(digits), end + 1


def _take(line: str, sink: Columns) -> None:
    pri, at = _priority(line)
    if pri < 0:
        raise RowFault(f"a syslog message begins with its priority, <0> to <191>, not {line[:20]!r}")
    severity = levels.SYSLOG[pri & 7]
    if line[at : at + 2] == "1 ":
        _new(line, at + 2, pri >> 3, severity, sink)
        return
    ms = stamps.bsd_ms(line[at : at + 15], sink.reference_ms)
    if ms >= 0:
        rest = line[at + 16 :]
    elif line[at + 4 : at + 5] == "-" and line[at + 10 : at + 11] == "T":  # rsyslog's forward format
        stamp, _, rest = line[at:].partition(" ")
        ms = stamps.iso_ms(stamp)
    else:
        raise RowFault(f"neither version 1 nor a time after the priority: {line[at : at + 20]!r}")
    sent = split_tag(rest)
    body = texts.plain(rest[sent.end :])
    if body:
        sink.log(sent.slot(sink, NAME, pri >> 3), ms, severity, body)


def _new(line: str, at: int, facility: int, severity: int, sink: Columns) -> None:
    """RFC 5424 after its version: `TIME HOST APP PROCID MSGID DATA [MESSAGE]`."""
    parts = line[at:].split(" ", 5)
    if len(parts) < 6:
        raise RowFault(f"a syslog message of version 1 has six fields before its text, not {len(parts)}")
    stamp, host, app, procid, msgid, rest = parts
    ms = reference(sink) if stamp == "-" else stamps.iso_ms(stamp)
    rules = sink.catalog.rules
    asks = bool(rules.service or rules.instance or rules.env or rules.keep)
    params: dict[str, str] = {}
    if rest[:1] == "-":
        body = rest[1:]
    else:
        # Only rules and trace ids are looked for in it.
        end = 0 if asks or "race" in rest else _skipped(rest)
        if not end:
            params, end = structured(rest)
        body = rest[end:]
    body = texts.plain(body.lstrip(" ").removeprefix("\ufeff"))
    if not body:
        # A message may be its structured data alone.
        body = texts.plain(rest) if rest[:1] == "[" else ""
        if not body:
            return
    trace = ""
    if params:
        named = {name.rpartition(".")[2]: value for name, value in params.items()}
        trace = texts.trace_id(next((named[name] for name in _TRACE if name in named), ""))
    sent = Tagged("" if host == "-" else host, "" if app == "-" else app, "" if procid == "-" else procid)
    more = {**params, "msgid": msgid} if asks else None
    sink.log(sent.slot(sink, NAME, facility, more), ms, severity, body, trace)


def _skipped(text: str) -> int:
    """Where the message begins if that is plain to see; 0 if the structured data has to be read."""
    end = text.find("] ")
    plain = end > 0 and text[0] == "[" and text.count('"', 0, end) % 2 == 0 and text.find("\\", 0, end) < 0
    return end + 1 if plain else 0


def structured(text: str) -> Data:
    """Structured data at the beginning of a text: `[id name="value" …]…`. Raises `RowFault`. Linear."""
    params: dict[str, str] = {}
    at = 0
    while text[at : at + 1] == "[":
        close = text.find("]", at)
        if close < 0:
            raise RowFault("structured data that is not closed")
        space = text.find(" ", at, close)
        end = space if space >= 0 else close
        name = text[at + 1 : end]
        while text[end : end + 1] == " ":
            equals = text.find('="', end)
            if equals < 0:
                raise RowFault("structured data: a parameter without a value")
            key = text[end + 1 : equals]
            value, end = _quoted(text, equals + 2)
            if len(params) < MAX_PARAMS:
                params[f"{name}.{key}"[:200]] = value
        if text[end : end + 1] != "]":
            raise RowFault("structured data that is not closed")
        at = end + 1
    if not at:
        raise RowFault(f"structured data begins with [ or is -, not {text[:10]!r}")
    return Data(params, at)


def _quoted(text: str, start: int) -> tuple[str, int]:
    """A value up to its closing quote, and where the text goes on. Raises `RowFault`."""
    at = start
    while True:
        end = text.find('"', at)
        if end < 0:
            raise RowFault("structured data: a value that is not closed")
        slashes = end
        while slashes > at and text[slashes - 1] == "\\":
            slashes -= 1
        if (end - slashes) % 2 == 0:
            break
        at = end + 1
    value = text[start:end][:1_000]
    if "\\" in value:
        value = value.replace("\\\\", "\x00").replace('\\"', '"').replace("\\]", "]").replace("\x00", "\\")
    return value, end + 1
