"""Syslog as it lies in files, which is also what rsyslog's omkafka writes unless told otherwise.

`2003-08-24T05:14:15.000003-07:00 host app[1]: text`, or the traditional `Aug 24 05:14:15 host app[1]: text`.
"""

from __future__ import annotations

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, BadRecord
from streams.decode.logs import levels, stamps, texts
from streams.decode.logs.tagged import split_tag
from streams.decode.look import Look
from streams.decode.otlp import RowFault

NAME = "syslog-file"


def claims(look: Look) -> bool:
    """A time of either kind, a host, and a tag that ends in a colon."""
    line = look.line
    if line is None:
        return False
    at = _time_end(line)
    if at < 0:
        return False
    sent = split_tag(line[at:])
    return bool(sent.host and sent.app) and not any(c in sent.host for c in "[]()=:,\"'")


def decode(value: bytes, sink: Columns) -> None:
    """Append a row per line; one without a time belongs to the line before it. Raises `BadRecord`."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(UNDECODABLE, f"not UTF-8: {error.reason} at byte {error.start}") from None
    text = text.strip("\r\n\x00")
    if "\n" not in text:
        try:
            _take(text, sink)
        except RowFault as fault:
            raise BadRecord(UNDECODABLE, fault.detail) from None
        return
    found: list[list[str]] = []
    for line in text.split("\n"):
        if found and _time_end(line) < 0:
            found[-1].append(line)
        elif line.strip():
            found.append([line])
    good = 0
    for lines in found:
        try:
            _take("\n".join(lines), sink)
            good += 1
        except RowFault as fault:
            sink.refuse(UNDECODABLE, fault.detail)
    if not good:
        raise BadRecord(UNDECODABLE, "no line that begins with a time")


def _time_end(line: str) -> int:
    """Where the host begins, judged by the look of the time; -1 if it has none."""
    if line[10:11] == "T" and line[4:5] == "-" and line[13:14] == ":":
        end = line.find(" ", 19, 40)
        return end + 1 if end > 0 and (line[end - 1] == "Z" or line[end - 6 : end - 5] in ("+", "-")) else -1
    if line[:3] in stamps.MONTHS and line[3:4] == " " and line[9:10] == ":" and line[15:16] == " ":
        return 16
    return -1


def _take(line: str, sink: Columns) -> None:
    at = _time_end(line)
    if at < 0:
        raise RowFault(f"a line begins with its time, not {line[:32]!r}")
    ms = stamps.bsd_ms(line[:15], sink.reference_ms) if at == 16 else stamps.iso_ms(line[: at - 1])
    if ms < 0:
        raise RowFault(f"not a time: {line[:15]!r}")
    sent = split_tag(line[at:])
    body = texts.plain(line[at + sent.end :])
    if body:
        sink.log(sent.slot(sink, NAME), ms, levels.leading(body), body)
