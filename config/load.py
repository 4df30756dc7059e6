"""Loading and checking of settings: YAML file, then environment, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from config import connect, control, history, logs, notify, response
from config import console as console_settings
from config.settings import FIELDS, FORMATS, NAMED_FORMATS, REGISTERED_FORMATS, Settings, TopologySettings
from config.suppression import matcher_problems
from config.suppression import problems as suppression_problems

ENVIRONMENT = {
    "TOCSIN_KAFKA": ("kafka", "bootstrap"),
    "TOCSIN_KAFKA_SECURITY": ("kafka", "security"),
    "TOCSIN_KAFKA_CA_FILE": ("kafka", "ca_file"),
    "TOCSIN_KAFKA_CERT_FILE": ("kafka", "cert_file"),
    "TOCSIN_KAFKA_KEY_FILE": ("kafka", "key_file"),
    "TOCSIN_KAFKA_KEY_PASSWORD": ("kafka", "key_password"),
    "TOCSIN_KAFKA_SASL_MECHANISM": ("kafka", "sasl_mechanism"),
    "TOCSIN_KAFKA_USER": ("kafka", "user"),
    "TOCSIN_KAFKA_PASSWORD": ("kafka", "password"),
    "TOCSIN_GROUP_PREFIX": ("kafka", "group_prefix"),
    "TOCSIN_REGISTRY": ("registry", "url"),
    "TOCSIN_REGISTRY_USER": ("registry", "user"),
    "TOCSIN_REGISTRY_PASSWORD": ("registry", "password"),
    "TOCSIN_CLICKHOUSE": ("clickhouse", "url"),
    "TOCSIN_CLICKHOUSE_DATABASE": ("clickhouse", "database"),
    "TOCSIN_CLICKHOUSE_USER": ("clickhouse", "user"),
    "TOCSIN_CLICKHOUSE_PASSWORD": ("clickhouse", "password"),
    "TOCSIN_CLICKHOUSE_CA_FILE": ("clickhouse", "ca_file"),
    "TOCSIN_CLICKHOUSE_CERT_FILE": ("clickhouse", "cert_file"),
    "TOCSIN_CLICKHOUSE_KEY_FILE": ("clickhouse", "key_file"),
    "TOCSIN_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint"),
}
"""environment variable -> section and key it overrides; of a password also NAME_FILE, which names a file"""

SECRETS = frozenset({"password", "key_password"})
"""keys whose values no message shows"""

WORKERS = "TOCSIN_CONSOLE_WORKERS"
"""environment variable: health ports of workers, apart by spaces"""

_PATH = re.compile(r"^(?P<what>.*) - at `(?P<path>\$[^`]*)`$", re.DOTALL)


class _Loader(yaml.SafeLoader):
    """Times stay text, as in YAML 1.2: 22:00 is no number to the base of 60, 2026-03-29 no date."""


_SEXAGESIMAL = re.compile(r"[-+]?\d[\d_]*(:\d+)+(\.\d*)?")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+0123456789":  # before the resolvers for int and float
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).insert(0, ("tag:yaml.org,2002:str", _SEXAGESIMAL))


class ConfigError(Exception):
    """Bad configuration. `str()` names the source, the key, the value and what was expected."""


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from defaults, `path` (YAML) and `environ`, in rising precedence.

    Raises `ConfigError`.
    """
    raw: dict[str, Any] = {}
    source = "defaults"
    if path is not None:
        source = str(path)
        raw = _read(path)
    for variable, (section, key) in ENVIRONMENT.items():
        given = environ or {}
        if given.get(variable):
            raw.setdefault(section, {})[key] = given[variable]
        elif key in SECRETS and given.get(f"{variable}_FILE"):
            raw.setdefault(section, {})[key] = {"file": given[f"{variable}_FILE"]}
    workers = (environ or {}).get(WORKERS, "").split()
    if workers:
        raw.setdefault("console", {})["workers"] = workers
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(error, raw)}") from None
    _check(settings, source)
    if path is not None and settings.topology.catalogue:
        beside = tuple(str(path.parent / name) for name in settings.topology.catalogue)
        settings = msgspec.structs.replace(settings, topology=TopologySettings(catalogue=beside))
    if path is not None and any(schedule.calendar for schedule in settings.respond.schedules):
        schedules = tuple(
            msgspec.structs.replace(one, calendar=str(path.parent / one.calendar)) if one.calendar else one
            for one in settings.respond.schedules
        )
        respond = msgspec.structs.replace(settings.respond, schedules=schedules)
        settings = msgspec.structs.replace(settings, respond=respond)
    if path is not None and settings.updates.templates:
        folder = str(path.parent / settings.updates.templates)
        updates = msgspec.structs.replace(settings.updates, templates=folder)
        settings = msgspec.structs.replace(settings, updates=updates)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(raw).__name__}")
    for section, value in list(raw.items()):
        if value is None:  # a section whose keys are all commented out
            del raw[section]
    return raw


def _explain(error: msgspec.ValidationError, raw: Mapping[str, Any]) -> str:
    text = str(error)
    found = _PATH.match(text)
    if not found:
        return text
    path = found["path"].removeprefix("$.")
    value: Any = raw
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return f"{path}: {found['what']}"
    if path.rpartition(".")[2] in SECRETS:  # what was given may be the secret itself
        return f"{path}: {found['what']}"
    return f"{path} is {value!r}: {found['what']}"


def _check(settings: Settings, source: str) -> None:
    """What no single field can say."""
    detect = settings.detect
    if detect.clear_score >= detect.fire_score:
        raise ConfigError(
            f"{source}: detect.clear_score is {detect.clear_score}: "
            f"expected less than detect.fire_score ({detect.fire_score})"
        )
    joint = detect.joint
    if joint.window_ms % detect.step_ms:
        raise ConfigError(
            f"{source}: detect.joint.window_ms is {joint.window_ms}: "
            f"expected a multiple of detect.step_ms ({detect.step_ms})"
        )
    if joint.min_windows > joint.memory_windows:
        raise ConfigError(
            f"{source}: detect.joint.min_windows is {joint.min_windows}: "
            f"expected at most detect.joint.memory_windows ({joint.memory_windows})"
        )
    found = [
        *control.problems(detect.rules, detect.slos, detect.fire_score, detect.clear_score),
        *logs.problems(settings.logs),
    ]
    for key, value, expected in found:
        raise ConfigError(f"{source}: {key} is {value!r}: expected {expected}")
    correlate = settings.correlate
    for key, value, expected in suppression_problems(
        correlate.silences, correlate.maintenance, correlate.inhibit, correlate.dedup, correlate.flap
    ):
        raise ConfigError(f"{source}: {key} is {value!r}: expected {expected}")
    for key, value, expected in (*response.problems(settings.respond), *notify.problems(settings.notify)):
        raise ConfigError(f"{source}: {key} is {value!r}: expected {expected}")
    for key, value, expected in (
        *matcher_problems("correlate.probes", correlate.probes),
        *history.problems(settings.history),
        *console_settings.problems(settings.console),
    ):
        raise ConfigError(f"{source}: {key} is {value!r}: expected {expected}")
    missing = sorted({"high", "medium", "low"} - correlate.priority_matrix.keys())
    if missing:
        raise ConfigError(
            f"{source}: correlate.priority_matrix has no {missing[0]!r}: "
            "expected high, medium and low, each with the priorities for urgency high, medium, low"
        )
    names = [topic.name for topic in settings.topics.inputs]
    topics = settings.topics
    names += [topics.pages, topics.alerts, topics.incidents, topics.suppressions]
    names += [topics.problems, topics.topology, topics.action_results, topics.deadletters]
    names += [topics.response, topics.written, topics.notifications, topics.audit]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{source}: topics: {twice[0]!r} is named twice: expected distinct topic names")
    known = ("auto", *FORMATS, *NAMED_FORMATS)
    for index, topic in enumerate(topics.inputs):
        if topic.format not in known:
            raise ConfigError(
                f"{source}: topics.inputs[{index}].format is {topic.format!r}: "
                f"expected one of {', '.join(known)}"
            )
        if topic.format in REGISTERED_FORMATS and not settings.registry.url:
            raise ConfigError(
                f"{source}: topics.inputs[{index}].format is {topic.format!r}, but registry.url is empty: "
                "expected the address of the schema registry"
            )
        for name in topic.fields:
            if name not in FIELDS:
                raise ConfigError(
                    f"{source}: topics.inputs[{index}].fields names {name!r}: "
                    f"expected one of {', '.join(FIELDS)}"
                )
    url = settings.registry.url
    if url and not url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{source}: registry.url is {url!r}: expected http://HOST:PORT or https://HOST:PORT"
        )
    telemetry = settings.telemetry
    if telemetry.self_topic in names[len(topics.inputs) :]:
        raise ConfigError(
            f"{source}: telemetry.self_topic is {telemetry.self_topic!r}: expected an input topic, "
            "a new name, or nothing"
        )
    if telemetry.otlp_endpoint and not telemetry.otlp_endpoint.startswith(("http://", "https://")):
        raise ConfigError(
            f"{source}: telemetry.otlp_endpoint is {telemetry.otlp_endpoint!r}: "
            "expected http://HOST:4318 or https://HOST:4318"
        )
    for key, value, expected in connect.problems(settings):
        raise ConfigError(f"{source}: {key} is {value!r}: expected {expected}")
    if not settings.clickhouse.url.startswith(("http://", "https://")):
        raise ConfigError(
            f"{source}: clickhouse.url is {settings.clickhouse.url!r}: expected http://HOST:PORT or https://HOST:PORT"
        )
