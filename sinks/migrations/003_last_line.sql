-- migration 3: the newest line of a log alert
ALTER TABLE alert_versions
    ADD COLUMN IF NOT EXISTS last_line String COMMENT 'kind log: the newest line; the first is samples[1]' AFTER count;
