"""The wire formats by name, and how `auto` tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from streams.decode import (
    correlator_json,
    items,
    otlp_batch,
    otlp_json,
    otlp_protobuf,
    tocsin_batch,
    tocsin_json,
    vector,
)
from streams.decode.alerts import choice, events, pagerduty, webhook
from streams.decode.catalog import Catalog
from streams.decode.columns import BatchDecoder, Columns, Decoder
from streams.decode.items import Items
from streams.decode.logs import (
    filebeat,
    fluent_bit,
    fluent_bit_msgpack,
    gelf,
    lines,
    rsyslog_json,
    syslog,
    syslog_file,
)
from streams.decode.look import Look
from streams.decode.metrics import collectd, influx, prometheus, prometheus_json, statsd, telegraf_json
from streams.decode.schemas import framed
from streams.records.compiled import COMPILING

OTLP, OTLP_JSON, TOCSIN, CHANGES, ACTIONS = "otlp", "otlp-json", "tocsin", "changes", "actions"
ALERTMANAGER, ALERTMANAGER_EVENTS = "alertmanager", "alertmanager-events"
GRAFANA, PAGERDUTY, ALERTS = "grafana", "pagerduty", "alerts"
AUTO = "auto"


class Format(NamedTuple):
    """One wire format."""

    name: str
    decode: Decoder
    claims: Callable[[Look], bool]
    """Does the record have this format's shape? Never a guess: no other format may have it."""
    last_resort: bool = False
    """asked only when no other format claims the record"""
    batch: BatchDecoder | None = None
    """reads many records at once, with the same result as `decode`, one by one"""
    items: Items = items.JSON
    """what it may have too many of"""


FORMATS: tuple[Format, ...] = (
    Format(
        OTLP,
        otlp_protobuf.decode,
        otlp_protobuf.claims,
        batch=otlp_batch.decode_batch,
        items=items.OTLP,
    ),
    Format(OTLP_JSON, otlp_json.decode, otlp_json.claims),
    Format(TOCSIN, tocsin_json.decode, tocsin_json.claims, batch=tocsin_batch.decode_batch),
    Format(CHANGES, correlator_json.changes, correlator_json.claims_change),
    Format(ACTIONS, correlator_json.actions, correlator_json.claims_action),
    Format("prometheus-remote-write", prometheus.decode, prometheus.claims, items=items.REMOTE_WRITE),
    Format("prometheus-json", prometheus_json.decode, prometheus_json.claims),
    Format("telegraf-json", telegraf_json.decode, telegraf_json.claims),
    Format("influx", influx.decode, influx.claims, items=items.PAIRS),
    Format("collectd", collectd.decode, collectd.claims),
    Format("collectd-counters", collectd.decode_counters, collectd.claims_counters),
    Format("statsd", statsd.decode, statsd.claims, items=items.TAGGED),
    Format("vector", vector.decode, vector.claims),
    Format(fluent_bit.NAME, fluent_bit.decode, fluent_bit.claims),
    Format(
        fluent_bit_msgpack.NAME, fluent_bit_msgpack.decode, fluent_bit_msgpack.claims, items=items.MSGPACK
    ),
    Format(filebeat.NAME, filebeat.decode, filebeat.claims),
    Format(gelf.NAME, gelf.decode, gelf.claims),
    Format(rsyslog_json.NAME, rsyslog_json.decode, rsyslog_json.claims),
    Format(syslog.NAME, syslog.decode, syslog.claims, items=items.LINES),
    Format(syslog_file.NAME, syslog_file.decode, syslog_file.claims, items=items.LINES),
    Format(lines.NAME, lines.decode, lines.claims, last_resort=True, items=items.LINES),
    Format(ALERTMANAGER, webhook.alertmanager, webhook.claims_alertmanager),
    Format(ALERTMANAGER_EVENTS, events.decode, events.claims),
    Format(GRAFANA, webhook.grafana, webhook.claims_grafana),
    Format(PAGERDUTY, pagerduty.decode, pagerduty.claims),
)
"""In the order of docs/formats.md; `config.settings.FORMATS` has the same names."""

REGISTERED: Mapping[str, Decoder] = {
    "registry": framed.any_kind,
    "avro": framed.avro,
    "json-schema": framed.json_schema,
    "protobuf": framed.protobuf,
}
"""formats whose values name a schema in a registry"""

NAMED: Mapping[str, Decoder] = {ALERTS: choice.decode, **REGISTERED}
"""formats that `auto` never finds: they are used where a topic's configuration names them"""

DECODERS: Mapping[str, Decoder] = {**{each.name: each.decode for each in FORMATS}, **NAMED}

BATCHES: Mapping[str, BatchDecoder] = {
    each.name: each.batch for each in FORMATS if each.batch is not None and COMPILING
}

ITEMS: Mapping[str, Items] = {
    **{each.name: each.items for each in FORMATS},
    **dict.fromkeys(REGISTERED, items.SCHEMA),
    ALERTS: items.JSON,
    "json-schema": items.JSON,
    AUTO: items.UNKNOWN,
}

EXTERNAL = frozenset((ALERTMANAGER, ALERTMANAGER_EVENTS, GRAFANA, PAGERDUTY, ALERTS))
"""formats of other systems' alerts"""

FOR_CORRELATOR = frozenset((CHANGES, ACTIONS)) | EXTERNAL
"""formats that carry no telemetry: their topics have no part in the shards' watermarks"""


def sniff(value: bytes) -> str | None:
    """The one format whose shape the record has; None if it has none, or that of several.

    Never a guess: a record that decides nothing is refused, and the next one is looked at.
    """
    look = Look(value)
    for last_resort in (False, True):
        claiming = [f.name for f in FORMATS if f.last_resort is last_resort and f.claims(look)]
        if claiming:
            return claiming[0] if len(claiming) == 1 else None
    return None


def warm() -> None:
    """Compile the kernels, or load them from the cache: seconds the first time, best before data flow."""
    for batch in BATCHES.values():
        sink = Columns(Catalog(1, 1))
        batch([b"-"], sink, lambda _: None)
