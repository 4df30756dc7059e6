"""Texts of status updates, from templates: one for each audience and state of an incident.

`AUDIENCE/STATE.j2`: the first line is the title, the rest the text. What a template is given is written
down in `employees` and `customers` below. Customers' templates are given business words alone: names from
the catalogue and what is the matter, never services as telemetry names them, hosts, causes or people, so
that no template can give them away. Templates run in a sandbox, without clock or chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PackageLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.catalogue import Catalogue
from config.load import ConfigError
from config.updates import AUDIENCES, Updates
from correlator.incident import ServiceRole

STATES = ("open", "acknowledged", "mitigated", "resolved", "reopened", "closed")
MOST_TITLE = 300
MOST_TEXT = 8_000
"""characters of an update"""
MOST_NAMES = 6
"""services or business processes that are named"""
_FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""what a template that does not fit its values may end with"""
_EFFECTS = {
    "service disruption": ("Disruption", "may not be available as usual"),
    "performance degradation": ("Slow responses", "may be slower than usual"),
    "security incident": ("Disruption", "may not be available as usual"),
    "operational issue": ("Possible disruption", "may not work as usual"),
}
"""category -> what customers are told it is, and what it does"""


class Seen(msgspec.Struct, frozen=True):
    """What updates need to know of an incident version."""

    id: str
    version: int
    state: str
    title: str
    category: str
    severity: str
    priority: str
    started_at: int
    updated_at: int
    mitigated_at: int | None
    resolved_at: int | None
    closed_at: int | None
    acknowledged_by: str
    reopened: int
    services: tuple[ServiceRole, ...]
    active_ms: int
    owner: str = ""
    kind: str = "incident"
    cause: str = ""
    fix: str = ""


class Text(NamedTuple):
    title: str
    text: str


class Templates:
    """Checked once: what is wrong with a template stops the start, not an incident."""

    def __init__(self, settings: Updates) -> None:
        """Raises `ConfigError` naming file and line."""
        self._own = Path(settings.templates) if settings.templates else None
        if self._own is not None and not self._own.is_dir():
            raise ConfigError(
                f"updates.templates is {settings.templates!r}: expected a folder that can be read"
            )
        loaders: list[BaseLoader] = [PackageLoader("correlator", "updates")]
        if self._own is not None:
            self._strangers(self._own)
            loaders.insert(0, FileSystemLoader(self._own))
        self._standard = _environment(loaders[-1])
        self._environment = _environment(ChoiceLoader(loaders))
        for audience in AUDIENCES:
            for state in STATES:
                for values in _SAMPLES[audience]:
                    self._try(audience, state, values)

    def write(self, audience: str, state: str, values: Mapping[str, Any]) -> Text:
        """Deterministic: the same values give the same text. Where a template fails, Tocsin's own stands."""
        name = f"{audience}/{state}.j2"
        try:
            made = _rendered(self._environment, name, values)
        except _FAILURES:
            made = Text("", "")
        return made if made.title and made.text else _rendered(self._standard, name, values)

    def _try(self, audience: str, state: str, values: Mapping[str, Any]) -> None:
        file = f"{audience}/{state}.j2"
        where = str(self._own / file) if self._own and (self._own / file).exists() else file
        try:
            made = _rendered(self._environment, file, values)
        except _FAILURES as error:
            line = getattr(error, "lineno", None)
            at = f" line {line}" if line else ""
            known = ", ".join(sorted(values))
            raise ConfigError(
                f"updates.templates: {where}{at}: {error}: "
                f"expected a Jinja2 template that uses no more than {known}"
            ) from None
        if not made.title or not made.text:
            raise ConfigError(
                f"updates.templates: {where}: expected a title in the first line and a text below"
            )

    def _strangers(self, folder: Path) -> None:
        """A file that would never be used is a mistake of its name."""
        known = {f"{audience}/{state}.j2" for audience in AUDIENCES for state in STATES}
        for file in sorted(folder.rglob("*.j2")):
            name = file.relative_to(folder).as_posix()
            if name not in known:
                raise ConfigError(
                    f"updates.templates: {file}: expected a name such as {AUDIENCES[0]}/{STATES[0]}.j2 "
                    f"(audiences: {', '.join(AUDIENCES)}; states: {', '.join(STATES)})"
                )


@lru_cache(maxsize=8)
def templates_of(settings: Updates) -> Templates:
    """Loaded once for all partitions of a process. Raises `ConfigError`."""
    return Templates(settings)


def _environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text: whoever shows it as HTML escapes it
        cache_size=-1,
        auto_reload=False,
    )
    del made.filters["random"]
    made.globals.clear()  # lipsum is chance, and the others nobody needs
    return made


def _rendered(environment: ImmutableSandboxedEnvironment, name: str, values: Mapping[str, Any]) -> Text:
    whole = environment.get_template(name).render(values)
    title, _, text = whole.strip().partition("\n")
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return Text(_printable(title.strip())[:MOST_TITLE], _printable("\n".join(lines).strip())[:MOST_TEXT])


def values_for(audience: str, seen: Seen, catalogue: Catalogue) -> dict[str, Any]:
    return employees(seen, catalogue) if audience == "employees" else customers(seen, catalogue)


def employees(seen: Seen, catalogue: Catalogue) -> dict[str, Any]:
    """What templates for employees may use."""
    suspect = next((r.service for r in seen.services if r.role == "suspected cause"), "")
    return {
        "incident": seen.id,
        "title": _line(seen.title),
        "priority": seen.priority,
        "severity": seen.severity,
        "category": seen.category,
        "services": _few([_shown(r.service, catalogue) for r in seen.services]),
        "suspect": _shown(suspect, catalogue) if suspect else "",
        "owner": _line(seen.owner),
        "acknowledged_by": _line(seen.acknowledged_by),
        "cause": _line(seen.cause).rstrip("."),
        "fix": _line(seen.fix).rstrip("."),
        **_times(seen),
    }


def customers(seen: Seen, catalogue: Catalogue) -> dict[str, Any]:
    """What templates for customers may use: what they know our services by, and times."""
    names = _few(_business([r.service for r in seen.services], catalogue))
    effect, condition = _EFFECTS.get(seen.category, _EFFECTS["operational issue"])
    return {
        "what": _listed(names) or "some of our services",
        "names": names,
        "effect": effect,
        "condition": condition,
        **_times(seen),
    }


def _times(seen: Seen) -> dict[str, str]:
    return {
        "state": seen.state,
        "started": _utc(seen.started_at),
        "mitigated": _utc(seen.mitigated_at or seen.updated_at),
        "resolved": _utc(seen.resolved_at or seen.updated_at),
        "closed": _utc(seen.closed_at or seen.updated_at),
        "lasted": _lasted(seen.active_ms),
    }


def _business(services: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Business processes that need them; without any, the names they have for people."""
    entries = [entry for entry in map(catalogue.get, services) if entry is not None]
    processes = [_line(p) for entry in entries for p in entry.business.processes]
    internal = {name for entry in catalogue.services.values() for name in (entry.service, *entry.aliases)}
    names = [_line(entry.name) for entry in entries if entry.name]
    return [name for name in dict.fromkeys(processes or names) if name and name not in internal]


def _shown(service: str, catalogue: Catalogue) -> str:
    entry = catalogue.get(service)
    return _line(entry.name) if entry is not None and entry.name else _line(service)


def _few(names: Sequence[str]) -> list[str]:
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - MOST_NAMES
    return distinct if more <= 0 else [*distinct[:MOST_NAMES], f"{more} more"]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _lasted(ms: int) -> str:
    minutes = max(1, round(ms / 60_000))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (minutes if not days else 0, "minute")]
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in parts if n) or "1 minute"


def _line(text: str) -> str:
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _sample(**more: Any) -> Seen:
    plain: dict[str, Any] = {
        "id": "0" * 16, "version": 1, "state": "open", "title": "title", "category": "service disruption",
        "severity": "error", "priority": "P2", "started_at": 0, "updated_at": 0, "mitigated_at": None,
        "resolved_at": None, "closed_at": None, "acknowledged_by": "", "reopened": 0,
        "services": (), "active_ms": 0,
    }  # fmt: skip
    return Seen(**{**plain, **more})


_FULL = _sample(
    services=(ServiceRole("a", "suspected cause"), ServiceRole("b", "affected")),
    acknowledged_by="ann", owner="team", cause="cause", fix="fix",
)  # fmt: skip
_SAMPLES = {
    audience: tuple(values_for(audience, seen, Catalogue()) for seen in (_sample(), _FULL))
    for audience in AUDIENCES
}
"""what templates are tried with at the start: incidents of which little and much is known"""
