"""Vector's events as JSON: metrics and logs, told apart object by object."""

from __future__ import annotations

import itertools
from functools import cache

import msgspec

from streams.decode import anyvalue, otlp
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, json_fault
from streams.decode.look import Look
from streams.decode.metrics.objects import Objects
from streams.decode.metrics.vector import VALUES, decode_metric
from streams.decode.otlp import RowFault
from streams.decode.rules import Rules
from streams.decode.senders import CONTEXT, Usual, sender
from streams.decode.times import any_ms
from streams.records.pages import Origin

_events = Objects(msgspec.Raw)
_anything = msgspec.json.Decoder()

_METRIC = {"name", "kind"}
_LOG = {"message", "source_type", "timestamp"}
_LEVELS = ("severity", "level")
_NESTED = ("kubernetes", "pod_labels", "label")
"""objects whose fields may name the sender: of Vector's Kubernetes and Docker sources"""
_MAX_DEPTH = 3


def claims(look: Look) -> bool:
    """A metric with one of the kinds of values, or a message with its source."""
    first = look.object if look.object is not None else next(iter(look.array or ()), {})
    keys = first.keys()
    return keys >= _LOG or (keys >= _METRIC and len(keys & VALUES) == 1)


def decode(value: bytes, sink: Columns) -> None:
    """Append the rows of all events. Raises `BadRecord` if there is none."""
    for raw in _events.read(value, sink):
        try:
            if not decode_metric(raw, sink):
                decode_log(raw, sink)
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)


def decode_log(raw: bytes | msgspec.Raw, sink: Columns) -> None:
    """Append one log event. Raises `RowFault`."""
    try:
        event = _anything.decode(raw)
    except UNREADABLE_JSON as error:
        reason, detail = json_fault(error)
        raise RowFault(detail, reason) from None
    if not isinstance(event, dict) or "message" not in event:
        raise RowFault("an event must be a metric or have a message")
    said = event.get("timestamp")
    ts = sink.reference_ms if said is None else any_ms(said)
    level = next((event[name] for name in _LEVELS if isinstance(event.get(name), str | int)), 0)
    severity = otlp.severity_number(0, level) if isinstance(level, str) else 0
    named = _named(event, _naming(sink.catalog.rules))

    def build() -> Origin:
        return sender(named, sink.catalog.rules).origin

    origin = sink.catalog.origin(("vector", *sorted(named.items())), build)
    body = anyvalue.render(event["message"])[: otlp.MAX_BODY]
    trace = event.get("trace_id")
    sink.log(origin, ts, severity, body, trace.lower() if isinstance(trace, str) else "")


@cache
def _naming(rules: Rules) -> frozenset[str]:
    """Names of fields that may say who sent an event."""
    usual = Usual()
    return frozenset((*usual.service, *usual.instance, *usual.env, *CONTEXT, *itertools.chain(*rules)))


def _named(event: dict[str, object], naming: frozenset[str], depth: int = 0) -> dict[str, str]:
    """The fields that may name the sender; those further out win."""
    found: dict[str, str] = {}
    for name in _NESTED:
        inner = event.get(name)
        if isinstance(inner, dict) and depth < _MAX_DEPTH:
            found.update(_named(inner, naming, depth + 1))
    found.update({key: text for key in naming if isinstance(text := event.get(key), str) and text})
    return found
