"""Real producers from Debian's packages, started as they are in production, against a real Kafka.

They pin down what our decoders are fed: not what a manual says, but what arrives.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kafka.clients import create_topic, wait_for_records
from tests.kafka.cluster import KafkaCluster

pytestmark = pytest.mark.kafka

_COLLECTD_PLUGIN = Path("/usr/lib/collectd/write_kafka.so")
_RSYSLOG_PLUGINS = (Path("/usr/lib/x86_64-linux-gnu/rsyslog/omkafka.so"), Path("/usr/lib/rsyslog/omkafka.so"))


def _program(name: str, package: str) -> str:
    """Path of an installed program, also from sbin; skips the test when it is not installed."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install -y {package}")
    return path


def _needs(*any_of: Path, package: str) -> None:
    """Skip the test when none of the files, a program's plugin, is there."""
    if not any(path.exists() for path in any_of):
        pytest.skip(f"{any_of[0]} is missing: apt-get install -y {package}")


@contextmanager
def _running(argv: list[str], log: Path) -> Iterator[Callable[[], str | None]]:
    """Run a daemon in the foreground; yields a question that answers why it ended, or None."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield lambda: None if process.poll() is None else f"it ended: {log.read_text()[-1500:]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_kcat_sends_one_record_a_line(real_kafka: KafkaCluster) -> None:
    """``kcat -P -K:`` splits its input into records at line ends and into key and value at the colon."""
    kcat = _program("kcat", "kcat")
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
    collectd = _program("collectd", "collectd-core")
    _needs(_COLLECTD_PLUGIN, package="collectd-core librdkafka1")
    await create_topic(real_kafka.bootstrap, "from-collectd")
    config = tmp_path / "collectd.conf"
    config.write_text(f"""
Hostname "shop-1"
FQDNLookup false
Interval 1
BaseDir "{tmp_path}"
PIDFile "{tmp_path}/collectd.pid"
PluginDir "{_COLLECTD_PLUGIN.parent}"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin load
LoadPlugin cpu
LoadPlugin write_kafka
<Plugin cpu>
  ReportByCpu false
</Plugin>
<Plugin write_kafka>
  Property "metadata.broker.list" "{real_kafka.bootstrap}"
  <Topic "from-collectd">
    Format JSON
  </Topic>
</Plugin>
""")

    def value_lists(records: list) -> list[dict]:
        return [item for record in records for item in json.loads(record.value)]

    def both_plugins(records: list) -> bool:
        return {"load", "cpu"} <= {item["plugin"] for item in value_lists(records)}

    with _running([collectd, "-f", "-C", str(config)], tmp_path / "collectd.log") as ended:
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
    rsyslogd = _program("rsyslogd", "rsyslog rsyslog-kafka")
    _needs(*_RSYSLOG_PLUGINS, package="rsyslog-kafka")
    for topic in ("from-rsyslog", "from-rsyslog-5424"):
        await create_topic(real_kafka.bootstrap, topic)
    source = tmp_path / "app.log"
    source.write_text("payment declined for order 4711\nlow stock: sku=9\n")
    host, _, port = real_kafka.bootstrap.partition(":")
    config = tmp_path / "rsyslog.conf"
    config.write_text(f"""
global(workDirectory="{tmp_path}" localHostname="shop-1")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omkafka")
input(type="imfile" file="{source}" tag="checkout:" severity="warning" facility="local0")
action(type="omkafka" broker=["{host}:{port}"] topic="from-rsyslog")
action(type="omkafka" broker=["{host}:{port}"] topic="from-rsyslog-5424"
       template="RSYSLOG_SyslogProtocol23Format")
""")
    argv = [rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "rsyslog.pid")]
    with _running(argv, tmp_path / "rsyslog.log") as ended:
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
