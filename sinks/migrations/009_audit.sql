-- migration 9: who did what at the console, when and from where

-- Partitions go by the time the console names, so that a record delivered twice lands in one and is there
-- once; the TTL by the time of writing, so that no clock that is wrong makes a record vanish. A month is dropped whole.
CREATE TABLE IF NOT EXISTS audit_records
(
    id String COMMENT 'kept once by it',
    at DateTime64(3, 'UTC') COMMENT 'when the request was answered, by the clock of the console' CODEC(DoubleDelta, ZSTD(1)),
    who String COMMENT 'name of the person or program; empty: nobody we know' CODEC(ZSTD(1)),
    role LowCardinality(String) COMMENT 'viewer, responder, manager, admin; empty: nobody we know',
    via LowCardinality(String) COMMENT 'how we know: oidc, token, local (this machine, without access control), nobody',
    action LowCardinality(String) COMMENT 'login, login_refused, logout, token_refused, acknowledge, silence, reinject, refused, ...',
    target String COMMENT 'id of an incident, problem/ID, silence/NAME, or empty' CODEC(ZSTD(1)),
    what String COMMENT 'fields that were changed, and to what where that is short' CODEC(ZSTD(1)),
    reason String COMMENT 'why it was refused or failed' CODEC(ZSTD(1)),
    outcome LowCardinality(String) COMMENT 'done, refused, failed',
    status UInt16 COMMENT 'of HTTP',
    method LowCardinality(String) COMMENT 'of HTTP',
    route LowCardinality(String) COMMENT 'path with placeholders; empty: there is none',
    address String COMMENT 'where it came from; behind a trusted proxy what that says' CODEC(ZSTD(1)),
    agent String COMMENT 'what the program calls itself (User-Agent), at most 200 characters' CODEC(ZSTD(1)),
    request_id String COMMENT 'X-Request-Id of the answer' CODEC(ZSTD(1)),
    domain LowCardinality(String) COMMENT 'correlation domain of the incident or problem; empty: it is about none',
    n UInt32 COMMENT 'requests it stands for: repeats of a refusal within a minute, of which it is the last',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'wall clock of the insert',
    INDEX of_target target TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
TTL toDateTime(written_at) + INTERVAL 3 YEAR
SETTINGS ttl_only_drop_parts = 1;
