r"""InfluxDB line protocol: `measurement,tag=value field=1.5,other=2i 1458229140000000000`, one a line.

The bytes before the first space are the raw key of a metric's series, so that tags are unescaped once
a series. Not by `line-protocol-parser` (MIT, C): measured from bytes to rows it is no faster, and it takes
one line at a time, so that the ends of lines, of which quoted texts may hold some, must be found here
anyway. Lines with quotes or backslashes are cut by regular expressions, all others by `split`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE
from streams.decode.look import Look
from streams.decode.metrics.flat import text_of
from streams.decode.metrics.refused import Refused
from streams.decode.metrics.telegraf import field_series
from streams.decode.otlp import RowFault
from streams.decode.times import epoch_ms

_KEY = rb"(?:[^\\,= \n]++|\\.)++"
_VALUE = rb'(?:"(?:[^"\\]++|\\.)*+"|[^," \n\r]++)'
_FIELD = rb"%s=%s" % (_KEY, _VALUE)
_LINE = re.compile(
    rb"(?P<head>(?:[^\\ \n]++|\\.)++) ++(?P<fields>%s(?:,%s)*+)(?: ++(?P<time>-?[0-9]++))?+[ \r]*+(?:\n|\Z)"
    % (_FIELD, _FIELD),
    re.DOTALL,
)
_ANY = re.compile(rb'(?:[^\n"\\]++|\\.|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+(?:\n|\\?\Z)', re.DOTALL)
"""a line of whatever, with all of a quoted text that begins in it"""
_PAIR = re.compile(rb"(%s)=(%s)" % (_KEY, _VALUE), re.DOTALL)
_PARTS = re.compile(rb"(?:[^\\,]++|\\.)++", re.DOTALL)
_TAG = re.compile(rb"((?:[^\\=]++|\\.)++)=(.+)", re.DOTALL)
_ESCAPED = re.compile(rb"\\([,= ])")

_CLAIMED = re.compile(
    r'(?:[^\s,="\\]|\\.)+(?:,(?:[^\s,=\\]|\\.)+=(?:[^\s,=\\]|\\.)+)* +{f}(?:,{f})* +[0-9]{{10,19}}\s*'.format(
        f=r"(?:[^\s,=\\]|\\.)+=(?:[-+]?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?[iu]?|t|T|f|F|true|True|TRUE|false|False|FALSE"
        r'|"(?:[^"\\]|\\.)*")'
    )
)
"""a first line that cannot be anything else: with a time, and every field of a type"""

_BOOLEANS = dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0) | dict.fromkeys(
    (b"f", b"F", b"false", b"False", b"FALSE"), 0.0
)
_BUDGET = 8
"""how often the bytes of a record may be looked at for the end of a quoted text"""
_WHOLE = frozenset(b"iu")
_HASH = ord("#")
_QUOTE = ord('"')


def claims(look: Look) -> bool:
    """The first line has typed fields and a time."""
    return look.line is not None and len(look.line) < 100_000 and _CLAIMED.fullmatch(look.line) is not None


def decode(value: bytes, sink: Columns) -> None:
    """Append the fields of all lines; a bad line is refused alone. Raises `BadRecord` if there is none."""
    refused = Refused(sink)
    good = 0
    cut = _quoted if b'"' in value or b"\\" in value else _plain
    for head, pairs, time in cut(value, refused):
        try:
            _take(head, pairs, time, sink)
            good += 1
        except RowFault as fault:
            refused.add(fault.reason, fault.detail)
    refused.close(good)


Line = tuple[bytes, Iterable[tuple[bytes, bytes]], bytes]
"""measurement with tags, fields, time (may be empty)"""


def _plain(value: bytes, refused: Refused) -> Iterator[Line]:
    """Lines without a quote or a backslash."""
    for raw in value.split(b"\n"):
        line = raw.strip()
        if not line or line[0] == _HASH:
            continue
        parts = line.split(b" ")
        if len(parts) not in (2, 3):
            parts = line.split()
        pairs = [field.partition(b"=") for field in parts[1].split(b",")] if len(parts) in (2, 3) else []
        if not pairs or any(not equals for _, equals, _ in pairs):
            _refuse(line, refused)
            continue
        yield parts[0], [(name, text) for name, _, text in pairs], parts[2] if len(parts) == 3 else b""


def _quoted(value: bytes, refused: Refused) -> Iterator[Line]:
    """Lines in which a quoted text may even span several."""
    at = 0
    budget = _BUDGET * len(value)
    while at < len(value):
        end = value.find(b"\n", at) + 1 or len(value)
        line = value[at:end].strip()
        if not line or line[0] == _HASH:
            at = end
            continue
        found = _LINE.match(value, at + len(value[at:end]) - len(value[at:end].lstrip()))
        if found is not None:
            at = found.end()
            yield found["head"], _PAIR.findall(found["fields"]), found["time"] or b""
            continue
        _refuse(line, refused)
        # Whatever a quote that stays open ran over is looked at again, but not again and again.
        ran = _ANY.match(value, at)
        covered = end if ran is None else max(end, ran.end())
        budget -= covered - at
        at = end if budget > 0 else covered


def _refuse(line: bytes, refused: Refused) -> None:
    refused.add(UNDECODABLE, f"not a line of measurement, fields and time: {line[:80]!r}")


def _take(head: bytes, pairs: Iterable[tuple[bytes, bytes]], time: bytes, sink: Columns) -> None:
    ts = _time(time) if time else sink.reference_ms
    group = sink.catalog.group(("influx", head))
    used = False
    for name, raw in pairs:
        try:
            number = float(raw if raw[-1] not in _WHOLE else int(raw[:-1]))
        except (ValueError, IndexError, OverflowError):
            found = _number(raw)
            if found is None:
                continue
            number = found
        slot = group.get(name)
        if slot is None:
            metric, tags = _parsed(head)
            field = text_of(_ESCAPED.sub(rb"\1", name), "a field's name")
            slot = sink.catalog.add_series(group, name, field_series(sink, metric, field, tags))
        sink.sample(slot, ts, number)
        used = True
    if not used:
        raise RowFault(f"no field that is a number or a boolean: {head[:60]!r}")


def _time(raw: bytes) -> int:
    try:
        return epoch_ms(int(raw))
    except (ValueError, OverflowError) as error:
        if isinstance(error, RowFault):
            raise
        raise RowFault(f"a time must be a number since 1970, not {raw[:40]!r}") from None


def _number(raw: bytes) -> float | None:
    """Booleans; None for a text. Raises `RowFault` for anything else."""
    if raw and raw[0] == _QUOTE:
        return None
    found = _BOOLEANS.get(raw)
    if found is None:
        raise RowFault(f"a field's value must be a number, a boolean or a quoted text, not {raw[:40]!r}")
    return found


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """Measurement and tags. Raises `RowFault`."""
    if head.startswith(b","):
        raise RowFault("a line without a measurement", UNDECODABLE)
    first, *rest = _PARTS.findall(head)
    tags: dict[str, str] = {}
    for part in rest:
        tag = _TAG.fullmatch(part)
        if tag is None:
            raise RowFault(f"a tag without a value: {part[:60]!r}", UNDECODABLE)
        key, value = (_ESCAPED.sub(rb"\1", each) for each in tag.groups())
        tags[text_of(key, "a tag")] = text_of(value, "a tag")
    return text_of(_ESCAPED.sub(rb"\1", first), "a measurement"), tags
