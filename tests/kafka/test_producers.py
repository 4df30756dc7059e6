"""Real producers from Debian's packages, started as they are in production, against a real Kafka.

They pin down what our decoders are fed: not what a manual says, but what arrives.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.kafka.clients import create_topic, wait_for_records
from tests.kafka.cluster import KafkaCluster
from tests.kafka.programs import (
    COLLECTD_PLUGIN,
    RSYSLOG_PLUGINS,
    collectd_config,
    needs,
    program,
    rsyslog_config,
    running,
)

pytestmark = pytest.mark.kafka


async def test_kcat_sends_one_record_a_line(real_kafka: KafkaCluster) -> None:
    """``kcat -P -K:`` splits its input into records at line ends and into key and value at the colon."""
    kcat = program("kcat", "kcat")
    await create_topic(real_kafka.bootstrap, "from-kcat")
    lines = '{"service":"cart","metric":"latency_ms","ts_ms":1700000000000,"value":12.5}\n'
    await asyncio.to_thread(
        subprocess.run,
        [kcat, "-b", real_kafka.bootstrap, "-t", "from-kcat", "-P", "-K", "|"],
        input=f"cart|{lines}pay|{lines}".encode(),
        check=True,
        timeout=60,
    )
    records = await wait_for_records(real_kafka.bootstrap, "from-kcat", lambda found: len(found) >= 2)
    assert [(r.key, r.value) for r in records] == [(k, lines.strip().encode()) for k in (b"cart", b"pay")]


async def test_collectd_sends_json_arrays_of_value_lists(real_kafka: KafkaCluster, tmp_path: Path) -> None:
    """collectd's write_kafka wraps each value list in an array, with numbers and names side by side."""
    collectd = program("collectd", "collectd-core")
    needs(COLLECTD_PLUGIN, package="collectd-core librdkafka1")
    await create_topic(real_kafka.bootstrap, "from-collectd")
    config = tmp_path / "collectd.conf"
    config.write_text(collectd_config(tmp_path, real_kafka.bootstrap, ["from-collectd"]))

    def value_lists(records: list) -> list[dict]:
        return [item for record in records for item in json.loads(record.value)]

    def both_plugins(records: list) -> bool:
        return {"load", "cpu"} <= {item["plugin"] for item in value_lists(records)}

    with running([collectd, "-f", "-C", str(config)], tmp_path / "collectd.log") as ended:
        records = await wait_for_records(
            real_kafka.bootstrap, "from-collectd", both_plugins, timeout_s=45, still_running=ended
        )
    assert all(isinstance(json.loads(record.value), list) for record in records)
    load = next(item for item in value_lists(records) if item["plugin"] == "load")
    assert load["host"] == "shop-1"
    assert load["dsnames"] == ["shortterm", "midterm", "longterm"]
    assert load["dstypes"] == ["gauge", "gauge", "gauge"]
    assert len(load["values"]) == 3
    assert all(isinstance(value, float | int) for value in load["values"])
    assert isinstance(load["time"], float)  # seconds with a fraction, not milliseconds
    assert 1.6e9 < load["time"] < 4e9
    assert load["interval"] == 1
    cpu = next(item for item in value_lists(records) if item["plugin"] == "cpu")
    assert set(cpu) >= {"plugin_instance", "type", "type_instance"}


async def test_rsyslog_sends_lines_in_its_file_format(real_kafka: KafkaCluster, tmp_path: Path) -> None:
    """omkafka sends ``TIMESTAMP HOST TAG MESSAGE`` unless a template, such as RFC 5424's, says otherwise."""
    rsyslogd = program("rsyslogd", "rsyslog rsyslog-kafka")
    needs(*RSYSLOG_PLUGINS, package="rsyslog-kafka")
    for topic in ("from-rsyslog", "from-rsyslog-5424"):
        await create_topic(real_kafka.bootstrap, topic)
    source = tmp_path / "app.log"
    source.write_text("payment declined for order 4711\nlow stock: sku=9\n")
    config = tmp_path / "rsyslog.conf"
    topics = [("from-rsyslog", ""), ("from-rsyslog-5424", "RSYSLOG_SyslogProtocol23Format")]
    config.write_text(rsyslog_config(tmp_path, source, real_kafka.bootstrap, topics))
    argv = [rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "rsyslog.pid")]
    with running(argv, tmp_path / "rsyslog.log") as ended:
        plain = await wait_for_records(
            real_kafka.bootstrap, "from-rsyslog", lambda found: len(found) >= 2, still_running=ended
        )
        structured = await wait_for_records(
            real_kafka.bootstrap, "from-rsyslog-5424", lambda found: len(found) >= 2, still_running=ended
        )
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d)"
    declined, stock = (record.value.decode() for record in plain)
    assert re.fullmatch(rf"{stamp} shop-1 checkout: payment declined for order 4711\n?", declined)
    assert re.fullmatch(rf"{stamp} shop-1 checkout: low stock: sku=9\n?", stock)
    first = next(r.value.decode() for r in structured if b"4711" in r.value)
    # local0 (16) x 8 + warning (4) = 132
    assert re.match(rf"<132>1 {stamp} shop-1 checkout - - - ?", first)
