"""Elastic's JSON: Filebeat's Kafka output, the ECS loggers, Logstash's encoders. Nested or dotted names."""

from __future__ import annotations

from typing import Any

from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.shape import SEVERITY, STACK, Shape
from streams.decode.look import Look
from streams.decode.otlp import RowFault
from streams.decode.senders import Usual

NAME = "filebeat"


def _no_metrics(fields: dict[str, Any]) -> None:
    """Raises `RowFault` for a document without a message that Metricbeat wrote."""
    wrote = fields.get("@metadata")
    beat = wrote.get("beat") if isinstance(wrote, dict) else ""
    if beat == "metricbeat" or "metricset" in fields or "metricset.name" in fields:
        raise RowFault("a document of Metricbeat, which has no message; this format reads logs")
    if beat:
        raise RowFault(f"a document of {str(beat)[:40]} without a message")


SHAPE = Shape(
    NAME,
    time=("@timestamp",),
    message=("message", "event.original", "error.message"),
    sent_by=(
        *("service", "service.name", "service.environment", "service.version", "service.node.name"),
        *("kubernetes", "container", "host", "host.name", "host.hostname", "agent", "beat", "cloud"),
        *("orchestrator", "fields", "docker", "labels", "application", "app", "appname"),
    ),
    usual=Usual(
        service=(
            *("service.name", "service", "fields.service.name", "fields.service", "fields.app"),
            *("fields.app_name", "fields.application"),
            *("kubernetes.labels.app_kubernetes_io/name", "kubernetes.labels.app.kubernetes.io/name"),
            *("kubernetes.labels.app", "kubernetes.labels.k8s-app", "kubernetes.deployment.name"),
            *("kubernetes.statefulset.name", "kubernetes.daemonset.name", "kubernetes.cronjob.name"),
            *("kubernetes.container.name", "container.name", "application", "app", "appname"),
            *("host.name", "host.hostname", "host", "agent.name", "beat.name"),
        ),
        instance=(
            *("service.node.name", "kubernetes.pod.name", "container.name"),
            *("host.name", "host.hostname", "host", "agent.name", "beat.hostname"),
        ),
        env=("service.environment", "fields.environment", "fields.env", "labels.env", "labels.environment"),
    ),
    context=(
        ("kubernetes.node.name", "node"),
        ("kubernetes.namespace", "k8s.namespace.name"),
        ("orchestrator.cluster.name", "k8s.cluster.name"),
    ),
    severity=("log.level", *SEVERITY, "log.syslog.severity.name", "log.syslog.severity.code"),
    stack=("error.stack_trace", *STACK),
    check=_no_metrics,
)

decode = JsonLog(SHAPE).decode


def claims(look: Look) -> bool:
    """`@timestamp`, and what only Elastic's producers write beside it."""
    keys = look.keys
    if "@timestamp" not in keys or {"short_message", "host"} <= keys or "syslog-tag" in keys:
        return False
    return bool(keys & {"@metadata", "ecs", "ecs.version", "@version"})
