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
