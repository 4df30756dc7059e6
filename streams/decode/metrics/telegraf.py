"""What Telegraf means, whatever it is written in: names and kinds of the series its fields are.

A field of a metric is a series named `<metric>_<field>`, or `<metric>` for a field called `value`, as
Telegraf's own Prometheus output has it. Neither of its formats says what is a counter: by the name
`…_total` is one, and so are the fields below, of the plugins that run on most hosts.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.decode.columns import Columns
from streams.decode.metrics.flat import describe
from streams.records.pages import Kind, Series

_COUNTERS: dict[str, str] = {
    "cpu": (
        "time_user time_system time_idle time_active time_nice time_iowait time_irq time_softirq "
        "time_steal time_guest time_guest_nice"
    ),
    "diskio": (
        "reads writes read_bytes write_bytes read_time write_time io_time weighted_io_time "
        "merged_reads merged_writes"
    ),
    "docker_container_blkio": "io_service_bytes_recursive_read io_service_bytes_recursive_write",
    "docker_container_cpu": (
        "throttling_periods throttling_throttled_periods throttling_throttled_time "
        "usage_in_kernelmode usage_in_usermode usage_system usage_total"
    ),
    "docker_container_net": (
        "rx_bytes rx_dropped rx_errors rx_packets tx_bytes tx_dropped tx_errors tx_packets"
    ),
    "kernel": "context_switches interrupts processes_forked disk_pages_in disk_pages_out",
    "net": "bytes_recv bytes_sent packets_recv packets_sent err_in err_out drop_in drop_out",
    "nginx": "accepts handled requests",
    "postgresql": (
        "xact_commit xact_rollback blks_read blks_hit tup_returned tup_fetched tup_inserted "
        "tup_updated tup_deleted conflicts deadlocks temp_files temp_bytes"
    ),
    "redis": (
        "total_commands_processed total_connections_received keyspace_hits keyspace_misses "
        "evicted_keys expired_keys rejected_connections total_net_input_bytes "
        "total_net_output_bytes"
    ),
    "swap": "in out",
}
COUNTERS = frozenset(f"{metric}_{field}" for metric, fields in _COUNTERS.items() for field in fields.split())


def field_series(sink: Columns, metric: str, field: str, tags: Mapping[str, str]) -> Series:
    """The series of a field. Raises `RowFault` for a metric without a name."""
    name = metric if field == "value" or not metric else f"{metric}_{field}"
    kind = Kind.COUNTER if name in COUNTERS or name.endswith("_total") else Kind.GAUGE
    return describe(sink, name, tags, "", kind)
