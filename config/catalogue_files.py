"""Reading catalogue files: Tocsin's own form, Backstage's catalog-info.yaml, and lists of calls.

A file holds one document or several; a document is `services: [...]`, a list of services, one service, a
Backstage entity, or a list of `{caller, callee}`. Everything that is wrong is said with its file and line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from config.catalogue import MOST_SERVICES, Business, Call, Catalogue, Service, cycles
from config.documents import Document, DocumentError, Place, documents, without_collector
from config.load import ConfigError
from config.settings import Settings

SUFFIXES = (".yaml", ".yml", ".json")
PREFIX = "tocsin.io/"
"""Backstage annotations with what Backstage has no field for: tier, runbook, aliases, escalation"""
ENTITIES = ("Component", "Resource", "API")
"""kinds of Backstage entities that are services to us; the others are passed over"""

EXPECTED = {
    "tier": "1, 2, 3 or 4",
    "aliases": "a list of names",
    "contacts": "a list of texts",
    "depends_on": "a list of services",
    "labels": "texts by name; put numbers in quotes",
    "links": "addresses by title",
    "business": "a mapping with " + ", ".join(Business.__struct_fields__),
    "impact": "low, medium or high",
    "processes": "a list of texts",
    "customers": "a list of texts",
    "users": "a whole number, not negative",
    "regulated": "a list of gdpr, nis2 and dora",
}
"""key -> what is expected, where it is no plain text"""

_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")


class Entry(NamedTuple):
    """A service as it was read, and where it stands."""

    service: Service
    file: str
    document: Document
    place: Place


class Reading:
    """What came of some files."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.entries: list[Entry] = []
        """while it is read"""
        self.calls: list[Call] = []
        self.catalogue = Catalogue()

    def wrong(self, file: str, line: int, text: str) -> None:
        self.errors.append(f"{file}:{line}: {text}" if line else f"{file}: {text}")


@without_collector()
def read(paths: Iterable[Path | str]) -> Reading:
    """Read files and folders (all .yaml, .yml and .json in them, sorted)."""
    reading = Reading()
    for path in map(Path, paths):
        if not path.is_dir():
            _file(reading, path)
            continue
        inside = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
        if not inside:
            reading.wrong(str(path), 0, f"expected files ending in {', '.join(SUFFIXES)} in this folder")
        for one in inside:
            _file(reading, one)
    if len(reading.entries) > MOST_SERVICES:
        reading.errors.append(f"{len(reading.entries)} services: expected at most {MOST_SERVICES}")
        return reading
    given = [entry.service for entry in reading.entries]
    catalogue = reading.catalogue = Catalogue(given, reading.calls)
    for place, problem in catalogue.problems(given):
        entry = reading.entries[place]
        top, _, rest = problem.key.partition(".")
        line = entry.document.line((*entry.place, top) if rest else entry.place, rest or top)
        text = f"{problem.key} of {problem.service!r} is {problem.value!r}: expected {problem.expected}"
        reading.wrong(entry.file, line, text)
    for name, callers in catalogue.unknown().items():
        more = f" and {len(callers) - 3} more" if len(callers) > 3 else ""
        depend = "depends" if len(callers) == 1 else "depend"
        reading.warnings.append(f"no entry for {name!r}, which {', '.join(callers[:3])}{more} {depend} on")
    for group in cycles(catalogue.calls):
        more = f" and {len(group) - 6} more" if len(group) > 6 else ""
        reading.warnings.append(f"a cycle: {', '.join(group[:6])}{more} depend on each other")
    reading.entries.clear()  # and with them the documents, which are large
    return reading


def load_catalogue(settings: Settings) -> Catalogue:
    """The catalogue the settings name, or an empty one. Raises `ConfigError`."""
    reading = read(settings.catalogue_files)
    if reading.errors:
        more = len(reading.errors) - 1
        rest = f" ({more} more: tocsin catalogue check)" if more else ""
        raise ConfigError(reading.errors[0] + rest)
    return reading.catalogue


def _file(reading: Reading, path: Path) -> None:
    name = str(path)
    reading.files.append(name)
    try:
        found = documents(path.read_text(encoding="utf-8"))
    except OSError as error:
        reading.wrong(name, 0, f"cannot be read: {error.strerror}")
        return
    except UnicodeDecodeError:
        reading.wrong(name, 0, "cannot be read: expected UTF-8")
        return
    except DocumentError as error:
        reading.wrong(name, error.line, str(error))
        return
    for document in found:
        value = document.value
        if isinstance(value, dict) and "apiVersion" in value and "kind" in value:
            _backstage(reading, name, document)
        elif isinstance(value, dict) and "services" in value:
            for key in value.keys() - {"services"}:
                reading.wrong(name, document.line((), key), f"unknown key {key!r}: expected services")
            _services(reading, name, document, value["services"], ("services",))
        elif isinstance(value, dict):
            _service(reading, name, document, value, ())
        elif isinstance(value, list) and value and all(isinstance(v, dict) and "caller" in v for v in value):
            _calls(reading, name, document, value)
        else:
            _services(reading, name, document, value, ())


def _services(reading: Reading, file: str, document: Document, value: Any, place: Place) -> None:
    if value is None:  # services: with everything below it commented out
        return
    if not isinstance(value, list):
        text = f"expected a list of services, got {_kind(value)}"
        reading.wrong(file, document.line(place), f"{_path(place)}{': ' if place else ''}{text}")
        return
    for number, one in enumerate(value):
        _service(reading, file, document, one, (*place, number))


def _service(reading: Reading, file: str, document: Document, value: Any, place: Place) -> None:
    try:
        service = msgspec.convert(value, Service)
    except msgspec.ValidationError as error:
        reading.wrong(file, *_explained(error, value, document, place))
        return
    reading.entries.append(Entry(service, file, document, place))


def _explained(
    error: msgspec.ValidationError, value: Any, document: Document, place: Place
) -> tuple[int, str]:
    """Line, and what is wrong with which key."""
    found = _PATH.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    inner: list[str | int] = [
        int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path) if part != "..."
    ]
    at = (*place, *inner)
    who = value.get("service") if isinstance(value, dict) else None
    of = f" of {who!r}" if isinstance(who, str) else ""
    unknown = _UNKNOWN.search(what)
    if unknown:
        key = unknown[1]
        known = Business.__struct_fields__ if inner else Service.__struct_fields__
        near = difflib.get_close_matches(key, known, 1)
        hint = f"expected one of {', '.join(known)}" if not near else f"did you mean {near[0]}?"
        return document.line(at, key), f"unknown key {_path((*inner, key))!r}{of}: {hint}"
    if not inner:
        missing = "service: the name in telemetry" if isinstance(value, dict) else "a service"
        return document.line(at), f"{_path(place) or 'the document'}: expected {missing}, got {_kind(value)}"
    shown: Any = value
    for part in inner:
        try:
            shown = shown[part]
        except (KeyError, IndexError, TypeError):
            break
    key = next(str(part) for part in reversed(inner) if not isinstance(part, int))
    return document.line(at), f"{_path(inner)}{of} is {shown!r}: expected {EXPECTED.get(key, 'a text')}"


def _calls(reading: Reading, file: str, document: Document, value: Sequence[Any]) -> None:
    for number, row in enumerate(value):
        caller, callee = (row.get("caller"), row.get("callee")) if isinstance(row, dict) else ("", "")
        if not (isinstance(caller, str) and isinstance(callee, str) and caller and callee):
            reading.wrong(
                file, document.line((number,)), f"[{number}] is {row!r}: expected caller and callee"
            )
            return
        reading.calls.append((caller, callee))


def _backstage(reading: Reading, file: str, document: Document) -> None:
    entity = document.value
    if entity["kind"] not in ENTITIES:
        return
    metadata, spec = _mapping(entity, "metadata"), _mapping(entity, "spec")
    annotations = _mapping(metadata, "annotations")
    own = {k.removeprefix(PREFIX): v for k, v in annotations.items() if k.startswith(PREFIX)}
    for key in own.keys() - {"tier", "runbook", "aliases", "escalation"}:
        expected = f"{PREFIX}tier, runbook, aliases or escalation"
        line = document.line(("metadata", "annotations"), PREFIX + key)
        reading.wrong(file, line, f"unknown annotation {PREFIX + key!r}: expected {expected}")
        return
    tier = str(own.get("tier", ""))
    links = [link for link in _list(metadata, "links") if isinstance(link, dict) and link.get("url")]
    plain = {
        "service": metadata.get("name"),
        "name": metadata.get("title") or "",
        "aliases": [alias.strip() for alias in str(own.get("aliases", "")).split(",") if alias.strip()],
        "owner": _reference(spec.get("owner")),
        "escalation": own.get("escalation", ""),
        "tier": int(tier) if tier.isdigit() else tier or None,
        "depends_on": [_reference(one) for one in _list(spec, "dependsOn")],
        "application": _reference(spec.get("system")),
        "labels": _mapping(metadata, "labels"),
        "runbook": own.get("runbook", ""),
        "links": {str(link.get("title") or link["url"]): link["url"] for link in links},
    }
    try:
        service = msgspec.convert(plain, Service)
    except msgspec.ValidationError as error:
        what = str(error).replace("$.", "")
        reading.wrong(file, document.line(("metadata",), "name"), f"{entity['kind']}: {what}")
        return
    reading.entries.append(Entry(service, file, document, ("metadata",)))


def _mapping(of: dict[str, Any], key: str) -> dict[str, Any]:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _list(of: dict[str, Any], key: str) -> list[Any]:
    found = of.get(key)
    return found if isinstance(found, list) else []


def _reference(value: Any) -> str:
    """The name in a reference such as `component:default/cart`."""
    return str(value or "").rpartition(":")[2].rpartition("/")[2]


def _path(place: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping without it" if isinstance(value, dict) else "a list"
    return repr(value)
