"""Every metric a worker exposes about itself. Labels: stage; per partition also topic and partition."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """Prometheus name, type and help text."""

    name: str
    kind: str
    help: str


# Lag is end of the partition minus records whose effect is safe on the next hop. The number to alert on.
LAG = Metric("tocsin_lag_records", "gauge", "Records of the partition whose effect is not safe yet")
# Grows while nothing finishes; harmless without lag.
PROGRESS_AGE = Metric("tocsin_progress_age_seconds", "gauge", "Seconds since the partition last moved on")
# The offset a restarted worker would go on from.
COMMIT_CEILING = Metric("tocsin_commit_ceiling_offset", "gauge", "Offset up to which commits are allowed")
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
