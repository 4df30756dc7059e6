-- migration 1: incidents, alerts, dead letters

-- One row per (id, version), whatever was delivered twice.
CREATE TABLE IF NOT EXISTS incident_versions
(
    id String COMMENT 'digest of domain and first onset, 16 hex digits',
    version UInt32 COMMENT 'grows by one with every fact that changed the incident',
    domain LowCardinality(String) COMMENT 'correlation domain (tenant, environment)',
    state LowCardinality(String) COMMENT 'open, acknowledged, mitigated, resolved, closed, reopened, merged',
    title String,
    category LowCardinality(String),
    severity LowCardinality(String) COMMENT 'info, warning, error, critical',
    priority LowCardinality(String) COMMENT 'P1 to P4',
    started_at DateTime64(3, 'UTC') COMMENT 'first anomalous sample',
    detected_at DateTime64(3, 'UTC') COMMENT 'first alert fired',
    opened_at DateTime64(3, 'UTC') COMMENT 'incident opened',
    updated_at DateTime64(3, 'UTC') COMMENT 'event time of this version',
    acknowledged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'first human acknowledge; NULL when never',
    mitigated_at Nullable(DateTime64(3, 'UTC')),
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'last resolve; NULL while the incident is active',
    closed_at Nullable(DateTime64(3, 'UTC')),
    first_resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'first resolve, kept through reopening',
    active_ms Int64 COMMENT 'time between start and resolve without the calm before a reopening',
    resolved_by LowCardinality(String) COMMENT 'empty while open, auto, human',
    acknowledged_by String,
    reopened UInt32 COMMENT 'times reopened',
    `services.service` Array(LowCardinality(String)),
    `services.role` Array(LowCardinality(String)) COMMENT 'suspected cause, affected',
    alerts Array(String) COMMENT 'member alert ids in order of joining',
    members String COMMENT 'JSON array; as rows: view memberships' CODEC(ZSTD(3)),
    hints String COMMENT 'JSON array, best first; as rows: view hints' CODEC(ZSTD(3)),
    timeline String COMMENT 'JSON array; as rows: view timeline' CODEC(ZSTD(3)),
    changes Array(String) COMMENT 'ids of changes in evidence',
    merged_into String COMMENT 'id of the surviving incident when merged',
    merged_from Array(String),
    recurrence_of String,
    owner LowCardinality(String),
    truncated_members UInt32 COMMENT 'members beyond the cap, counted but not carried',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

CREATE TABLE IF NOT EXISTS alert_versions
(
    id String,
    version UInt32,
    state LowCardinality(String) COMMENT 'firing, resolved',
    kind LowCardinality(String) COMMENT 'metric, log, absent, external, probe, manual',
    fingerprint String COMMENT 'series, or service and log template',
    service LowCardinality(String),
    metric String COMMENT 'metric name; for kind log the template',
    severity LowCardinality(String),
    started_at DateTime64(3, 'UTC') COMMENT 'first anomalous sample',
    detected_at DateTime64(3, 'UTC') COMMENT 'sample at which the gate fired',
    last_seen_at DateTime64(3, 'UTC'),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    summary String,
    value Nullable(Float64) COMMENT 'at its worst so far',
    expected Nullable(Float64),
    lower Nullable(Float64),
    upper Nullable(Float64),
    score Float64 COMMENT '0 to 1',
    strength Float64 COMMENT 'deviation in units of the usual spread, signed',
    unit LowCardinality(String),
    instance String,
    labels Map(LowCardinality(String), String),
    resource Map(LowCardinality(String), String),
    samples Array(String) COMMENT 'kind log: up to three lines',
    trace_ids Array(String),
    count UInt64 COMMENT 'kind log: lines so far',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

-- The record itself stays in the dead-letter topic, whole; here is what to count and search.
CREATE TABLE IF NOT EXISTS dead_letter_records
(
    topic LowCardinality(String) COMMENT 'topic of the refused record',
    partition Int32,
    offset Int64,
    reason LowCardinality(String),
    at DateTime64(3, 'UTC') COMMENT 'broker time of the refused record',
    detail String COMMENT 'what was expected and what was found',
    rows UInt32 COMMENT '0: the whole record; n: n rows of it, the others were used',
    key_bytes UInt32,
    value_bytes UInt32 COMMENT 'bytes kept plus bytes cut; large records are kept compressed',
    preview String COMMENT 'the first 200 bytes, unprintable ones escaped',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, reason);
