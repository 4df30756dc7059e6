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
