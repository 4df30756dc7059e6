"""Every metric a worker exposes about itself, in one place.

All carry the labels named here, `stage` first; Prometheus adds where it scraped. Counters count since
the worker started. docs/operating.md says what to alert on.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.records import telemetry as core

STAGE = ("stage",)
PARTITION = ("stage", "topic", "partition")


class Metric(NamedTuple):
    """Prometheus name, type and help text, and the names of its labels."""

    name: str
    kind: str
    """counter | gauge | histogram"""
    help: str
    labels: tuple[str, ...] = STAGE


# -- per partition ---------------------------------------------------------------------------

# Lag is end of the partition minus records whose effect is safe on the next hop. The number to alert on.
LAG = Metric(
    "tocsin_lag_records", "gauge", "Records of the partition whose effect is not safe yet", PARTITION
)
# 0 while lag is below the bound of /readyz or still reaching new lows.
LAG_GROWING = Metric(
    "tocsin_lag_not_shrinking_seconds", "gauge", "Seconds for which a large lag has not shrunk", PARTITION
)
# Grows while nothing finishes; harmless without lag.
PROGRESS_AGE = Metric(
    "tocsin_progress_age_seconds",
    "gauge",
    "Seconds without progress since there was something to do",
    PARTITION,
)
# The offset a restarted worker would go on from.
COMMIT_CEILING = Metric(
    "tocsin_commit_ceiling_offset", "gauge", "Offset up to which commits are allowed", PARTITION
)
# Wall clock minus event time decided. Idle sources keep about twice the allowed lateness behind.
WATERMARK_DELAY = Metric(
    "tocsin_watermark_delay_seconds", "gauge", "Wall clock minus the partition's watermark", PARTITION
)
# 0 when everything processed is covered; else the age of the oldest work a crash would repeat.
CHECKPOINT_AGE = Metric(
    "tocsin_checkpoint_age_seconds", "gauge", "Age of the state a restart would begin from", PARTITION
)
CHECKPOINT_SIZE = Metric(
    "tocsin_checkpoint_size_bytes", "gauge", "Bytes of the last checkpoint as written", PARTITION
)

# -- per stage: counters of the runner -----------------------------------------------------------

RECORDS = Metric("tocsin_records_total", "counter", "Records processed with their effect safe")
OUTPUTS = Metric("tocsin_outputs_total", "counter", "Records produced")
OUTPUT_BYTES = Metric("tocsin_output_bytes_total", "counter", "Bytes of the values produced")
# Re-reads after a rebalance or a crash; a steady rate in normal running is a bug.
SKIPPED = Metric("tocsin_records_skipped_total", "counter", "Records read a second time and left out")
# Retention overtook the reader, or the topic is compacted or transactional.
GAPS = Metric("tocsin_offset_gaps_total", "counter", "Places where offsets jumped forward")
CHECKPOINTS = Metric("tocsin_checkpoints_total", "counter", "Checkpoints written")
CHECKPOINT_BYTES = Metric("tocsin_checkpoint_bytes_total", "counter", "Bytes of checkpoints written")
RESTORED = Metric("tocsin_checkpoints_restored_total", "counter", "Partitions restored from a checkpoint")
KEPT = Metric(
    "tocsin_partitions_kept_total", "counter", "Partitions that stayed with their state in a rebalance"
)
REBALANCES = Metric("tocsin_placements_total", "counter", "Times partitions were placed on this worker")
RETRIES = Metric("tocsin_sink_retries_total", "counter", "Writes to a target that had to be tried again")

COUNTERS: dict[str, Metric] = {
    "records": RECORDS,
    "outputs": OUTPUTS,
    "output_bytes": OUTPUT_BYTES,
    "skipped": SKIPPED,
    "gaps": GAPS,
    "checkpoints": CHECKPOINTS,
    "checkpoint_bytes": CHECKPOINT_BYTES,
    "restored": RESTORED,
    "kept": KEPT,
    "rebalances": REBALANCES,
    "retries": RETRIES,
}
"""Field of `runner.Counters` -> metric."""

# -- per stage: what the cores count ---------------------------------------------------------------

ROWS = Metric(
    "tocsin_rows_total", "counter", "Rows taken: samples, histograms, logs, spans", (*STAGE, "kind")
)
# Dropped because their time had been decided already. Some are normal after a crash.
LATE = Metric("tocsin_late_rows_total", "counter", "Rows that came after their time was decided")
DEAD = Metric(
    "tocsin_dead_letters_total", "counter", "Records or rows put into the dead letters", (*STAGE, "reason")
)
DROPPED = Metric(
    "tocsin_dropped_rows_total",
    "counter",
    "Rows left out for another reason than lateness",
    (*STAGE, "reason"),
)
MASKED = Metric("tocsin_masked_secrets_total", "counter", "Secrets masked in log lines", (*STAGE, "kind"))
# Every map keyed by input is bounded; a steady rate means that a bound is too small or labels explode.
EVICTIONS = Metric(
    "tocsin_evictions_total", "counter", "Entries of bounded maps that were forgotten", (*STAGE, "kind")
)
ENTRIES = Metric("tocsin_state_entries", "gauge", "Entries held in memory, by kind", (*STAGE, "kind"))

CORE_TOTALS: dict[str, Metric] = {
    core.ROWS: ROWS,
    core.LATE: LATE,
    core.DEAD: DEAD,
    core.DROPPED: DROPPED,
    core.EVICTED: EVICTIONS,
    core.MASKED: MASKED,
}
"""First part of a key of `CoreTelemetry.totals` -> metric; the second part is the last label."""

# -- per stage: durations and queues -----------------------------------------------------------------

PROCESS_SECONDS = Metric("tocsin_chunk_process_seconds", "histogram", "Time a core spends on one chunk")
# From the time in the Kafka record (its producer's clock, or the broker's), once a chunk, by its first
# record. A backlog, and producers whose clock is off, show in it.
EFFECT_SECONDS = Metric(
    "tocsin_record_to_effect_seconds", "histogram", "From a record's time until its effect is safe"
)
CHECKPOINT_SECONDS = Metric(
    "tocsin_checkpoint_write_seconds", "histogram", "Time to write one checkpoint until the broker has it"
)
WRITE_SECONDS = Metric(
    "tocsin_sink_write_seconds", "histogram", "Time to write one chunk to the target, retries included"
)

HISTOGRAMS: dict[str, Metric] = {
    "process_s": PROCESS_SECONDS,
    "effect_s": EFFECT_SECONDS,
    "checkpoint_s": CHECKPOINT_SECONDS,
    "write_s": WRITE_SECONDS,
}
"""Field of `runner.Counters` -> metric."""

# Full (6) for long: the stage is what slows the pipeline down.
QUEUE = Metric(
    "tocsin_queued_chunks", "gauge", "Chunks read and waiting for the stage (for a sink: its queue)"
)
INFLIGHT_CHUNKS = Metric("tocsin_inflight_chunks", "gauge", "Chunks processed whose outputs are on their way")
INFLIGHT_BYTES = Metric("tocsin_inflight_bytes", "gauge", "Bytes of outputs on their way to the broker")
RETRYING = Metric(
    "tocsin_sink_retrying_seconds", "gauge", "Seconds since the target last worked; 0: it works"
)
# written, skipped (of no use to the target), refused by reason, lost (a dead letter refused in turn).
SINK_RECORDS = Metric(
    "tocsin_sink_records_total", "counter", "Records a sink has dealt with, by outcome", (*STAGE, "outcome")
)
ASSIGNED = Metric("tocsin_assigned_partitions", "gauge", "Partitions this worker works on")
READY = Metric("tocsin_ready", "gauge", "1 if /readyz says so", ())

# -- about the worker ---------------------------------------------------------------------------------

BUILD_INFO = Metric("tocsin_build_info", "gauge", "Always 1; the labels say what runs", ("version", "python"))
OTLP_EXPORTS = Metric(
    "tocsin_otlp_exports_total", "counter", "Exports of these metrics over OTLP", ("outcome",)
)
SELF_SAMPLES = Metric(
    "tocsin_self_samples_total", "counter", "Samples about itself the worker has sent", ("outcome",)
)
# process_cpu_seconds_total, process_resident_memory_bytes and the like come from prometheus_client.
