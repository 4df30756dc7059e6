"""Who sent it: the owning service, the instance and the failure-domain context of a resource.

The rules (stated for users in docs/formats.md):

service    `service.name`, unless it is missing or the SDK's `unknown_service…`; then the first of
           `FALLBACKS`; then `unknown_service…` itself, then "unknown".
instance   `service.instance.id`, unless it is a random UUID (a new one after each restart would make
           every series a new series); then `k8s.pod.name`; then `host.name`; then none.
context    `CONTEXT`, plus labels kept under their own name because the settings ask for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from streams.decode.rules import Rules
from streams.decode.units import ucum
from streams.records.digest import digest_hex, fingerprint
from streams.records.pages import Kind, Origin, Series

Labels = tuple[tuple[str, str], ...]

UNKNOWN_SERVICE = "unknown"

FALLBACKS = (
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.container.name",
    "container.name",
    "faas.name",
    "process.executable.name",
    "host.name",
)

CONTEXT = {
    "host.name": "host",
    "cloud.availability_zone": "zone",
    "cloud.region": "region",
    "k8s.cluster.name": "cluster",
    "deployment.environment": "env",
    "deployment.environment.name": "env",
    "service.version": "version",
    "k8s.namespace.name": "namespace",
    "service.namespace": "namespace",
}
"""resource attribute -> context label; a later one wins over an earlier one of the same label"""

MAX_CONTEXT = 16
"""context labels kept of one sender, in order of their names"""
MAX_VALUE = 200
"""characters of a label value; a longer one is cut and gets its digest, so that it stays distinct"""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def resolve(attributes: Mapping[str, str], rules: Rules = Rules()) -> Origin:  # noqa: B008 - frozen
    """Origin of a resource with these attributes. A topic's own rules come before ours."""
    service = _named(attributes, rules.service) or attributes.get("service.name", "")
    if not service or service.startswith("unknown_service"):
        named = (attributes.get(name) for name in FALLBACKS)
        service = next(filter(None, named), service or UNKNOWN_SERVICE)
    instance = _named(attributes, rules.instance) or attributes.get("service.instance.id", "")
    if not instance or _UUID.fullmatch(instance):
        instance = attributes.get("k8s.pod.name") or attributes.get("host.name") or ""
    context = {label: attributes[name] for name, label in CONTEXT.items() if attributes.get(name)}
    env = _named(attributes, rules.env)
    if env:
        context["env"] = env
    context.update({name: attributes[name] for name in rules.keep if attributes.get(name)})
    return origin(service, instance, context)


def _named(attributes: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first of these that there is; `=text` is the text itself."""
    found = (name[1:] if name.startswith("=") else attributes.get(name, "") for name in names)
    return next(filter(None, found), "")


def origin(service: str, instance: str, context: Mapping[str, str]) -> Origin:
    """An origin with everything cut to its bounds."""
    kept = sorted(context.items())[:MAX_CONTEXT]
    return Origin(clip(service), clip(instance), tuple((clip(k), clip(v)) for k, v in kept))


def series(
    sender: Origin,
    metric: str,
    labels: Iterable[tuple[str, str]],
    unit: str,
    kind: Kind,
    max_labels: int,
    bounds: tuple[float, ...] = (),
) -> Series:
    """The series' description, its unit in one spelling (`units`). Labels beyond `max_labels` (in order of
    their names) are left out."""
    named = {clip(key): clip(value) for key, value in labels}
    if sender.instance:
        named.setdefault("instance", sender.instance)
    kept = tuple(sorted(named.items())[:max_labels])
    name = clip(metric)
    return Series(
        fingerprint(sender.service, name, kept),
        sender.service,
        name,
        kept,
        ucum(unit)[:MAX_VALUE],
        kind,
        bounds,
        sender.resource,
    )


def clip(text: str) -> str:
    """Texts of ordinary length as they are; longer ones cut, with a digest that keeps them apart."""
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[: MAX_VALUE - 17]}~{digest_hex(text)}"
