"""The service catalogue: who owns what, how much it matters, what it needs; see docs/catalogue.md.

Read by `config.catalogue_files`. A dependency on a service that is not in it is fine, and so is a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

Tier = Annotated[int, Meta(ge=1, le=4)]
MOST_SERVICES = 100_000
MOST_CHARS = 300
"""of a name"""

Call = tuple[str, str]
"""caller, callee"""


class Business(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What hangs on a service, in the words of the business."""

    impact: Literal["", "low", "medium", "high"] = ""
    """of an outage"""
    processes: tuple[str, ...] = ()
    """business processes that need it"""
    customers: tuple[str, ...] = ()
    """who is affected; segments or names"""
    users: Annotated[int, Meta(ge=0)] | None = None
    """people affected when it is down"""
    customer_base: Annotated[int, Meta(ge=1)] | None = None
    """all customers there are; what `users` is a share of"""
    partners: tuple[str, ...] = ()
    """financial partners and other companies that depend on it"""
    transactions_per_minute: Annotated[float, Meta(ge=0)] | None = None
    """on a usual day"""
    revenue_per_minute: Annotated[float, Meta(ge=0)] | None = None
    """that is lost while it is down, in whatever currency you count"""
    payments: bool = False
    """payments are late when it is down"""
    regulated: tuple[Literal["gdpr", "nis2", "dora"], ...] = ()
    """rules with a duty to report that an outage or a breach of it may fall under"""


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One service. `service` is its name in telemetry; everything else may be left out."""

    service: str
    name: str = ""
    """for people"""
    aliases: tuple[str, ...] = ()
    """other names that telemetry uses for it"""
    owner: str = ""
    contacts: tuple[str, ...] = ()
    """where to reach the owner: a channel, an address, a number"""
    escalation: str = ""
    """policy or rota that is asked next"""
    tier: Tier | None = None
    """1 matters most"""
    depends_on: tuple[str, ...] = ()
    application: str = ""
    environment: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """failure domains: host, zone, cluster, deployment, ..., named as telemetry names them"""
    runbook: str = ""
    links: dict[str, str] = msgspec.field(default_factory=dict)
    """dashboards and the like: title -> address"""
    containment: tuple[str, ...] = ()
    """what may limit the damage, a step each: switch traffic, turn off a feature, roll back"""
    business: Business = Business()


class Problem(NamedTuple):
    """Something wrong with an entry, and which part of it."""

    service: str
    key: str
    value: str
    expected: str


class Catalogue:
    """All entries, found by name or alias, and the calls they declare. Does not change."""

    def __init__(self, services: Iterable[Service] = (), calls: Iterable[Call] = ()) -> None:
        """`calls`: declared without an entry. Names that stand for several services: the first has them."""
        self.services: dict[str, Service] = {}
        self._names: dict[str, str] = {}
        for one in services:
            self.services.setdefault(one.service, one)
        for one in self.services.values():
            for alias in one.aliases:
                self._names.setdefault(alias, one.service)
        named = (
            *((one.service, callee) for one in self.services.values() for callee in one.depends_on),
            *calls,
        )
        canonical = self.canonical
        self.calls: tuple[Call, ...] = tuple(
            sorted({(canonical(a), canonical(b)) for a, b in named if canonical(a) != canonical(b)})
        )

    def __bool__(self) -> bool:
        return bool(self.services or self.calls)

    def canonical(self, name: str) -> str:
        """The service's own name; one that is nobody's alias stands for itself."""
        return name if name in self.services else self._names.get(name, name)

    def get(self, name: str) -> Service | None:
        """The entry of a service, by name or alias."""
        return self.services.get(self.canonical(name))

    def with_calls(self, calls: Iterable[Call]) -> Catalogue:
        """The same, with more declared calls."""
        return Catalogue(self.services.values(), (*self.calls, *calls))

    def unknown(self) -> dict[str, list[str]]:
        """Services that others depend on and that have no entry, with those that do."""
        found: dict[str, list[str]] = {}
        for caller, callee in self.calls:
            if callee not in self.services and caller in self.services:
                found.setdefault(callee, []).append(caller)
        return {name: found[name] for name in sorted(found)}

    def problems(self, given: Iterable[Service]) -> Iterator[tuple[int, Problem]]:
        """What the types cannot say of the entries as they were given, each with its place among them."""
        owners: dict[str, int] = {}
        for place, one in enumerate(given):
            for problem in _of(one):
                yield place, problem
            if one.service in owners:
                yield place, Problem(one.service, "service", one.service, "a service that is named only once")
            owners.setdefault(one.service, place)
            for name in one.aliases:
                if self.services.get(name) or self._names.get(name) != one.service:
                    other = self.canonical(name)
                    yield (
                        place,
                        Problem(one.service, "aliases", name, f"no name of another service ({other})"),
                    )


def _of(one: Service) -> Iterator[Problem]:
    def wrong(key: str, value: str, expected: str) -> Problem:
        return Problem(one.service, key, value, expected)

    words: tuple[tuple[str, Iterable[str]], ...] = (
        ("service", [one.service]),
        ("aliases", one.aliases),
        ("depends_on", one.depends_on),
        ("contacts", one.contacts),
        ("labels", [text for pair in one.labels.items() for text in pair]),
        ("links", one.links),
        ("business.processes", one.business.processes),
        ("business.customers", one.business.customers),
        ("business.partners", one.business.partners),
        ("containment", one.containment),
    )
    for key, texts in words:
        for text in texts:
            if not text.strip() or len(text) > MOST_CHARS or not text.isprintable():
                yield wrong(key, text, f"a name of at most {MOST_CHARS} printable characters")
    for key, text in (("name", one.name), ("owner", one.owner), ("application", one.application),
                      ("environment", one.environment), ("escalation", one.escalation)):  # fmt: skip
        if len(text) > MOST_CHARS or not text.isprintable():
            yield wrong(key, text, f"at most {MOST_CHARS} printable characters")
    for key, urls in (("runbook", [one.runbook] if one.runbook else []), ("links", one.links.values())):
        for url in urls:
            if not url.startswith(("http://", "https://")) or len(url) > 2_000 or not url.isprintable():
                yield wrong(key, url, "an address that begins with http:// or https://")
    for name in one.depends_on:
        if name == one.service or name in one.aliases:
            yield wrong("depends_on", name, "another service than itself")


def cycles(calls: Iterable[Call]) -> list[tuple[str, ...]]:
    """Groups of services that all depend on each other, each sorted; those of one part are one group.

    Tarjan's strongly connected components, without recursion.
    """
    down: dict[str, list[str]] = {}
    for caller, callee in sorted(set(calls)):
        down.setdefault(caller, []).append(callee)
    seen: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    found: list[tuple[str, ...]] = []
    for root in down:
        if root in seen:
            continue
        way: list[tuple[str, Iterator[str]]] = []
        _enter(root, seen, low, open_, way, down)
        while way:
            name, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                if way:
                    low[way[-1][0]] = min(low[way[-1][0]], low[name])
                if low[name] == seen[name]:
                    group: list[str] = []
                    while not group or group[-1] != name:
                        group.append(open_.popitem()[0])
                    if len(group) > 1:
                        found.append(tuple(sorted(group)))
            elif following not in seen:
                _enter(following, seen, low, open_, way, down)
            elif following in open_:
                low[name] = min(low[name], seen[following])
    return sorted(found)


def _enter(
    name: str,
    seen: dict[str, int],
    low: dict[str, int],
    open_: dict[str, None],
    way: list[tuple[str, Iterator[str]]],
    down: Mapping[str, list[str]],
) -> None:
    seen[name] = low[name] = len(seen)
    open_[name] = None
    way.append((name, iter(down.get(name, ()))))
