"""Who sent it, for formats whose records carry flat labels or fields instead of an OTLP resource.

The rule (stated for users in docs/formats.md): the service is the first of the names in the topic's
`service:` list that has a value, or, without such a list, the first of the format's own; `instance`
and `env` likewise. What named the service or the instance is not repeated as a label; host, zone and
the like are copied into the context, where failure domains are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.decode.resource import UNKNOWN_SERVICE, origin
from streams.decode.rules import Rules
from streams.records.pages import Origin


class Usual(NamedTuple):
    """Where a format's records usually say who sent them: names in order of preference."""

    service: tuple[str, ...] = (
        "service.name",
        "service_name",
        "service",
        "app.kubernetes.io/name",
        "app_kubernetes_io_name",
        "app",
        "application",
        "app_name",
        "k8s.deployment.name",
        "deployment",
        "container_name",
        "container",
        "job",
        "host.name",
        "hostname",
        "host",
    )
    instance: tuple[str, ...] = (
        "service.instance.id",
        "pod",
        "pod_name",
        "k8s.pod.name",
        "instance",
        "host.name",
        "hostname",
        "host",
    )
    env: tuple[str, ...] = ("deployment.environment.name", "deployment.environment", "environment", "env")


CONTEXT = {
    "host.name": "host",
    "hostname": "host",
    "host": "host",
    "node": "host",
    "node_name": "host",
    "availability_zone": "zone",
    "az": "zone",
    "zone": "zone",
    "cloud.availability_zone": "zone",
    "region": "region",
    "cloud.region": "region",
    "cluster": "cluster",
    "cluster_name": "cluster",
    "k8s.cluster.name": "cluster",
    "datacenter": "datacenter",
    "dc": "datacenter",
    "rack": "rack",
    "version": "version",
    "service_version": "version",
    "service.version": "version",
    "namespace": "namespace",
    "kubernetes_namespace": "namespace",
    "k8s.namespace.name": "namespace",
}
"""label or field -> context label; an earlier one wins over a later one of the same label"""


class Sender(NamedTuple):
    """Who sent it, and the labels that are left to tell its series apart."""

    origin: Origin
    labels: dict[str, str]


def sender(labels: Mapping[str, str], rules: Rules, usual: Usual = Usual()) -> Sender:  # noqa: B008 - frozen
    """Origin of a record with these labels or fields; `UNKNOWN_SERVICE` if nothing names a service."""
    service, named_by = _first(labels, rules.service or usual.service)
    instance, instanced_by = _first(labels, rules.instance or usual.instance)
    env, _ = _first(labels, rules.env or usual.env)
    context: dict[str, str] = {}
    for name, label in CONTEXT.items():
        found = labels.get(name)
        if found:
            context.setdefault(label, found)
    if env:
        context["env"] = env
    context.update({name: labels[name] for name in rules.keep if labels.get(name)})
    left = {k: v for k, v in labels.items() if k not in (named_by, instanced_by)}
    return Sender(origin(service or UNKNOWN_SERVICE, instance, context), left)


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first value there is, and the name that had it (empty for a fixed `=text`)."""
    for name in names:
        if name.startswith("="):
            return name[1:], ""
        found = labels.get(name)
        if found:
            return found, name
    return "", ""
