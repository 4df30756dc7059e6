-- Tables, in numbered migrations. A released migration is never edited: add the next one.
-- Every statement may run twice (several workers start at once). Views are in views.sql.
-- Table names are unqualified: the database is the connection's.
-- Times are DateTime64(3, 'UTC'), event time unless the comment says otherwise.

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

-- migration 2: what was held back, and silences made at run time

-- Why an alert did not become part of an incident, or only later.
CREATE TABLE IF NOT EXISTS suppression_versions
(
    alert String COMMENT 'id of the alert that is held back',
    version UInt32 COMMENT 'grows with every change of what holds it back',
    state LowCardinality(String) COMMENT 'active, ended',
    outcome LowCardinality(String) COMMENT 'once ended: resolved, correlated (it went on), forgotten',
    kind LowCardinality(String) COMMENT 'silence, maintenance, inhibition, dedup, flap, unopened',
    rule LowCardinality(String) COMMENT 'name of the rule',
    rule_version LowCardinality(String) COMMENT 'digest of the rule as it was when it matched',
    reason String COMMENT 'one sentence',
    by_alert String COMMENT 'id of the alert that speaks for this one, if one does',
    domain LowCardinality(String),
    since DateTime64(3, 'UTC') COMMENT 'held back since then',
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'looked at again at the latest then; once ended: its end',
    changed_at DateTime64(3, 'UTC') COMMENT 'event time of this version',
    service LowCardinality(String),
    metric String,
    severity LowCardinality(String),
    fingerprint String,
    started_at DateTime64(3, 'UTC') COMMENT 'of the alert',
    summary String COMMENT 'of the alert',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (alert, version);

CREATE TABLE IF NOT EXISTS silence_versions
(
    name String,
    version UInt64 COMMENT 'ms UTC of what made this version',
    state LowCardinality(String) COMMENT 'active, expired',
    rule_version LowCardinality(String) COMMENT 'as in suppression_versions',
    matchers Array(String),
    starts String COMMENT 'as it was written, in the zone unless it says otherwise',
    ends String,
    rrule String COMMENT 'RFC 5545',
    duration String,
    ends_at String COMMENT 'time of day at which each occurrence ends',
    zone LowCardinality(String) COMMENT 'IANA time zone',
    comment String,
    actor String COMMENT 'who did it',
    changed_at DateTime64(3, 'UTC') COMMENT 'event time of this version',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (name, version);

-- migration 3: the newest line of a log alert
ALTER TABLE alert_versions
    ADD COLUMN IF NOT EXISTS last_line String COMMENT 'kind log: the newest line; the first is samples[1]' AFTER count;

-- migration 4: what the catalogue says of an incident's services, its calls; the learned topology
ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS `services.owner` Array(LowCardinality(String)) COMMENT 'from the catalogue' AFTER `services.role`;
ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS `services.tier` Array(UInt8) COMMENT '1 to 4, 1 matters most; 0: not said' AFTER `services.owner`;
ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS `services.runbook` Array(String) AFTER `services.tier`;
ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS `services.links` Array(Map(String, String)) COMMENT 'title to address; of the suspected cause only' AFTER `services.runbook`;
ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS calls String COMMENT 'JSON array of [caller, callee, share of calls that failed]' AFTER truncated_members;

-- The newest record of each service as telemetry shows it; merges leave no older ones.
CREATE TABLE IF NOT EXISTS service_records
(
    service String,
    version UInt64 COMMENT 'at, in ms',
    at DateTime64(3, 'UTC') COMMENT 'event time of this record',
    seen_at Nullable(DateTime64(3, 'UTC')) COMMENT 'its telemetry or its calls were last seen about then',
    `calls.callee` Array(String) COMMENT 'services it calls, as learned',
    `calls.first_at` Array(DateTime64(3, 'UTC')),
    `calls.last_at` Array(DateTime64(3, 'UTC')),
    `calls.per_minute` Array(Float64) COMMENT 'lately, fading',
    `calls.failed` Array(Float64) COMMENT 'share of them',
    `calls.seen_in` Array(Array(LowCardinality(String))) COMMENT 'traces, metrics',
    truncated UInt32 COMMENT 'calls beyond the most that are kept',
    gone UInt8 COMMENT '1: forgotten, nothing was seen of it for long',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY service;

-- migration 5: what the past knows

ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS signature String COMMENT 'the same for incidents of the same kind' AFTER calls,
    ADD COLUMN IF NOT EXISTS similar String COMMENT 'JSON array of past incidents, most similar first; as rows: view similar' CODEC(ZSTD(3)) AFTER signature,
    ADD COLUMN IF NOT EXISTS suggestion String COMMENT 'cause and fix of the most similar one that has them' AFTER similar,
    ADD COLUMN IF NOT EXISTS problem String COMMENT 'id of the problem incidents of its kind have become' AFTER suggestion;

-- Incidents of one kind that keep coming back.
CREATE TABLE IF NOT EXISTS problem_versions
(
    id String,
    version UInt32 COMMENT 'grows with every fact',
    domain LowCardinality(String),
    state LowCardinality(String) COMMENT 'open, known_error, resolved, closed',
    signature String COMMENT 'of its incidents',
    title String COMMENT 'the signature in words',
    opened_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC') COMMENT 'event time of this version',
    first_seen DateTime64(3, 'UTC') COMMENT 'start of its first incident',
    last_seen DateTime64(3, 'UTC') COMMENT 'start of its newest incident',
    count UInt32 COMMENT 'incidents so far',
    incidents Array(String) COMMENT 'ids by start, the newest hundred',
    starts Array(DateTime64(3, 'UTC')) COMMENT 'of these',
    services Array(LowCardinality(String)),
    interval_ms Int64 COMMENT 'median time from one incident to the next, start to start',
    reopened UInt32 COMMENT 'how often it came back after it was resolved or closed',
    resolved_at Nullable(DateTime64(3, 'UTC')),
    closed_at Nullable(DateTime64(3, 'UTC')),
    owner LowCardinality(String),
    workaround String,
    cause String,
    cause_service LowCardinality(String),
    fix String,
    runbook String,
    actor String COMMENT 'who made this version; empty: Tocsin itself',
    note String COMMENT 'what they said with it',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

-- What people found out about an incident, during it or after it has closed.
CREATE TABLE IF NOT EXISTS knowledge_versions
(
    incident String,
    version UInt32 COMMENT 'grows when it is corrected',
    domain LowCardinality(String),
    title String COMMENT 'of the incident',
    started_at DateTime64(3, 'UTC') COMMENT 'of the incident',
    services Array(LowCardinality(String)) COMMENT 'of the incident',
    cause String,
    cause_service LowCardinality(String),
    fix String COMMENT 'what helped',
    runbook String COMMENT 'address of what to do the next time',
    actor String COMMENT 'who wrote it down',
    recorded_at DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (incident, version);
