-- migration 8: what was measured, kept for some days, for charts and for judging again

-- Partitions and TTL go by the time of writing: a replay of old data lands in one partition, is kept as long
-- as any other, and a day is dropped whole. A repeat of another day stays a row of its own; readers use FINAL.
CREATE TABLE IF NOT EXISTS samples
(
    fingerprint UInt64 COMMENT 'of the series, as in the table series' CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') COMMENT 'event time' CODEC(DoubleDelta, ZSTD(1)),
    value Float64 COMMENT 'as sent: a counter is its running total' CODEC(Gorilla, ZSTD(1)),
    written_at DateTime('UTC') DEFAULT now('UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(written_at)
ORDER BY (fingerprint, ts)
TTL written_at + toIntervalDay(3)
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS histogram_samples
(
    fingerprint UInt64 COMMENT 'of the series, as in the table series' CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') COMMENT 'event time' CODEC(DoubleDelta, ZSTD(1)),
    sum Float64 COMMENT 'of what was observed; not a number when it was not sent' CODEC(Gorilla, ZSTD(1)),
    counts Array(Float64) COMMENT 'one a bucket; the bounds are in the table series' CODEC(ZSTD(1)),
    written_at DateTime('UTC') DEFAULT now('UTC') CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(written_at)
ORDER BY (fingerprint, ts)
TTL written_at + toIntervalDay(3)
SETTINGS ttl_only_drop_parts = 1;

-- The newest description of each series as it was sent.
CREATE TABLE IF NOT EXISTS series
(
    fingerprint UInt64,
    service LowCardinality(String),
    metric LowCardinality(String),
    kind LowCardinality(String) COMMENT 'gauge, counter, delta, histogram, histogram_delta',
    unit LowCardinality(String),
    instance String,
    domain LowCardinality(String) COMMENT 'correlation domain (tenant, environment), as correlate.domain_label has it; else default',
    labels Map(LowCardinality(String), String) COMMENT 'identity, with service and metric',
    resource Map(LowCardinality(String), String) COMMENT 'context: host, zone, env, version, ...',
    bounds Array(Float64) COMMENT 'upper bounds of the buckets of a histogram',
    derived Array(UInt64) COMMENT 'fingerprints of the series detectors may make of it: rates, quantiles, error ratios',
    first_seen DateTime64(3, 'UTC') COMMENT 'event time of the first sample known when it was written',
    last_seen DateTime64(3, 'UTC') COMMENT 'event time of the newest sample when it was last described',
    written_at DateTime('UTC') DEFAULT now('UTC'),
    INDEX of_derived derived TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(last_seen)
ORDER BY fingerprint
TTL written_at + toIntervalDay(3);
