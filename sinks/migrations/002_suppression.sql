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
