"""Units under one spelling: UCUM codes, as OpenTelemetry uses them. Values stay as they were sent.

Producers write `seconds`, `sec` or `s`, or hide the unit in the metric's name. The spelling is made
one, so that the same quantity from two producers reads the same; scaling is left alone, because what
an alert says must be what the producer's own dashboard says.
"""

from __future__ import annotations

UCUM = {
    "seconds": "s",
    "second": "s",
    "secs": "s",
    "sec": "s",
    "milliseconds": "ms",
    "millisecond": "ms",
    "millis": "ms",
    "msec": "ms",
    "microseconds": "us",
    "µs": "us",
    "usec": "us",
    "nanoseconds": "ns",
    "nanos": "ns",
    "nsec": "ns",
    "minutes": "min",
    "hours": "h",
    "days": "d",
    "bytes": "By",
    "byte": "By",
    "b": "By",
    "octets": "By",
    "kilobytes": "kBy",
    "kb": "kBy",
    "kib": "KiBy",
    "megabytes": "MBy",
    "mb": "MBy",
    "mib": "MiBy",
    "gigabytes": "GBy",
    "gb": "GBy",
    "gib": "GiBy",
    "bits": "bit",
    "percent": "%",
    "percentage": "%",
    "pct": "%",
    "ratio": "1",
    "celsius": "Cel",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "watts": "W",
    "hertz": "Hz",
    "meters": "m",
    "grams": "g",
    "bytes/s": "By/s",
    "bytes/second": "By/s",
    "bps": "bit/s",
    "requests": "{request}",
    "errors": "{error}",
    "packets": "{packet}",
}
"""spelling in lower case -> UCUM code"""

_KEPT = {"%", "1", "s", "ms", "us", "ns", "min", "h", "d", "By", "bit"}


def ucum(unit: str) -> str:
    """The UCUM code of a unit, or the unit as it is where none is known."""
    text = unit.strip()
    return text if text in _KEPT else UCUM.get(text.lower(), text)


def in_name(metric: str) -> str:
    """The unit a metric's name ends in by the Prometheus convention (before `_total`), or nothing."""
    base = metric
    for suffix in ("_total", "_sum", "_bucket", "_avg", "_mean", "_max", "_min"):
        base = base.removesuffix(suffix)
    last = base.rpartition("_")[2].lower()
    return UCUM.get(last, "") if last in _WORDS else ""


_WORDS = frozenset(
    (
        *("seconds", "milliseconds", "microseconds", "nanoseconds", "ms", "minutes", "hours", "days"),
        *("bytes", "octets", "kilobytes", "megabytes", "gigabytes", "bits"),
        *("percent", "ratio", "celsius", "volts", "amperes", "joules", "watts", "hertz", "meters", "grams"),
    )
)
