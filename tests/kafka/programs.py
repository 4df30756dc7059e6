"""Programs other people wrote, started as in production: where they are, and their configurations."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

Ended = Callable[[], str | None]
"""why a program ended, or None"""

COLLECTD_PLUGIN = Path("/usr/lib/collectd/write_kafka.so")
RSYSLOG_PLUGINS = (Path("/usr/lib/x86_64-linux-gnu/rsyslog/omkafka.so"), Path("/usr/lib/rsyslog/omkafka.so"))
COLLECTOR = Path(__file__).parent / "collector"


def program(name: str, package: str) -> str:
    """Path of an installed program, also from sbin; skips the test when it is not installed."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install -y {package}")
    return path


def needs(*any_of: Path, package: str) -> None:
    """Skip the test when none of the files, a program's plugin, is there."""
    if not any(path.exists() for path in any_of):
        pytest.skip(f"{any_of[0]} is missing: apt-get install -y {package}")


def collector() -> str:
    """Path of the Collector that collector/build.sh makes; skips the test when it was not made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(cache.glob("tocsin/collector-*/otelcol-test"))
    if not found:
        pytest.skip(
            "no OpenTelemetry Collector here: tests/kafka/collector/build.sh (Go, a few minutes, once)"
        )
    return str(found[-1])


@contextmanager
def running(argv: Sequence[str], log: Path) -> Iterator[Ended]:
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


def collectd_config(folder: Path, kafka: str, topics: Sequence[str]) -> str:
    """Load and CPU of a host named shop-1, every second, rates stored as by default."""
    blocks = "\n".join(f'  <Topic "{topic}">\n    Format JSON\n  </Topic>' for topic in topics)
    return f"""
Hostname "shop-1"
FQDNLookup false
Interval 1
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
PluginDir "{COLLECTD_PLUGIN.parent}"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin load
LoadPlugin cpu
LoadPlugin write_kafka
<Plugin cpu>
  ReportByCpu false
</Plugin>
<Plugin write_kafka>
  Property "metadata.broker.list" "{kafka}"
{blocks}
</Plugin>
"""


JSON_TEMPLATE = r"""
template(name="json" type="list" option.jsonf="on") {
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="severity" name="syslogseverity-text" caseConversion="upper" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="syslog-tag" name="syslogtag" format="jsonf")
  property(outname="source" name="app-name" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}
"""


def rsyslog_config(folder: Path, source: Path, kafka: str, topics: Sequence[tuple[str, str]]) -> str:
    """Lines of `source` as a service named checkout; `topics` with their template, empty for the default."""
    host, _, port = kafka.partition(":")
    actions = "\n".join(
        f'action(type="omkafka" broker=["{host}:{port}"] topic="{topic}"'
        + (f' template="{template}")' if template else ")")
        for topic, template in topics
    )
    return f"""
global(workDirectory="{folder}" localHostname="shop-1")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omkafka")
{JSON_TEMPLATE}
input(type="imfile" file="{source}" tag="checkout:" severity="warning" facility="local0")
{actions}
"""


def collector_config(otlp: str, kafka: str, exporters: Sequence[tuple[str, str]]) -> str:
    """OTLP over HTTP at `otlp`; an exporter for each (topic, encoding), which takes all three signals."""
    blocks, names = "", []
    for number, (topic, encoding) in enumerate(exporters):
        names.append(f"kafka/{number}")
        blocks += f'  kafka/{number}:\n    brokers: ["{kafka}"]\n'
        for signal in ("metrics", "logs", "traces"):
            blocks += f"    {signal}: {{topic: {topic}, encoding: {encoding}}}\n"
    to = ", ".join(names)
    return f"""
receivers:
  otlp:
    protocols:
      http:
        endpoint: {otlp}
exporters:
{blocks}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [{to}]}}
    logs: {{receivers: [otlp], exporters: [{to}]}}
    traces: {{receivers: [otlp], exporters: [{to}]}}
"""


def prometheus_configs(folder: Path, target: str, alertmanager: str, remote_write: str) -> Path:
    """Scrapes the checkout service at `target` every second; one rule. Returns the configuration's path."""
    (folder / "rules.yml").write_text("""
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: HighErrorRatio
        expr: shop_error_ratio > 0.1
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.service }}: {{ $value }} of requests fail"}
""")
    config = folder / "prometheus.yml"
    config.write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{folder}/rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: checkout
    static_configs: [{{targets: ["{target}"], labels: {{service: checkout}}}}]
remote_write: [{{url: "{remote_write}", queue_config: {{batch_send_deadline: 1s}}}}]
""")
    return config


def alertmanager_config(folder: Path, *hooks: str) -> Path:
    """These webhooks are told at once. Returns the configuration's path."""
    config = folder / "alertmanager.yml"
    told = ", ".join(f'{{url: "{hook}", send_resolved: true}}' for hook in hooks)
    config.write_text(f"""
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{told}]
""")
    return config
