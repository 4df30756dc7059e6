"""What is on every topic, as an AsyncAPI 3.0 document and a JSON Schema (draft 7) for each. Pure.

Made from the types that are decoded and encoded, their docstrings included, so that it cannot differ from
them; `docs/schemas` is compared with it in the tests.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec

from config.settings import Topics
from correlator.afterwards import ActionItem, Review, StatusUpdate
from correlator.atlas import ServiceSeen
from correlator.incident import Incident
from correlator.past import Knowledge, Problem
from correlator.response import Clock, Duty, Notice
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from sinks.notification import Notification
from streams.decode.alerts.events import AlertmanagerEvent
from streams.decode.alerts.pagerduty import PagerDutyEvent
from streams.decode.alerts.webhook import Said
from streams.decode.correlator_json import ActionIn, ChangeIn
from streams.decode.tocsin_json import Line
from streams.records.audit import AuditRecord
from streams.records.messages import (
    Action,
    ActionResult,
    Change,
    DeadLetter,
    Edges,
    ExternalAlert,
    OutsideTime,
    ShardWatermark,
    SilenceAction,
)

DIALECT = "http://json-schema.org/draft-07/schema#"
STRUCTURED = "application/cloudevents+json"
JSON = "application/json"


class Webhook(msgspec.Struct, rename="camel"):
    """A notification of Alertmanager or Grafana, as far as it is read."""

    alerts: list[Said]
    truncated_alerts: int = 0


_Labels = dict[str, str | int | float | bool | None]
_Line: Any = msgspec.defstruct(
    "Line",
    [
        (f.name, _Labels, msgspec.field(default_factory=dict))
        if f.type is msgspec.Raw
        else (f.name, f.type, *([] if f.required else [f.default]))
        for f in msgspec.structs.fields(Line)
    ],
    module=Line.__module__,
    namespace={"__doc__": Line.__doc__},
)
"""the same, with what is decoded later"""


class Channel(NamedTuple):
    """A topic: who writes it, what is in it and how."""

    topic: str
    title: str
    description: str
    types: tuple[Any, ...]
    """one schema for each; empty: not JSON"""
    action: str
    """receive: Tocsin reads it; send: Tocsin writes it"""
    mode: str = ""
    """structured | binary (CloudEvents) | lines (JSON, one object a line) | empty: plain JSON"""
    key: str = ""


def channels() -> tuple[Channel, ...]:
    t = Topics()
    return (
        Channel("tocsin.in", "Telemetry as Tocsin JSON lines",
                "Samples, log lines and spans; other wire formats are described in docs/formats.md.",
                (_Line,), "receive", "lines"),
        Channel("tocsin.changes", "Changes", "Deployments and other changes, as evidence for hints.",
                (ChangeIn,), "receive"),
        Channel("tocsin.actions", "What people do",
                "Actions on incidents, problems and silences; each is answered on the action results.",
                (ActionIn,), "receive"),
        Channel("tocsin.external", "Alerts of other systems",
                "Notifications of Alertmanager and Grafana, Alertmanager events, PagerDuty events v2, as "
                "those send them; only what Tocsin reads is described.",
                (Webhook, AlertmanagerEvent, PagerDutyEvent), "receive"),
        Channel(t.incidents, "Incidents", "Every version of every incident; the newest is the truth.",
                (Incident,), "send", "structured", "id of the incident"),
        Channel(t.problems, "Problems and what is known", "Incidents that keep coming; causes, fixes.",
                (Problem, Knowledge), "send", "structured", "problem/ID or knowledge/INCIDENT"),
        Channel(t.response, "Clocks, duty, notices", "What follows from incidents.",
                (Clock, Duty, Notice), "send", "structured", "clock/ID, duty/INCIDENT, notice/ID"),
        Channel(t.written, "Action items, reviews, status updates", "What people write, and what is told.",
                (ActionItem, Review, StatusUpdate), "send", "structured",
                "item/ID, review/INCIDENT, update/ID"),
        Channel(t.notifications, "Notifications", "What became of telling each target.",
                (Notification,), "send", "structured", "TARGET/DEDUP_KEY"),
        Channel(t.suppressions, "Suppressions", "Alerts that were held back, and silences made at run time.",
                (Suppression, SilenceRecord), "send", "binary", "id of the alert, or silence/NAME"),
        Channel(t.topology, "Services and calls seen", "What was learned of who calls whom.",
                (ServiceSeen,), "send", "binary", "name of the service"),
        Channel(t.action_results, "Answers to actions", "Whether an action was applied, and if not, why.",
                (ActionResult,), "send", "binary", "id of the action"),
        Channel(t.audit, "Audit of the console", "Who did what there, when and from where; who was refused.",
                (AuditRecord,), "send", "binary", "id of the record"),
        Channel(t.deadletters, "Dead letters", "Records that could not be used, kept whole.",
                (DeadLetter,), "send", "", "key of the record"),
        Channel(t.alerts, "Between stages: alerts",
                "From detect (and ingest) to correlate; alerts are for others, too, the rest is internal.",
                (Alert, ShardWatermark, Edges, Change, Action, SilenceAction, ExternalAlert, OutsideTime),
                "send"),
        Channel(t.pages, "Between stages: pages", "Columns of samples and log records; internal, not JSON.",
                (), "send"),
    )  # fmt: skip


def files() -> dict[str, str]:
    """File name -> text, the same each time."""
    made = {"asyncapi.json": _text(document())}
    for channel in channels():
        if channel.types:
            made[f"{channel.topic}.json"] = _text(schema_of(channel))
    return made


def schema_of(channel: Channel) -> dict[str, Any]:
    """The JSON Schema of a topic's values (in lines: of each line)."""
    types, components = _components(channel.types, "#/definitions/")
    options = [_value(channel, one) for one in types]
    return {
        "$schema": DIALECT,
        "title": f"{channel.topic}: {channel.title}",
        "description": channel.description,
        **(options[0] if len(options) == 1 else {"anyOf": options}),
        "definitions": components,
    }


def document() -> dict[str, Any]:
    """The AsyncAPI document."""
    every = [one for channel in channels() for one in channel.types]
    refs, components = _components(every, "#/components/schemas/")
    by_type = {id(one): ref for one, ref in zip(every, refs, strict=True)}
    made: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tocsin",
            "version": version("tocsin"),
            "description": "Topics of Tocsin by their default names. Times are ms since 1970, UTC.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": components},
    }
    for channel in channels():
        refs_here = {}
        for one in channel.types or (None,):
            name = f"{channel.topic}.{_name(one)}" if one is not None else f"{channel.topic}.page"
            value = _value(channel, by_type[id(one)]) if one is not None else None
            made["components"]["messages"][name] = _message(channel, one, value)
            refs_here[name] = {"$ref": f"#/components/messages/{name}"}
        key = {"key": {"type": "string", "description": channel.key}} if channel.key else {}
        bindings = {"bindings": {"kafka": {"topic": channel.topic}}}
        made["channels"][channel.topic] = {
            "address": channel.topic,
            "title": channel.title,
            "description": channel.description + (f" Key: {channel.key}." if key else ""),
            "messages": refs_here,
            **bindings,
        }
        made["operations"][f"{channel.action}.{channel.topic}"] = {
            "action": channel.action,
            "channel": {"$ref": f"#/channels/{channel.topic}"},
            "title": channel.title,
        }
    return made


def _message(channel: Channel, type_: Any, value: dict[str, Any] | None) -> dict[str, Any]:
    if type_ is None:
        return {"title": channel.title, "contentType": "application/octet-stream"}
    message: dict[str, Any] = {"name": _name(type_), "title": _name(type_), "payload": value}
    if channel.mode == "structured":
        message["contentType"] = STRUCTURED
    elif channel.mode == "lines":
        message["contentType"] = "application/x-ndjson"
    else:
        message["contentType"] = JSON
    if channel.mode == "binary":
        text = {"type": "string"}
        message["headers"] = {
            "type": "object",
            "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"],
            "properties": {
                "ce_specversion": {"const": "1.0"},
                "ce_id": text,
                "ce_source": text,
                "ce_type": text,
                "ce_subject": text,
                "ce_time": {"type": "string", "format": "date-time"},
                "content-type": {"const": JSON},
            },
        }
    return message


def _value(channel: Channel, schema: dict[str, Any]) -> dict[str, Any]:
    """In structured mode the message is the envelope."""
    if channel.mode != "structured":
        return schema
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": {"type": "string", "pattern": "^tocsin\\."},
            "subject": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": JSON},
            "data": schema,
        },
    }


def _components(types: Iterable[Any], prefix: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    types = list(types)
    template = prefix + "{name}"
    schemas, found = msgspec.json.schema_components(types, schema_hook=_anything, ref_template=template)
    described = {_plain(name): _draft7(schema) for name, schema in found.items()}
    documented = {_plain(struct.__name__): fields_of(struct) for struct in _structs(types)}
    for name, fields in documented.items():
        for field, words in fields.items():
            place = described.get(name, {}).get("properties", {}).get(field)
            if place is not None and "$ref" not in place:
                place["description"] = words
    return [_draft7(schema) for schema in schemas], dict(sorted(described.items()))


def _anything(type_: type) -> dict[str, Any]:
    if type_ is object:
        return {"description": "anything"}
    raise NotImplementedError


def _draft7(schema: Any) -> Any:
    """From the dialect msgspec writes to draft 7, which AsyncAPI documents use."""
    if isinstance(schema, list):
        return [_draft7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "discriminator":
            continue  # a text in AsyncAPI; the tag's const says the same
        if key == "prefixItems":
            made["items"] = _draft7(value)
        elif key == "items" and "prefixItems" in schema:
            made["additionalItems"] = _draft7(value)
        elif key == "$ref":
            made[key] = _plain_ref(value)
        elif key == "description":
            made[key] = inspect.cleandoc(value)
        else:
            made[key] = _draft7(value)
    return made


def _plain_ref(ref: str) -> str:
    head, _, name = ref.rpartition("/")
    return f"{head}/{_plain(name)}"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.strip("_"))


def _name(type_: Any) -> str:
    return _plain(type_.__name__)


def _structs(types: Iterable[Any]) -> list[type[msgspec.Struct]]:
    """All structs that are reached from these, each once."""
    found: dict[type[msgspec.Struct], None] = {}

    def walk(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
            for field in info.fields:
                walk(field.type)
        elif isinstance(info, msgspec.inspect.Metadata):
            walk(info.type)
        else:
            for name in ("types", "item_types"):
                for one in getattr(info, name, ()) or ():
                    walk(one)
            for name in ("item_type", "key_type", "value_type"):
                if getattr(info, name, None) is not None:
                    walk(getattr(info, name))

    for info in msgspec.inspect.multi_type_info(list(types)):
        walk(info)
    return list(found)


def fields_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What is written below each field, by its name on the wire."""
    encoded = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    return {encoded[name]: words for name, words in _docstrings(struct).items() if name in encoded}


@cache
def _docstrings(struct: type[msgspec.Struct]) -> Mapping[str, str]:
    module = inspect.getmodule(struct)
    if module is None:
        return {}
    tree = ast.parse(inspect.getsource(module))
    body = next((n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == struct.__name__), [])
    found = {}
    for at, line in enumerate(body[:-1]):
        below = body[at + 1]
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            words = " ".join(below.value.value.split())
            found[line.target.id] = re.sub(r"`([A-Z_]+)`", lambda name: _values(module, name), words)
    return found


def _values(module: Any, name: re.Match[str]) -> str:
    """The values a constant lists, for those who do not read the code."""
    found = getattr(module, name[1], None)
    plain = isinstance(found, tuple) and all(isinstance(one, str) for one in found)
    return " | ".join(found) if plain and found is not None else name[0]


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
