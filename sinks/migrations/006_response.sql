-- migration 6: classification, impact and audit of incidents; clocks, duty, notifications; what people write

ALTER TABLE incident_versions
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'incident' COMMENT 'incident, service request, problem' AFTER problem,
    ADD COLUMN IF NOT EXISTS source LowCardinality(String) DEFAULT 'detected' COMMENT 'detected, reported (by a person first)' AFTER kind,
    ADD COLUMN IF NOT EXISTS reported_by String COMMENT 'who reported it' AFTER source,
    ADD COLUMN IF NOT EXISTS assignee String COMMENT 'team or person a person assigned it to' AFTER reported_by,
    ADD COLUMN IF NOT EXISTS impact_level LowCardinality(String) COMMENT 'high, medium, low' AFTER assignee,
    ADD COLUMN IF NOT EXISTS urgency LowCardinality(String) COMMENT 'high, medium, low' AFTER impact_level,
    ADD COLUMN IF NOT EXISTS priority_basis String COMMENT 'why this priority, in a sentence' AFTER urgency,
    ADD COLUMN IF NOT EXISTS impact String COMMENT 'JSON array of figures {name, value, unit, status: estimate or confirmed, basis, by, at_ms}; as rows: view incident_impact' CODEC(ZSTD(3)) AFTER priority_basis,
    ADD COLUMN IF NOT EXISTS reputation Array(String) COMMENT 'tags: press, social media, ...' AFTER impact,
    ADD COLUMN IF NOT EXISTS aware_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when the organisation knew; GDPR and NIS2 clocks count from here' AFTER reputation,
    ADD COLUMN IF NOT EXISTS major_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when it was classified as major; the DORA clock counts from here' AFTER aware_at,
    ADD COLUMN IF NOT EXISTS pauses String COMMENT 'JSON array {from_ms, until_ms, reason, by}: service level clocks stood still' CODEC(ZSTD(3)) AFTER major_at,
    ADD COLUMN IF NOT EXISTS filings String COMMENT 'JSON array {name, at_ms, by, note}: reports and notices handed in' CODEC(ZSTD(3)) AFTER pauses,
    ADD COLUMN IF NOT EXISTS edits String COMMENT 'JSON array {at_ms, by, field, before, after, reason, action}: the audit; as rows: view incident_audit' CODEC(ZSTD(3)) AFTER filings,
    ADD COLUMN IF NOT EXISTS cause String COMMENT 'as people recorded it' AFTER edits,
    ADD COLUMN IF NOT EXISTS cause_service LowCardinality(String) COMMENT 'the service it was in' AFTER cause,
    ADD COLUMN IF NOT EXISTS fix String COMMENT 'what helped' AFTER cause_service;

-- One deadline of one incident: service level, customer notice, regulator.
CREATE TABLE IF NOT EXISTS clock_versions
(
    id String COMMENT 'digest of incident and name',
    version UInt32,
    incident String,
    domain LowCardinality(String),
    name LowCardinality(String) COMMENT 'sla respond, sla resolve, customer notice, gdpr notification, nis2 early warning, nis2 notification, nis2 final report, dora initial, dora intermediate, dora final',
    kind LowCardinality(String) COMMENT 'sla, customer, regulatory',
    state LowCardinality(String) COMMENT 'running, paused, warned, met, missed, cancelled',
    started_at DateTime64(3, 'UTC') COMMENT 'what it counts from',
    warn_at DateTime64(3, 'UTC') COMMENT 'pauses so far included',
    due_at DateTime64(3, 'UTC') COMMENT 'pauses so far included',
    stopped_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when what it waits for happened; NULL: not yet',
    paused_ms Int64 COMMENT 'ms it stood still so far',
    changed_at DateTime64(3, 'UTC') COMMENT 'of the fact, or the deadline itself, that made this version',
    basis String COMMENT 'which rule set it and what it counts from',
    severity LowCardinality(String),
    owner LowCardinality(String),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

-- Who is asked to look after an incident, and how far it has been escalated.
CREATE TABLE IF NOT EXISTS duty_versions
(
    incident String,
    version UInt32,
    domain LowCardinality(String),
    team LowCardinality(String),
    reason String COMMENT 'why this team',
    on_call Array(String) COMMENT 'people on call at changed_at',
    level UInt32 COMMENT 'tier of the escalation policy reached, from 1',
    levels UInt32 COMMENT 'tiers of the policy',
    policy LowCardinality(String),
    next_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when the next tier is asked unless somebody acknowledges',
    acknowledged UInt8,
    predicted_team LowCardinality(String) COMMENT 'by past incidents; never assigned by itself',
    predicted_confidence Float64,
    predicted_accuracy Nullable(Float64) COMMENT 'share of past predictions that were right; NULL: none to check yet',
    predicted_n UInt32 COMMENT 'past predictions that could be checked',
    runbook String,
    containment Array(String) COMMENT 'what may limit the damage',
    changed_at DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (incident, version);

-- What somebody was to be told beside the incident itself: escalations, clocks.
CREATE TABLE IF NOT EXISTS notice_records
(
    id String COMMENT 'digest of what it is about',
    incident String,
    domain LowCardinality(String),
    kind LowCardinality(String) COMMENT 'escalation, clock warned, clock missed, clock met',
    severity LowCardinality(String),
    title String,
    body String,
    recipients Array(String) COMMENT 'people or teams',
    at DateTime64(3, 'UTC'),
    clock String COMMENT 'id of the clock it is about, if it is about one',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY id;

-- What became of telling a target. Times are wall clock.
CREATE TABLE IF NOT EXISTS notification_versions
(
    target LowCardinality(String) COMMENT 'its name in the settings',
    kind LowCardinality(String) COMMENT 'pagerduty, slack, ...',
    dedup_key String COMMENT 'what the target knows the incident by',
    incident String,
    about LowCardinality(String) COMMENT 'opened, updated, resolved, escalation, clock warned, ...',
    version UInt32 COMMENT 'grows with every attempt',
    incident_version UInt32,
    state LowCardinality(String) COMMENT 'queued, sent, retrying, refused, failed, skipped',
    attempts UInt32,
    queued_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC'),
    external_id String COMMENT 'the name the target gave it: ticket key, thread, ...',
    url String,
    status UInt16 COMMENT 'of HTTP; 0: none',
    error String,
    open UInt8 COMMENT 'the target knows it as open',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (target, dedup_key, version);

-- What is to be done so that it does not come back.
CREATE TABLE IF NOT EXISTS action_item_versions
(
    id String,
    version UInt32,
    incident String,
    text String,
    owner LowCardinality(String),
    state LowCardinality(String) COMMENT 'open, in progress, done, dropped',
    due String COMMENT 'YYYY-MM-DD or empty',
    created_at DateTime64(3, 'UTC'),
    changed_at DateTime64(3, 'UTC'),
    actor String,
    note String,
    done_at Nullable(DateTime64(3, 'UTC')),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

-- Post-incident reviews as people have edited them, in Markdown.
CREATE TABLE IF NOT EXISTS review_versions
(
    incident String,
    version UInt32,
    text String CODEC(ZSTD(3)),
    actor String,
    changed_at DateTime64(3, 'UTC'),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (incident, version);

-- What employees and customers were told, or are to be told.
CREATE TABLE IF NOT EXISTS status_update_versions
(
    id String,
    version UInt32,
    incident String,
    audience LowCardinality(String) COMMENT 'employees, customers',
    about LowCardinality(String) COMMENT 'state of the incident it speaks of',
    state LowCardinality(String) COMMENT 'draft, held (until it is stable), sent, withdrawn',
    title String,
    text String,
    actor String COMMENT 'who released or changed it; empty: Tocsin',
    changed_at DateTime64(3, 'UTC'),
    sent_at Nullable(DateTime64(3, 'UTC')),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert'
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);
