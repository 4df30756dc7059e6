"""What travels to the correlator beside alerts, and dead letters. JSON on the wire, tagged by `type`."""

from __future__ import annotations

import msgspec

from config.suppression import Silence

MAX_MS = 4_102_444_800_000
"""2100-01-01 in ms UTC: no honest telemetry is later."""


class ShardWatermark(msgspec.Struct, frozen=True, tag="watermark"):
    """Shard `shard` of `shards` has decided everything up to and including `at_ms`."""

    shard: int
    shards: int
    at_ms: int


class Edge(msgspec.Struct, frozen=True, array_like=True):
    """Calls seen from one service to another."""

    caller: str
    callee: str
    calls: int
    failed: int = 0


TRACES, METRICS, ADDRESSES = "", "metrics", "addresses"
"""where calls were seen: in spans, in series that name both sides, in client-side series with an address"""


class Edges(msgspec.Struct, frozen=True, tag="edges", omit_defaults=True):
    """Calls one shard saw in the bucket that ends at `at_ms`, in one place."""

    shard: int
    at_ms: int
    edges: tuple[Edge, ...] = ()
    source: str = TRACES
    """of `TRACES`, `METRICS`, `ADDRESSES`"""
    services: tuple[str, ...] = ()
    """services of this shard that telemetry came from; each is named once an hour"""


class Change(msgspec.Struct, frozen=True, tag="change"):
    """Something was changed on purpose: a deployment, a configuration, a feature flag."""

    id: str
    ts: int
    """ms UTC"""
    service: str
    kind: str = "deployment"
    version: str = ""
    summary: str = ""
    author: str = ""


class Action(msgspec.Struct, frozen=True, tag="action"):
    """What a person did to an incident. Applied once by `id`."""

    id: str
    ts: int
    """ms UTC"""
    incident: str
    action: str
    """acknowledge | mitigate | resolve | reopen | close | merge | split | undo | record; of a problem:
    workaround | resolve | close | reopen"""
    actor: str = ""
    note: str = ""
    """of a problem's workaround: what it is"""
    targets: tuple[str, ...] = ()
    """merge: ids of the incidents that go into it; split: ids of alerts, or services, that leave it"""
    problem: str = ""
    """id of the problem it is about; `incident` is empty then"""
    cause: str = ""
    """record and resolve: what it was"""
    cause_service: str = ""
    fix: str = ""
    """what helped"""
    runbook: str = ""
    """address of what to do the next time"""
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    """what else a verb needs, by name; each verb says what it takes"""


class SilenceAction(msgspec.Struct, frozen=True, tag="silence_action"):
    """A silence a person makes or ends. Applied once by `id`."""

    id: str
    ts: int
    """ms UTC"""
    action: str
    """add | expire; to expire, the name says which"""
    silence: Silence
    actor: str = ""


class ExternalAlert(msgspec.Struct, frozen=True, tag="external", kw_only=True):
    """What another system says of one of its alerts, as often as it says it. Times are ms UTC."""

    id: str
    """digest of the system and its own name for the alert: the same each time it fires"""
    source: str
    """alertmanager | grafana | pagerduty"""
    state: str
    """firing | acknowledged | resolved"""
    seen_at: int
    """reference time of the record that said so"""
    started_at: int | None = None
    ended_at: int | None = None
    service: str = ""
    name: str = ""
    severity: str = "warning"
    """info | warning | error | critical"""
    summary: str = ""
    value: float | None = None
    instance: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    resource: tuple[tuple[str, str], ...] = ()


class OutsideTime(msgspec.Struct, frozen=True, tag="outside"):
    """A quiet source of external alerts has come to `at_ms`: time goes on there without telemetry, too."""

    at_ms: int


class ActionResult(msgspec.Struct, frozen=True, tag="action_result"):
    """Answer to an action on `tocsin.action-results`."""

    id: str
    incident: str
    applied: bool
    reason: str
    """\"applied\", or why not"""
    state: str = ""
    """the incident's or silence's state afterwards, if it is known"""
    silence: str = ""
    """its name, for an action about a silence; `incident` is empty then"""
    alerts: int = 0
    """held back by the silence so far; when it is ended: those that still fire and go on from here"""
    problem: str = ""
    """its id, for an action about a problem; `incident` is empty then"""
    action: str = ""
    """what was to be done, by whom, when (ms UTC), and what they said with it"""
    actor: str = ""
    ts: int = 0
    note: str = ""


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be used, kept whole so that it can be put back.

    JSON on `tocsin.deadletters`; `value` and `key` are base64 there (msgspec's form of bytes).
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str
    """machine-readable: undecodable, oversized, wrong-type, non-finite, future, ancient, ..."""
    detail: str
    """what was expected and what was found, for a person"""
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    rows: int = 0
    """0: the whole record is bad; n: n rows of it were refused, the others were used"""
    encoding: str = ""
    """\"zlib\" when `value` was compressed to fit a Kafka message, else empty"""
    cut: int = 0
    """bytes left out at the end of `value` because it fitted no message even so; 0: it is whole"""
