"""What a shard says of itself: its counters under the names that all stages share."""

from __future__ import annotations

from collections.abc import Mapping

from detectors.engine import Engine
from streams.records import telemetry as own
from streams.records.pages import NO_WATERMARK

EVICTED = {
    "evicted_series": "series",
    "bank_evicted_series": "detector_series",
    "freed_series": "idle_series",
    "evicted_refused": "refused_series",
    "evicted_templates": "templates",
    "evicted_kinds": "line_kinds",
    "evicted_log_services": "log_services",
    "evicted_pattern_services": "pattern_services",
    "evicted_spans": "spans",
    "evicted_services": "services",
    "joint_evicted_services": "joint_services",
    "joint_evicted_series": "joint_series",
}
"""counter -> map"""

DROPPED = {
    "repeated_rows": "repeated",
    "repeated_lines": "repeated_line",
    "undescribed_rows": "undescribed",
    "mismatched_rows": "mismatched",
    "limited_rows": "series_limit",
    "bank_nonfinite_rows": "nonfinite",
    "bank_excluded_rows": "excluded",
    "unmatched_spans": "unmatched_span",
    "refused_edges": "edge",
    "refused_call_series": "call_series",
    "suppressed_new_templates": "new_template",
    "refused_pattern_services": "pattern_service",
}
"""counter -> reason"""


def shard_telemetry(
    counters: Mapping[str, int], engine: Engine, held_rows: int, watermark: int
) -> own.CoreTelemetry:
    """`counters`: those of the shard itself."""
    totals = own.Tally()
    for kind in ("samples", "histograms", "logs", "spans"):
        totals.count(own.ROWS, kind, counters[kind])
    totals.count(own.LATE, "", counters["late_rows"])
    totals.count(own.DEAD, "bad-page", counters["bad_pages"])
    totals.count(own.EVICTED, "held_rows", counters["forced_releases"])
    inner = engine.counters()
    for name, which in EVICTED.items():
        totals.count(own.EVICTED, which, inner[name])
    for name, which in DROPPED.items():
        totals.count(own.DROPPED, which, inner[name])
    totals.count(own.EVICTED, "log_rates", engine.logs.buckets.evicted)
    levels = {
        "series": float(len(engine.numbers.table)),
        "detector_series": float(len(engine.bank)),
        "excluded_series": float(len(engine.bank.excluded)),
        "waiting_series": float(len(engine.admission.waiting)),
        "refused_series": float(engine.admission.refused),
        "log_services": float(engine.logs.services),
        "held_rows": float(held_rows),
    }
    return own.CoreTelemetry(totals, levels, {}, None if watermark == NO_WATERMARK else watermark)
