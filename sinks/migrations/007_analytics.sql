-- migration 7: narrow rows for questions about many incidents, filled as rows come in; what is kept how long

-- Newest version of each incident without its long columns. Analytics read this, never incident_versions.
CREATE TABLE IF NOT EXISTS incident_facts
(
    id String,
    version UInt32,
    domain LowCardinality(String),
    state LowCardinality(String),
    kind LowCardinality(String),
    source LowCardinality(String),
    title String CODEC(ZSTD(1)),
    category LowCardinality(String),
    severity LowCardinality(String),
    priority LowCardinality(String),
    owner LowCardinality(String),
    assignee LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    detected_at DateTime64(3, 'UTC'),
    opened_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    acknowledged_at Nullable(DateTime64(3, 'UTC')),
    mitigated_at Nullable(DateTime64(3, 'UTC')),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    first_resolved_at Nullable(DateTime64(3, 'UTC')),
    closed_at Nullable(DateTime64(3, 'UTC')),
    resolved_by LowCardinality(String),
    active_ms Int64,
    reopened UInt32,
    services Array(LowCardinality(String)),
    hinted Array(LowCardinality(String)) COMMENT 'services of the hints, best first',
    alert_count UInt32,
    merged_into String,
    recurrence_of String,
    signature String,
    problem String,
    cause_service LowCardinality(String) COMMENT 'as people recorded it',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(opened_at)
ORDER BY id
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS incident_facts_mv TO incident_facts AS
SELECT
    id, version, domain, state, kind, source, title, category, severity, priority, owner, assignee,
    started_at, detected_at, opened_at, updated_at, acknowledged_at, mitigated_at, resolved_at,
    first_resolved_at, closed_at, resolved_by, active_ms, reopened,
    `services.service` AS services,
    arrayMap(item -> JSONExtractString(item, 'service'), JSONExtractArrayRaw(hints)) AS hinted,
    toUInt32(length(alerts) + truncated_members) AS alert_count,
    merged_into, recurrence_of, signature, problem, cause_service
FROM incident_versions;

INSERT INTO incident_facts
SELECT
    id, version, domain, state, kind, source, title, category, severity, priority, owner, assignee,
    started_at, detected_at, opened_at, updated_at, acknowledged_at, mitigated_at, resolved_at,
    first_resolved_at, closed_at, resolved_by, active_ms, reopened,
    `services.service` AS services,
    arrayMap(item -> JSONExtractString(item, 'service'), JSONExtractArrayRaw(hints)) AS hinted,
    toUInt32(length(alerts) + truncated_members) AS alert_count,
    merged_into, recurrence_of, signature, problem, cause_service, written_at
FROM incident_versions;

-- Incidents that were merged at some time (undone or not): a short way to them.
CREATE TABLE IF NOT EXISTS merged_facts
(
    id String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY id
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS merged_facts_mv TO merged_facts AS
SELECT id FROM incident_versions WHERE state = 'merged';

INSERT INTO merged_facts SELECT id, written_at FROM incident_versions WHERE state = 'merged';

-- Newest version of each clock.
CREATE TABLE IF NOT EXISTS clock_facts
(
    id String,
    version UInt32,
    incident String,
    domain LowCardinality(String),
    name LowCardinality(String),
    kind LowCardinality(String),
    state LowCardinality(String),
    started_at DateTime64(3, 'UTC'),
    warn_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    stopped_at Nullable(DateTime64(3, 'UTC')),
    paused_ms Int64,
    changed_at DateTime64(3, 'UTC'),
    basis String CODEC(ZSTD(1)),
    severity LowCardinality(String),
    owner LowCardinality(String),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS clock_facts_mv TO clock_facts AS
SELECT * FROM clock_versions;

INSERT INTO clock_facts SELECT * FROM clock_versions;

-- Each alert once, by the day it was detected, and whether it was ever held back: for the noise of a period.
CREATE TABLE IF NOT EXISTS alert_facts
(
    day Date,
    id String,
    kind LowCardinality(String),
    severity LowCardinality(String),
    service LowCardinality(String),
    detected_at DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, id)
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS alert_facts_mv TO alert_facts AS
SELECT toDate(detected_at, 'UTC') AS day, id, kind, severity, service, detected_at
FROM alert_versions
WHERE version = 1;

INSERT INTO alert_facts
SELECT toDate(detected_at, 'UTC') AS day, id, kind, severity, service, detected_at, written_at
FROM alert_versions
WHERE version = 1;

CREATE TABLE IF NOT EXISTS suppressed_facts
(
    day Date,
    alert String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, alert)
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS suppressed_facts_mv TO suppressed_facts AS
SELECT toDate(started_at, 'UTC') AS day, alert
FROM suppression_versions
WHERE kind != 'unopened';

INSERT INTO suppressed_facts
SELECT toDate(started_at, 'UTC') AS day, alert, written_at
FROM suppression_versions
WHERE kind != 'unopened';

-- What people did, and the answer.
CREATE TABLE IF NOT EXISTS action_records
(
    id String COMMENT 'applied once by it',
    incident String COMMENT 'empty for an action on a problem or a silence',
    problem String,
    silence String,
    action LowCardinality(String),
    actor LowCardinality(String),
    at DateTime64(3, 'UTC') COMMENT 'the time it names',
    note String,
    applied UInt8,
    reason String COMMENT 'applied, or why not',
    state LowCardinality(String) COMMENT 'afterwards',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY id
TTL toDateTime(written_at) + INTERVAL 3 YEAR;

-- How long rows are kept, counted from the wall clock of their insert. To keep them otherwise:
-- ALTER TABLE alert_versions MODIFY TTL toDateTime(written_at) + INTERVAL 5 YEAR
ALTER TABLE incident_versions MODIFY TTL toDateTime(written_at) + INTERVAL 3 YEAR;
ALTER TABLE alert_versions MODIFY TTL toDateTime(written_at) + INTERVAL 400 DAY;
ALTER TABLE suppression_versions MODIFY TTL toDateTime(written_at) + INTERVAL 400 DAY;
ALTER TABLE dead_letter_records MODIFY TTL toDateTime(written_at) + INTERVAL 90 DAY;
ALTER TABLE clock_versions MODIFY TTL toDateTime(written_at) + INTERVAL 3 YEAR;
ALTER TABLE duty_versions MODIFY TTL toDateTime(written_at) + INTERVAL 400 DAY;
ALTER TABLE notice_records MODIFY TTL toDateTime(written_at) + INTERVAL 400 DAY;
ALTER TABLE notification_versions MODIFY TTL toDateTime(written_at) + INTERVAL 400 DAY;
