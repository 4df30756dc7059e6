"""From a record with fields of its own to a line of ours: by the topic's `fields`, or by our names.

`fields` maps our names to the record's: `{ts: event_time, value: reading}`. Names with dots go into
records within; `=text` is the text itself; `labels` may name several fields, separated by commas, each a
map or a single value. What is not named is looked for under our own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec

from config.settings import FIELDS
from streams.decode import tocsin_json
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import WRONG_TYPE, BadRecord
from streams.decode.otlp import RowFault
from streams.decode.rules import Rules
from streams.decode.times import any_ms

Fields = Mapping[str, str]

_MAPS = ("labels", "resource")
_TEXTS = (
    "metric", "unit", "body", "trace_id", "span_id", "parent_id", "exception", "instance", "service",
)  # fmt: skip


def append(found: object, sink: Columns) -> None:
    """One record, or an array of them. Raises `BadRecord` if none of it can be used."""
    catalog = sink.catalog
    items = found if isinstance(found, list) else [found]
    faults: list[RowFault] = []
    for item in items:
        try:
            tocsin_json.take(line_of(item, dict(catalog.rules.fields), catalog), sink)
        except RowFault as fault:
            faults.append(fault)
    if faults and len(faults) == len(items):
        raise BadRecord(faults[0].reason, faults[0].detail)
    if not items:
        raise BadRecord(WRONG_TYPE, "an array without records")
    for each in faults:
        sink.refuse(each.reason, each.detail)


def line_of(item: object, fields: Fields, catalog: Catalog) -> tocsin_json.Line:
    """The record as one of our lines. Raises `RowFault`."""
    if not isinstance(item, dict):
        raise RowFault(f"a record is needed, not {type(item).__name__}")
    single = (name for name in FIELDS if name not in _MAPS)
    said = {name: _plain(_look(item, fields.get(name, name))) for name in single}
    # An empty text says nothing; protobuf has one wherever nothing was said.
    said = {k: v for k, v in said.items() if v is not None and (v != "" or k == "body")}
    if "ts" in said:
        said["ts"] = any_ms(said["ts"])
    service = _named(item, catalog.rules, "service")
    if service:
        said["service"] = service
    instance = _named(item, catalog.rules, "instance")
    if instance:
        said["instance"] = instance
    for name in _TEXTS:
        if name in said and not isinstance(said[name], str):
            said[name] = _text(said[name])
    if isinstance(said.get("value"), str | bool):
        said["value"] = _number(said["value"])
    maps = {name: _map(item, fields.get(name, name), name) for name in _MAPS}
    env = _named(item, catalog.rules, "env")
    if env:
        maps["resource"]["env"] = env
    for name, texts in maps.items():
        said[name] = msgspec.Raw(msgspec.json.encode(texts))
    missing = [name for name in ("ts", "service") if name not in said]
    if missing:
        has = ", ".join(sorted(map(str, item))[:12])
        lacks = " and no ".join(missing)
        raise RowFault(f"no {lacks}: the record has {has}; name them in the topic's fields")
    try:
        return msgspec.convert(said, tocsin_json.Line)
    except msgspec.ValidationError as error:
        raise RowFault(str(error)[:300]) from None


def _named(item: Mapping[str, object], rules: Rules, what: str) -> str:
    for name in getattr(rules, what):
        found = _look(item, name)
        if found is not None and found != "":
            return _text(_plain(found))
    return ""


def _look(item: Mapping[str, object], path: str) -> object:
    """The field, `a.b` also within `a`; `=text` is the text; None if there is none."""
    if path.startswith("="):
        return path[1:]
    if path in item:
        return item[path]
    head, dot, rest = path.partition(".")
    inner = item.get(head) if dot else None
    return _look(inner, rest) if isinstance(inner, dict) else None


def _map(item: Mapping[str, object], paths: str, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in filter(None, (part.strip() for part in paths.split(","))):
        value = _look(item, path)
        if value is None:
            continue
        if isinstance(value, dict):
            found.update({str(k): _text(_plain(v)) for k, v in value.items() if v is not None})
        elif isinstance(value, list | tuple):
            raise RowFault(f"{name}: {path} is a list, a map or a single value is needed")
        else:
            found[path.rpartition(".")[2]] = _text(_plain(value))
    return found


def _plain(value: object) -> object:
    """Times as ms, decimals as numbers, bytes as hex; everything else as it is."""
    if isinstance(value, datetime):
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        since = at - datetime.fromtimestamp(0, UTC)
        return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days * 86_400_000
    if isinstance(value, Decimal):
        return float(value)
    return value.hex() if isinstance(value, bytes) else value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return str(value)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except ValueError:
        raise RowFault(f"value must be a number, not {str(value)[:40]!r}") from None
