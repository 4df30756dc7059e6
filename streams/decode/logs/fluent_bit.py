"""Fluent Bit's JSON: `{"@timestamp":1724318400.123456,"log":…,"kubernetes":{…}}`, also in arrays."""

from __future__ import annotations

from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.shape import Shape
from streams.decode.look import Fields, Look
from streams.decode.senders import Usual

NAME = "fluent-bit"

SHAPE = Shape(
    NAME,
    time=("@timestamp", "date", "timestamp", "time", "_SOURCE_REALTIME_TIMESTAMP"),
    message=("log", "message", "msg", "MESSAGE", "event"),
    sent_by=(
        *("service", "service_name", "service.name", "app", "kubernetes", "container_name", "container_id"),
        *("ident", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "hostname", "host", "_HOSTNAME"),
        *("environment", "env", "cluster", "cluster_name", "region", "az"),
    ),
    usual=Usual(
        service=(
            *("service.name", "service_name", "service", "app"),
            *("kubernetes.labels.app.kubernetes.io/name", "kubernetes.labels.app_kubernetes_io/name"),
            *("kubernetes.labels.app", "kubernetes.labels.k8s-app", "kubernetes.container_name"),
            *("container_name", "ident", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT"),
            *("hostname", "host", "_HOSTNAME"),
        ),
        instance=("kubernetes.pod_name", "container_id", "hostname", "host", "_HOSTNAME"),
        env=("environment", "env", "kubernetes.labels.environment", "kubernetes.labels.env"),
    ),
    context=(
        ("kubernetes.host", "node"),
        ("kubernetes.namespace_name", "k8s.namespace.name"),
        ("kubernetes.labels.app.kubernetes.io/version", "version"),
        ("kubernetes.labels.version", "version"),
        ("_HOSTNAME", "host"),
    ),
)

decode = JsonLog(SHAPE).decode

_OTHERS = frozenset(
    ("@metadata", "ecs", "ecs.version", "@version", "syslog-tag", "short_message", "source_type")
)
_TIMES = ("@timestamp", "date")
_MESSAGES = frozenset(("log", "kubernetes", "MESSAGE"))


def claims(look: Look) -> bool:
    """A time under one of its keys, as a number or beside `log`, and no mark of another producer."""
    first = look.object if look.object is not None else next(iter(look.array or ()), None)
    return first is not None and looks_like(first)


def looks_like(fields: Fields) -> bool:
    """Whether one JSON object is a record of Fluent Bit."""
    keys = fields.keys()
    if keys & _OTHERS:
        return False
    time = next((fields[name] for name in _TIMES if name in keys), None)
    if time is None:
        return False
    epoch = bytes(time).lstrip()[:1].isdigit()
    return bool(keys & _MESSAGES) or (epoch and "message" in keys)
