"""Records of which most are regular, many odd in one place, and some broken: from a seed."""

from __future__ import annotations

import json
import math
import random
import struct
from typing import Any

from opentelemetry.proto.metrics.v1 import metrics_pb2

from tests.decode import producers
from tests.decode.support import T0

NS = 1_000_000


def damaged(dice: random.Random, raw: bytes) -> bytes:
    """Some bytes flipped, cut out, doubled or put in."""
    found = bytearray(raw)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(found) + 1)
        size = dice.randint(1, 12)
        match dice.randrange(6):
            case 0:
                found[at : at + 1] = bytes((dice.randrange(256),))
            case 1:
                del found[at : at + size]
            case 2:
                found[at:at] = found[at : at + size]
            case 3:
                found[at:at] = dice.randbytes(size)
            case 4 if at < len(found):
                found[at] ^= 1 << dice.randrange(8)
            case 5:
                del found[at:]
    return bytes(found)


def _attribute(dice: random.Random, owner: Any) -> None:
    pair = owner.attributes.add(key=dice.choice(["route", "queue", "core", "\u00e4", ""]))
    match dice.randrange(5):
        case 0:
            pair.value.int_value = dice.choice([0, -1, 7, 2**62])
        case 1:
            pair.value.bool_value = dice.random() < 0.5
        case 2:
            pair.value.array_value.values.add(string_value="x")
        case _:
            pair.value.string_value = dice.choice(["", "/pay", "/cart", "x" * 210])


def _point(dice: random.Random, point: Any) -> None:
    if dice.random() < 0.97:
        point.time_unix_nano = T0 * NS + dice.randrange(10**12)
    if dice.random() < 0.3:
        point.start_time_unix_nano = 1
    for _ in range(dice.choice([0, 1, 2, 2, 2, 3])):
        _attribute(dice, point)
    if dice.random() < 0.05:
        point.flags = dice.choice([1, 2, 3, 300])
    if dice.random() < 0.05:
        point.exemplars.add(as_double=1.0, time_unix_nano=5)


def _number(dice: random.Random, point: Any) -> None:
    _point(dice, point)
    match dice.randrange(10):
        case 0:
            pass
        case 1 | 2 | 3:
            point.as_int = dice.choice([0, 1, -5, 2**63 - 1, -(2**63), 2**53 + 1])
        case 4:
            point.as_double = dice.choice([0.0, -0.0, math.nan, math.inf, 5e-324])
        case _:
            point.as_double = dice.random()


def _histogram(dice: random.Random, point: Any) -> None:
    _point(dice, point)
    point.count = dice.randrange(100)
    if dice.random() < 0.8:
        point.sum = dice.choice([0.0, 1.5, math.nan, math.inf])
    if dice.random() < 0.3:
        point.min, point.max = 0.0, 9.0
    bounds = dice.choice([[], [1.0], [1.0, 2.0], [1.0, 2.0, 5.0], [2.0, 1.0], [math.inf]])
    point.explicit_bounds.extend(bounds)
    if dice.random() < 0.9:
        more = 1 if dice.random() < 0.95 else 2
        point.bucket_counts.extend(dice.randrange(9) for _ in range(len(bounds) + more))


def _metric(dice: random.Random, metric: Any) -> None:
    metric.name = (
        dice.choice(["a", "b", "http.server.duration", "\u00e9", "a"]) if dice.random() < 0.97 else ""
    )
    metric.unit = dice.choice(["", "ms", "1"])
    if dice.random() < 0.2:
        metric.description = "what it is"
    many = dice.choice([0, 1, 1, 2, 5])
    temporality = dice.choice([2, 2, 2, 1, 1, 0, 7]) if dice.random() < 0.3 else 2
    match dice.randrange(24):
        case 0:
            metric.summary.data_points.add(time_unix_nano=T0 * NS, count=3, sum=2.0)
        case 1:
            metric.exponential_histogram.aggregation_temporality = 2
            metric.exponential_histogram.data_points.add(time_unix_nano=T0 * NS, count=1, scale=1)
        case 2:
            pass
        case n if n < 10:
            metric.gauge.SetInParent()
            for _ in range(many):
                _number(dice, metric.gauge.data_points.add())
        case n if n < 17:
            metric.sum.aggregation_temporality = temporality
            metric.sum.is_monotonic = dice.random() < 0.6
            for _ in range(many):
                _number(dice, metric.sum.data_points.add())
        case _:
            metric.histogram.aggregation_temporality = temporality
            for _ in range(many):
                _histogram(dice, metric.histogram.data_points.add())


def otlp(dice: random.Random) -> bytes:
    """An export request."""
    if dice.random() < 0.05:
        made = dice.choice([producers.metrics, producers.logs, producers.traces])()
        raw = made.SerializeToString()
    else:
        data = metrics_pb2.MetricsData()
        for _ in range(dice.choice([0, 1, 1, 1, 2])):
            part = data.resource_metrics.add(schema_url=dice.choice(["", "https://x"]))
            if dice.random() < 0.95:
                pair = part.resource.attributes.add(key="service.name")
                pair.value.string_value = dice.choice(["cart", "pay", "", "unknown_service"])
                _attribute(dice, part.resource)
            for _ in range(dice.choice([0, 1, 1, 2])):
                scope = part.scope_metrics.add()
                scope.scope.name = "s"
                for _ in range(dice.choice([0, 1, 1, 2, 3])):
                    _metric(dice, scope.metrics.add())
        raw = data.SerializeToString()
    if dice.random() < 0.05:
        raw += raw  # two requests end to end are one
    return damaged(dice, raw) if dice.random() < 0.3 else raw


def _number_text(dice: random.Random) -> str:
    match dice.randrange(12):
        case 0:
            return dice.choice(
                ["0", "-0", "0.0", "-0.0", "1e3", "1E-3", "-1.5e+2", "0e9", "-0e0", "1e400", "9" * 25]
            )
        case 1:
            return dice.choice(
                ["01", "+1", "1.", ".5", "1e", "NaN", "null", "true", '"1"', "[1]", "{}", "--1", "1e5000"]
            )
        case 2:
            return repr(struct.unpack("<d", dice.randbytes(8))[0])
        case 3:
            return str(dice.randrange(10 ** dice.randint(1, 22)))
        case 4 | 5 | 6:
            return repr(dice.random())
        case _:
            return str(dice.randrange(1_000))


def line(dice: random.Random) -> str:
    """A JSON line, mostly a sample."""
    time = T0 + dice.randrange(10_000)
    stamp = (
        str(time)
        if dice.random() < 0.95
        else dice.choice(["0", "01", "1.5", f"{time}.0", "-1", '"x"', "1e12"])
    )
    colon, comma = dice.choice([(":", ","), (": ", ", "), (" : ", " ,"), (":\t", ",")])
    fields = [f'"ts"{colon}{stamp}', f'"value"{colon}{_number_text(dice)}']
    if dice.random() < 0.97:
        fields.append(f'"service"{colon}"{dice.choice(_SERVICES)}"')
    match dice.randrange(12):
        case 0:
            fields.append(f'"body"{colon}"no stock"')
        case 1:
            fields += [f'"trace_id"{colon}"t"', f'"span_id"{colon}"s"']
        case _:
            fields.append(f'"metric"{colon}"{dice.choice(["m", "hits", "a.b", ""])}"')
    if dice.random() < 0.5:
        fields.append(f'"labels"{colon}{dice.choice(["{}", _LABELS, _NESTED, "[1]", "null"])}')
    if dice.random() < 0.2:
        fields.append(f'"kind"{colon}"{dice.choice(["counter", "delta", "gauge", "odd"])}"')
    if dice.random() < 0.15:
        fields.append(
            dice.choice(['"ts":5', '"t\\u0073":5', '"value":7', '"x":{"ts":1,"value":2}', '"unit":"ms"'])
        )
    if dice.random() < 0.3:
        dice.shuffle(fields)
    return "{" + comma.join(fields) + "}"


_SERVICES = ("cart", "pay", "", "c\\u0061rt", "\u00fc")
_LABELS = json.dumps({"route": "/a\\b", "n": 5, "ok": True})
_NESTED = '{"a":{"value":1}}'


def lines(dice: random.Random) -> bytes:
    """A record of JSON lines."""
    many = dice.choice([1, 1, 1, 1, 2, 3])
    text = dice.choice(["\n", "\n", "\n\n", "\r\n", " "]).join(line(dice) for _ in range(many))
    raw = (text + dice.choice(["", "", "", "\n", " "])).encode()
    return damaged(dice, raw) if dice.random() < 0.2 else raw
