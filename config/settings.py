"""All settings, frozen. Loaded and checked once by `config.load`; see config/tocsin.yaml for comments."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.console import Console
from config.control import Rule, Slo
from config.history import History
from config.logs import LogRules
from config.notify import Notify
from config.response import Respond
from config.secrets import Secret
from config.suppression import Dedup, Flap, Inhibit, Maintenance, Silence
from config.updates import Updates

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Millis = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


FORMATS = (
    *("otlp", "otlp-json", "tocsin", "changes", "actions"),
    *("prometheus-remote-write", "prometheus-json", "telegraf-json", "influx"),
    *("collectd", "collectd-counters", "statsd", "vector"),
    *("fluent-bit", "fluent-bit-msgpack", "filebeat", "gelf"),
    *("rsyslog-json", "syslog", "syslog-file", "lines"),
    *("alertmanager", "alertmanager-events", "grafana", "pagerduty"),
)
"""names of the wire formats; what they are is known to `streams.decode.formats`"""

REGISTERED_FORMATS = ("registry", "avro", "json-schema", "protobuf")
"""formats whose values name a schema in a registry"""

NAMED_FORMATS = ("alerts", *REGISTERED_FORMATS)
"""formats that `auto` never finds: a topic has to name them"""

FIELDS = (
    "ts",
    "service",
    "metric",
    "value",
    "labels",
    "instance",
    "unit",
    "kind",
    "resource",
    "body",
    "severity",
    "trace_id",
    "exception",
    "span_id",
    "parent_id",
    "error",
)
"""fields of a Tocsin JSON line, which `fields` of a topic may rename"""


class InputTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    format: str = "auto"
    """auto, or one of `FORMATS` or `NAMED_FORMATS`"""
    partitions: Count = 4
    service: tuple[str, ...] = ()
    """labels or fields that name the service, in order; `=text` is a fixed name; empty: the format's own"""
    instance: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    """with a schema registry: our names of fields -> the record's"""


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str = ""
    """of the schema registry, http(s)://HOST:PORT/PATH"""
    user: str = ""
    password: str | Secret = ""
    timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    max_schemas: Count = 1_000
    """schemas one worker remembers"""


Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The broker. Clients take what they need from `config.connect.kafka_options`; see docs/security.md."""

    bootstrap: str = "127.0.0.1:9092"
    security: Security = "plaintext"
    """ssl: TLS; sasl_plaintext: user and password; sasl_ssl: both"""
    ca_file: str = ""
    """PEM, whom to believe that a broker is ours; empty: the system's authorities"""
    cert_file: str = ""
    """PEM, our certificate, for brokers that ask for one"""
    key_file: str = ""
    key_password: str | Secret = ""
    """of the key, where it is encrypted"""
    check_hostname: bool = True
    """whether a broker's certificate must be for the host we asked"""
    sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str | Secret = ""
    group_prefix: str = "tocsin"
    replication: Count = 1
    fetch_max_wait_ms: Millis = 100
    checkpoint_seconds: Annotated[float, Meta(gt=0)] = 5.0


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    inputs: tuple[InputTopic, ...] = (
        InputTopic(name="otlp_metrics"),
        InputTopic(name="otlp_logs"),
        InputTopic(name="otlp_spans"),
        InputTopic(name="tocsin.in"),
        InputTopic(name="tocsin.changes", format="changes", partitions=1),
        InputTopic(name="tocsin.actions", format="actions", partitions=1),
        InputTopic(name="tocsin.external", format="alerts", partitions=1),
    )
    pages: str = "tocsin.pages"
    alerts: str = "tocsin.alerts"
    incidents: str = "tocsin.incidents"
    suppressions: str = "tocsin.suppressions"
    topology: str = "tocsin.topology"
    problems: str = "tocsin.problems"
    response: str = "tocsin.response"
    """clocks, who is on duty, notices"""
    written: str = "tocsin.written"
    """action items, reviews, status updates"""
    notifications: str = "tocsin.notifications"
    action_results: str = "tocsin.action-results"
    audit: str = "tocsin.audit"
    """who did what at the console"""
    deadletters: str = "tocsin.deadletters"


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    shards: Annotated[int, Meta(ge=1, le=4096)] = 4
    """partitions of the pages topic; a service lives in one of them"""
    allowed_lateness_ms: Millis = 5_000
    """how much older than the newest row of its partition a row may be"""
    max_future_ms: Millis = 600_000
    """rows this much newer than their record are dead-lettered"""
    max_age_ms: Millis = 7 * 86_400_000
    """rows this much older than their record are dead-lettered"""
    max_record_bytes: Count = 8_000_000
    max_record_items: Count = 400_000
    """objects, points, lines and the like of one record (`streams.decode.items`): what memory it takes"""
    describe_every_ms: Millis = 600_000
    max_series: Count = 1_000_000
    """distinct raw series keys remembered by one worker"""
    max_sample_labels: Count = 64
    max_series_per_service: Annotated[int, Meta(ge=0)] = 20_000
    """series of one service beyond this are not watched; 0: no limit"""


class Joint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Joint behaviour of a service's series; see docs/detectors.md."""

    enabled: bool = False
    window_ms: Annotated[int, Meta(ge=1_000)] = 30_000
    """one vector per service and so much event time; a multiple of `detect.step_ms`"""
    memory_windows: Annotated[int, Meta(ge=32, le=4_096)] = 256
    """vectors remembered"""
    min_windows: Annotated[int, Meta(ge=16)] = 64
    """silent until a service has shown this many"""
    refit_windows: Count = 256
    """vectors after which it is learned anew; sooner while there are few"""
    apply_windows: Count = 4
    """windows after the last one learned from, from which on what was learned holds"""
    trees: Annotated[int, Meta(ge=8, le=512)] = 64
    max_series: Annotated[int, Meta(ge=2, le=64)] = 16
    """of one service; those first seen take part"""
    max_services: Count = 200
    """of one shard; those first seen take part"""
    fire_score: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.9
    hold_windows: Count = 3
    """anomalous windows in a row before it fires"""
    clear_windows: Count = 3


class Detect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    step_ms: Annotated[int, Meta(ge=10)] = 1_000
    """event time advances in steps of this size"""
    warmup_samples: Annotated[int, Meta(ge=4)] = 20
    fire_score: Share = 0.9
    clear_score: Share = 0.5
    hold_samples: Count = 2
    """consecutive anomalous samples before firing"""
    clear_samples: Count = 3
    absent_intervals: Annotated[float, Meta(ge=2)] = 3.0
    """a series is absent after this many of its usual intervals"""
    absent_min_ms: Millis = 10_000
    max_series_per_shard: Count = 200_000
    series_idle_ms: Millis = 86_400_000
    """series unseen for this long are forgotten"""
    log_bucket_ms: Annotated[int, Meta(ge=1_000)] = 10_000
    log_learning_ms: Millis = 60_000
    """after a service's first line, templates are learned without alerting"""
    log_quiet_ms: Millis = 30_000
    """a log alert resolves at the latest when its template has not been seen for this long"""
    log_template_rates: Annotated[int, Meta(ge=0, le=256)] = 8
    """of so many of a service's busiest kinds of lines rates, and durations in them, are series; 0: none"""
    log_join: bool = True
    """stack traces that were sent line by line are joined"""
    log_silence: bool = True
    """a service that logged in nearly every bucket and no longer does is an alert"""
    max_templates_per_service: Count = 1_000
    deadletter_ratio: Share = 0.5
    """share of refused records in a window that raises an alert"""
    rules: tuple[Rule, ...] = ()
    """what holds for which series; of the rules that match, the later ones win key by key"""
    slos: tuple[Slo, ...] = ()
    """service level objectives whose burn rate is watched"""
    joint: Joint = Joint()


Level = Literal["high", "medium", "low"]
Priority = Literal["P1", "P2", "P3", "P4"]


class Correlate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    partitions: Count = 1
    """partitions of the alerts topic; a correlation domain lives in one of them"""
    domain_label: str = ""
    """resource label whose value is the domain (tenant, environment); empty: one domain"""
    window_ms: Millis = 300_000
    """alerts further apart than this do not support each other by time"""
    log_pause_ms: Millis = 120_000
    """what fails may do so this far apart: lines of a log and events of other systems are over at once"""
    join_threshold: Share = 0.5
    idle_gap_ms: Millis = 900_000
    max_age_ms: Millis = 6 * 3_600_000
    resolve_after_ms: Millis = 30_000
    """all alerts resolved for this long: the incident is resolved"""
    verify_ms: Millis = 900_000
    """stable this long after resolve: closed; anomalies before that reopen it"""
    change_window_ms: Millis = 1_800_000
    max_open: Count = 10_000
    max_members: Count = 2_000
    edge_memory_ms: Millis = 86_400_000
    external_ttl_ms: Annotated[int, Meta(ge=60_000)] = 86_400_000
    """an external alert of which nothing was heard for this long is taken for over"""
    problem_incidents: Annotated[int, Meta(ge=2, le=1_000)] = 3
    """so many incidents of one kind within `problem_window_ms` open a problem"""
    problem_window_ms: Annotated[int, Meta(ge=60_000)] = 30 * 86_400_000
    topology: str = ""
    """one more file of the catalogue (a list of {caller, callee} will do); the former key"""
    silences: tuple[Silence, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    inhibit: tuple[Inhibit, ...] = ()
    dedup: tuple[Dedup, ...] = ()
    flap: Flap = Flap()
    probes: tuple[str, ...] = ()
    """matchers, all of which hold of an alert that keeps a resolved incident from closing while it fires"""
    priority_matrix: dict[Level, tuple[Priority, Priority, Priority]] = msgspec.field(
        default_factory=lambda: {
            "high": ("P1", "P2", "P3"),
            "medium": ("P2", "P3", "P4"),
            "low": ("P3", "P4", "P4"),
        }
    )
    """impact -> priority by urgency: high, medium, low"""


class TopologySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who depends on whom, as far as it is written down."""

    catalogue: tuple[str, ...] = ()
    """files and folders of the service catalogue, from the settings file's folder; see docs/catalogue.md"""


class Receive(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    topic: str = "tocsin.external"
    """input topic that alerts received by HTTP are put on"""
    max_bytes: Count = 1_000_000
    timeout_ms: Annotated[int, Meta(ge=100)] = 5_000
    """a sender is told to try again when the broker has not confirmed by then"""


class ClickHouse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str = "http://127.0.0.1:8123"
    database: str = "tocsin"
    user: str = "default"
    password: str | Secret = ""
    ca_file: str = ""
    """PEM, whom to believe that the server is ours (https); empty: the system's authorities"""
    cert_file: str = ""
    """PEM, our certificate; without a password it is what we log in with"""
    key_file: str = ""
    verify: bool = True
    """false: whoever answers is believed; for trying things out"""
    batch_rows: Count = 10_000


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the worker says of itself."""

    ready_lag_records: Count = 100_000
    """a partition with more lag than this must be shrinking for /readyz to say yes"""
    otlp_endpoint: str = ""
    """metrics are pushed here over OTLP/HTTP; empty: not"""
    otlp_interval_s: Annotated[float, Meta(gt=0)] = 30.0
    self_topic: str = "tocsin.self"
    """input topic for samples about ourselves; one that is not among the inputs is added; empty: off"""
    self_every_s: Annotated[float, Meta(gt=0)] = 10.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    registry: Registry = Registry()
    ingest: Ingest = Ingest()
    detect: Detect = Detect()
    logs: LogRules = LogRules()
    correlate: Correlate = Correlate()
    topology: TopologySettings = TopologySettings()
    respond: Respond = Respond()
    updates: Updates = Updates()
    notify: Notify = Notify()
    receive: Receive = Receive()
    console: Console = Console()
    clickhouse: ClickHouse = ClickHouse()
    history: History = History()
    telemetry: Telemetry = Telemetry()

    @property
    def catalogue_files(self) -> tuple[str, ...]:
        """All files and folders of the service catalogue."""
        former = self.correlate.topology
        return (*self.topology.catalogue, *([former] if former else ()))

    @property
    def inputs(self) -> tuple[InputTopic, ...]:
        """What ingest reads: the configured topics, and the one for samples about ourselves."""
        own = self.telemetry.self_topic
        if not self.aside(own):
            return self.topics.inputs
        return (*self.topics.inputs, InputTopic(name=own, format="tocsin", partitions=1))

    def aside(self, topic: str) -> bool:
        """Whether only samples about ourselves come in on this topic."""
        named = any(topic == one.name for one in self.topics.inputs)
        return bool(topic) and topic == self.telemetry.self_topic and not named
