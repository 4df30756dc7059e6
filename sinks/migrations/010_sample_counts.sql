-- migration 10: how many samples there were, kept longer than the samples

-- Counted as they are written: a page that is written again after a crash counts again.
CREATE TABLE IF NOT EXISTS sample_counts
(
    hour DateTime('UTC') COMMENT 'event time, its beginning',
    n UInt64 COMMENT 'samples written, a histogram counts one'
)
ENGINE = SummingMergeTree
ORDER BY hour
TTL hour + INTERVAL 3 YEAR;

CREATE MATERIALIZED VIEW IF NOT EXISTS sample_counts_mv TO sample_counts AS
SELECT toStartOfHour(toDateTime(ts, 'UTC')) AS hour, count() AS n FROM samples GROUP BY hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS sample_counts_histograms_mv TO sample_counts AS
SELECT toStartOfHour(toDateTime(ts, 'UTC')) AS hour, count() AS n FROM histogram_samples GROUP BY hour;
