"""What the service catalogue adds to what telemetry says: one name for each service, and what is known of it.

Facts are looked up when their time has come, so that everything after that sees the service's own name. An
alert's own labels win over the catalogue's, also where they name the same thing by another word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from config.catalogue import Catalogue, Service
from correlator.incident import ServiceRole
from detectors.alert import Alert
from streams.records.messages import ADDRESSES, Change, Edges
from streams.records.peers import host_names

SAME = (
    ("host", "host.name", "k8s.node.name"),
    ("deployment", "k8s.deployment.name"),
    ("cluster", "k8s.cluster.name"),
    ("zone", "cloud.availability_zone"),
    ("datacentre", "datacenter"),
    ("environment", "env"),
)
"""labels that name the same thing"""
_WORDS = {word: words for words in SAME for word in words}
MOST_REMEMBERED = 20_000

Pairs = tuple[tuple[str, str], ...]


class Directory:
    """The catalogue as the correlator asks it."""

    def __init__(self, catalogue: Catalogue, domain_label: str = "") -> None:
        """`domain_label` names the correlation domain, which is the alert's own affair."""
        self.catalogue = catalogue
        self._domain_label = domain_label
        self._labels = {name: self._labels_of(one) for name, one in catalogue.services.items()}
        self._completed: dict[tuple[str, Pairs, Pairs], Pairs] = {}

    def alert(self, alert: Alert) -> Alert:
        """Under the service's own name, with the labels it does not carry itself."""
        name = self.catalogue.canonical(alert.service)
        labels = self._labels.get(name)
        if labels is None:
            return alert
        resource = self._complete(name, labels, alert)
        if resource is alert.resource and name == alert.service:
            return alert
        return msgspec.structs.replace(alert, service=name, resource=resource)

    def edges(self, edges: Edges) -> Edges:
        """Under the services' own names, as far as the catalogue knows them."""
        if not self.catalogue.services:
            return edges
        canonical = self.catalogue.canonical
        callee = self._by_address if edges.source == ADDRESSES else canonical
        renamed = tuple(
            msgspec.structs.replace(edge, caller=canonical(edge.caller), callee=callee(edge.callee))
            for edge in edges.edges
        )
        services = tuple(map(canonical, edges.services))
        return msgspec.structs.replace(edges, edges=renamed, services=services)

    def change(self, change: Change) -> Change:
        """Under the service's own name."""
        name = self.catalogue.canonical(change.service)
        return change if name == change.service else msgspec.structs.replace(change, service=name)

    def entries(self, services: Iterable[str]) -> list[Service]:
        """What is known of these services, in order of their names."""
        known = self.catalogue.services
        return [known[name] for name in sorted(services) if name in known] if known else []

    def owner(self, service: str) -> str:
        """Who owns it, or nothing."""
        found = self.catalogue.services.get(service)
        return found.owner if found is not None else ""

    def role(self, service: str, role: str, suspected: bool) -> ServiceRole:
        """Its part in an incident. The suspected cause comes with its links."""
        found = self.catalogue.services.get(service)
        if found is None:
            return ServiceRole(service, role)
        links = tuple(found.links.items()) if suspected else ()
        return ServiceRole(service, role, found.owner, found.tier or 0, found.runbook, links)

    def _by_address(self, address: str) -> str:
        """The service that an address names, or the address."""
        for name in host_names(address):
            if self.catalogue.get(name) is not None:
                return self.catalogue.canonical(name)
        return address

    def _labels_of(self, one: Service) -> Mapping[str, str]:
        own = {
            "owner": one.owner,
            "tier": str(one.tier) if one.tier else "",
            "application": one.application,
            "environment": one.environment,
        }
        labels = {**{key: value for key, value in own.items() if value}, **one.labels}
        labels.pop(self._domain_label, None)
        return labels

    def _complete(self, name: str, labels: Mapping[str, str], alert: Alert) -> Pairs:
        key = (name, alert.labels, alert.resource)
        found = self._completed.get(key)
        if found is None:
            carried = {k for k, _ in (*alert.labels, *alert.resource)}
            more = [pair for pair in labels.items() if carried.isdisjoint(_WORDS.get(pair[0], (pair[0],)))]
            found = tuple(sorted((*alert.resource, *more))) if more else alert.resource
            if len(self._completed) >= MOST_REMEMBERED:
                self._completed.clear()
            self._completed[key] = found
        return found
