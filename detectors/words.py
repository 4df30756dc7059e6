"""What a metric's name and unit say: which direction is bad, what change is too small to matter,
and how to write its values for a person."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from streams.records.pages import Series

SUMMARY_CHARS = 110
"""an alert's summary is a title, too"""
INSTANCE_LABELS = ("instance", "service.instance.id", "k8s.pod.name", "host.name")


class Habits(NamedTuple):
    """Read off name and unit; `sense` 1: up is bad, -1: down is bad, 0: unknown."""

    sense: int
    min_abs: float
    """least deviation that matters, in the series' unit"""
    min_rel: float
    """least deviation that matters, as a share of the expected value"""


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_BAD_UP = {
    "latency", "duration", "error", "errors", "fail", "failed", "failure", "failures", "exception",
    "exceptions", "timeout", "timeouts", "retry", "retries", "dropped", "drops", "rejected", "queue",
    "pending", "backlog", "lag", "wait", "blocked", "throttled", "cpu", "memory", "heap", "rss",
    "usage", "utilization", "utilisation", "used", "load", "restarts", "restart", "evictions", "deadletter",
}  # fmt: skip
_BAD_DOWN = {
    "throughput", "availability", "success", "uptime", "up", "requests", "request", "workload", "ops",
    "ready", "available", "healthy", "free", "idle", "orders", "hit", "hits",
}  # fmt: skip
_TIME = {"latency", "duration", "wait", "time", "delay", "lag"}
_USAGE = {"cpu", "usage", "utilization", "utilisation", "used", "load"}
_GOOD_SHARE = {"availability", "success", "uptime", "up", "ready", "healthy"}
_BAD_SHARE = {"error", "errors", "failure", "failures", "ratio", "rejected"}

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_IN_NAME = re.compile(r"\(([^()]*)\)\s*$")


def unit_of(series: Series) -> str:
    """The series' unit, or the one written at the end of its name: "Latency(s)"."""
    if series.unit:
        return series.unit
    found = _IN_NAME.search(series.metric)
    if found:
        return found.group(1)
    for ending, unit in (("_seconds", "s"), ("_ms", "ms"), ("_bytes", "By"), ("_percent", "%")):
        if series.metric.endswith(ending):
            return unit
    return ""


def habits(series: Series) -> Habits:
    """Direction and minimum effect of a series. A series without a metric name has none."""
    if not series.metric:
        return Habits(0, 0.0, 0.0)
    words = {word.lower() for word in _WORD.findall(series.metric)}
    unit = unit_of(series)
    rate_of = series.metric.endswith((".rate", "_rate", ".count")) or unit.endswith("/s")
    sense = 0
    if words & _GOOD_SHARE:
        sense = -1
    elif words & {"error", "errors", "failed", "failures", "exceptions", "timeouts", "dropped"}:
        sense = 1
    elif rate_of and words & _BAD_UP & _TIME:
        sense = -1  # the count rate of a latency histogram is throughput
    elif words & _BAD_UP:
        sense = 1
    elif words & _BAD_DOWN:
        sense = -1
    if words & _GOOD_SHARE and (unit in ("%", "1", "") or words & {"rate", "ratio"}):
        return Habits(sense, 1.0 if unit == "%" else 0.01, 0.0)
    if words & _BAD_SHARE and unit in ("%", "1"):
        return Habits(sense, 2.0 if unit == "%" else 0.02, 0.0)
    if words & _TIME and unit in _SECONDS and not rate_of:
        return Habits(sense, 0.002 / _SECONDS[unit], 0.3)
    if words & _USAGE and unit == "%":
        return Habits(sense, 3.0, 0.1)
    if words & _USAGE and unit == "1":
        return Habits(sense, 0.03, 0.1)
    return Habits(sense, 0.0, 0.1)


def instance_of(series: Series) -> str:
    """The instance a series belongs to, empty if it does not say."""
    labels = dict(series.labels)
    for name in INSTANCE_LABELS:
        if labels.get(name):
            return labels[name]
    return ""


def number(value: float) -> str:
    """Three significant digits, without an exponent between 0.001 and 1e6."""
    size = abs(value)
    if size >= 1e6 or (0 < size < 1e-3):
        return f"{value:.2e}"
    if size >= 100:
        return f"{value:.0f}"
    text = f"{value:.{2 if size >= 1 else 3}g}" if size < 1 else f"{value:.{1 if size >= 10 else 2}f}"
    return text


def quantity(value: float, unit: str) -> str:
    """A value with its unit, scaled to what people say."""
    if unit in _SECONDS:
        seconds = value * _SECONDS[unit]
        size = abs(seconds)
        if size >= 0.1 or seconds == 0:
            return f"{number(seconds)} s"
        return f"{number(seconds * 1e3)} ms" if size >= 1e-4 else f"{number(seconds * 1e6)} µs"
    if unit in ("By", "bytes", "B", "By/s"):
        rate = "/s" if unit.endswith("/s") else ""
        for factor, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= factor:
                return f"{number(value / factor)} {name}{rate}"
        return f"{number(value)} B{rate}"
    if unit in ("1/s", "/s"):
        return f"{number(value)}/s"
    if unit == "%":
        return f"{number(value)} %"
    if unit in ("", "1"):
        return number(value)
    return f"{number(value)} {unit.strip('{}')}"


def clipped(text: str, most: int = SUMMARY_CHARS) -> str:
    """One line of at most `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def clock(ts_ms: int) -> str:
    """Time of day for a summary: "14:02:10 UTC"."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%H:%M:%S UTC")


def name_of(series: Series) -> str:
    """Service, metric and what tells it from its siblings: "checkout http.server.duration p95"."""
    metric = re.sub(r"\.(p\d+|mean|rate)$", r" \1", series.metric)
    if series.unit == "":
        metric = _IN_NAME.sub("", metric)
    if metric.startswith("log.") and (template := dict(series.labels).get("template")):
        what = "durations in" if metric == "log.param.duration" else "logs"
        return f"{series.service} {what} `{clipped(template, 60)}`"
    rest = [value for label, value in series.labels if label not in INSTANCE_LABELS and len(value) <= 40]
    return " ".join(part for part in (series.service, metric, *rest[:2]) if part)


NEXT_TO_NOTHING = 1e-6
"""an expected value this much smaller than the value seen is said to be 0"""


def usual(value: float, expected: float, unit: str) -> str:
    """The expected value in words, without digits that mean nothing."""
    return quantity(0.0 if abs(expected) <= NEXT_TO_NOTHING * abs(value) else expected, unit)


def compare(value: float, expected: float) -> str:
    """How far off, in words: "9.1x its usual", "42 % below its usual"."""
    if abs(expected) <= NEXT_TO_NOTHING * abs(value) or (value < 0) != (expected < 0):
        return "usually"
    ratio = value / expected
    if ratio >= 2:
        return f"{number(ratio)}x its usual"
    if ratio > 1:
        return f"{(ratio - 1) * 100:.0f} % above its usual"
    return f"{(1 - ratio) * 100:.0f} % below its usual"
