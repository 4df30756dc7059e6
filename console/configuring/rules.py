"""Rules of the settings file as sections of a page: key, what they apply to, what they say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from config.matchers import parse, quoted
from config.settings import Settings
from config.shown import as_yaml, item
from config.suppression import Maintenance
from correlator.silencing import over_services

NAMED, GENERAL = "names it", "names no service"


class Rule(NamedTuple):
    """One entry of the file. Secrets are replaced in `text`."""

    key: str
    """where it stands: detect.rules[3]"""
    name: str
    matchers: tuple[str, ...]
    text: str
    """the rest of it, as in the file"""


class Section(NamedTuple):
    """Entries of one kind."""

    id: str
    title: str
    key: str
    about: str
    rules: list[Rule]


def sections(settings: Settings) -> list[Section]:
    """All of them, empty ones too, so that one sees which key would hold some."""
    detect, correlate, respond = settings.detect, settings.correlate, settings.respond
    flap = correlate.flap
    sla = [
        Rule(f"respond.sla.{severity}", severity, (f'severity="{severity}"',), as_yaml(item(target)))
        for severity, target in respond.sla.items()
    ]
    return [
        Section(
            "detect",
            "Detection rules",
            "detect.rules",
            "what holds for the series their matchers fit; of several, the later ones win key by key",
            _rules("detect.rules", detect.rules, ("matchers",)),
        ),
        Section(
            "slos",
            "Service level objectives",
            "detect.slos",
            "burn rates that are watched",
            _rules("detect.slos", detect.slos, ("total", "bad", "good", "error_ratio")),
        ),
        Section(
            "patterns",
            "Log patterns",
            "logs.patterns",
            "what is looked for in log lines",
            _rules("logs.patterns", settings.logs.patterns, ("matchers",)),
        ),
        Section(
            "maintenance",
            "Maintenance windows",
            "correlate.maintenance",
            "planned work that holds alerts back",
            [
                rule._replace(matchers=scope_of(window))
                for rule, window in zip(
                    _rules("correlate.maintenance", correlate.maintenance, ()),
                    correlate.maintenance,
                    strict=True,
                )
            ],
        ),
        Section(
            "silences",
            "Silences of the file",
            "correlate.silences",
            "alerts that are held back",
            _rules("correlate.silences", correlate.silences, ("matchers",)),
        ),
        Section(
            "inhibit",
            "Inhibition",
            "correlate.inhibit",
            "while a source fires, its targets are held back",
            _rules("correlate.inhibit", correlate.inhibit, ("source", "target")),
        ),
        Section(
            "dedup",
            "Deduplication",
            "correlate.dedup",
            "alerts that say the same: the first speaks for the others",
            _rules("correlate.dedup", correlate.dedup, ("matchers",)),
        ),
        Section(
            "flap",
            "Flapping",
            "correlate.flap",
            "a series whose alerts come and go stays one alert",
            [Rule("correlate.flap", "flap", (), as_yaml(msgspec.to_builtins(flap)))],
        ),
        Section(
            "routes",
            "Routes",
            "respond.routes",
            "whose an incident is; the first that fits decides",
            _rules("respond.routes", respond.routes, ("matchers",)),
        ),
        Section(
            "policies",
            "Escalation policies",
            "respond.policies",
            "who is asked, and when the next tier is",
            _rules("respond.policies", respond.policies, ()),
        ),
        Section("sla", "Service level targets", "respond.sla", "deadlines by severity", sla),
        Section(
            "notices",
            "Customer notices",
            "respond.customer_notices",
            "contracts that say within what time customers are told",
            _rules("respond.customer_notices", respond.customer_notices, ("matchers",)),
        ),
        Section(
            "targets",
            "Targets",
            "notify.targets",
            "who is told of incidents; secrets are never shown, only where they are found",
            _rules("notify.targets", settings.notify.targets, ("matchers",), bare=True),
        ),
    ]


class Applying(NamedTuple):
    """Rules that may concern a service."""

    named: list[Rule]
    """those whose matchers name it"""
    general: int
    """those that name no service"""


def of_service(settings: Settings, service: str) -> Applying:
    """Rules by what they say of `service` alone: other matchers may still rule an alert out."""
    found: list[Rule] = []
    general = 0
    for section in sections(settings):
        if section.id in ("policies", "sla", "flap"):
            continue
        for rule in section.rules:
            slo = settings.detect.slos[_place(rule.key)] if section.id == "slos" else None
            if slo is not None and slo.service:
                fits = NAMED if slo.service == service else ""
            else:
                fits = says_of(rule.matchers, service)
            if fits == NAMED:
                found.append(rule)
            general += fits == GENERAL
    return Applying(found, general)


def scope_of(window: Maintenance) -> tuple[str, ...]:
    """What a maintenance window holds back, as matchers would say it."""
    found = [over_services(window.services)] if window.services else []
    if window.domains:
        found.append(over_services(window.domains, "domain"))
    return (*found, *(f"{label}={quoted(value)}" for label, value in window.labels.items()))


def says_of(matchers: Iterable[str], service: str) -> str:
    """`NAMED`, `GENERAL`, or empty: they do not hold for any alert of the service."""
    parsed = [one for one in map(parse, matchers) if one.name == "service"]
    if not parsed:
        return GENERAL
    return NAMED if all(one.matches(service) for one in parsed) else ""


def _place(key: str) -> int:
    return int(key.rpartition("[")[2].rstrip("]"))


def _rules(key: str, given: Sequence[Any], matching: Sequence[str], *, bare: bool = False) -> list[Rule]:
    found = []
    for i, one in enumerate(given):
        said = item(one, bare=bare)
        name = str(said.pop("name", said.get("team", "")))
        matchers = tuple(_texts(said, matching))
        found.append(Rule(f"{key}[{i}]", name, matchers, as_yaml(said)))
    return found


def _texts(said: dict[str, Any], matching: Sequence[str]) -> Iterator[str]:
    """Matchers in their own column; where there are several kinds they stay in the text, too."""
    for name in matching:
        texts = said.pop(name, ()) if len(matching) == 1 else said.get(name, ())
        yield from texts
