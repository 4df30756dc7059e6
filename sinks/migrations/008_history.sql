-- migration 8: samples as they were judged

-- One row a sample of a series that is watched; what is delivered twice is one row. Kept for `history.days`.
CREATE TABLE IF NOT EXISTS samples
(
    fp UInt64 COMMENT 'fingerprint of the series; alerts carry it in hex' CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') COMMENT 'event time' CODEC(DoubleDelta, ZSTD(1)),
    value Float64 COMMENT 'as it was judged: counters as rates, histograms as quantiles and means' CODEC(Gorilla, ZSTD(1)),
    expected Float32 COMMENT 'what was expected; nan: nothing yet' CODEC(Gorilla, ZSTD(1)),
    lower Float32 COMMENT 'where it would be out of the usual, below' CODEC(Gorilla, ZSTD(1)),
    upper Float32 COMMENT 'where it would be out of the usual, above' CODEC(Gorilla, ZSTD(1)),
    score Float32 COMMENT '0 to 1; 0 while it is still learning' CODEC(Gorilla, ZSTD(1)),
    reason UInt8 COMMENT 'what gave the score, see docs/history.md' CODEC(T64, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(ts)
ORDER BY (fp, ts)
TTL toDateTime(ts) + INTERVAL 3 DAY
SETTINGS ttl_only_drop_parts = 1;

-- What the fingerprints mean; the newest description of each series.
CREATE TABLE IF NOT EXISTS series
(
    fp UInt64 COMMENT 'as in samples',
    service LowCardinality(String),
    metric LowCardinality(String) COMMENT 'with what it was derived into: rate, p95, error ratio, ...',
    unit LowCardinality(String),
    labels Map(String, String) COMMENT 'its identity, with service and metric',
    resource Map(String, String) COMMENT 'where it runs: host, zone, version, ...',
    domain LowCardinality(String) COMMENT 'correlation domain (tenant, environment)',
    seen_at DateTime64(3, 'UTC') COMMENT 'of a sample within the last hour of event time before the newest'
)
ENGINE = ReplacingMergeTree(seen_at)
ORDER BY fp
TTL toDateTime(seen_at) + INTERVAL 30 DAY;
