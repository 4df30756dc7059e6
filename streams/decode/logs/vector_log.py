"""Vector's log JSON: `{"file":…,"host":…,"message":…,"source_type":"file","timestamp":…}`."""

from __future__ import annotations

from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.shape import SEVERITY, Shape
from streams.decode.senders import Usual

SHAPE = Shape(
    "vector",
    time=("timestamp", "@timestamp"),
    message=("message", "msg"),
    sent_by=(
        *("service", "service_name", "app", "appname", "kubernetes", "container_name", "container_id"),
        *("host", "hostname", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "environment", "env"),
    ),
    usual=Usual(
        service=(
            *("service.name", "service_name", "service", "app", "appname"),
            *("kubernetes.pod_labels.app.kubernetes.io/name", "kubernetes.pod_labels.app"),
            *("kubernetes.container_name", "container_name", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT"),
            *("host", "hostname"),
        ),
        instance=("kubernetes.pod_name", "container_id", "host", "hostname"),
        env=("environment", "env"),
    ),
    context=(
        ("kubernetes.pod_node_name", "node"),
        ("kubernetes.pod_namespace", "k8s.namespace.name"),
    ),
    severity=SEVERITY,
)

LOGS = JsonLog(SHAPE)
