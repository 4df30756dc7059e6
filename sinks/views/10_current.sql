-- Views hold no data: they are replaced at every start, so a definition is changed right here.

-- Newest version of each incident; one row per id whatever was delivered twice.
CREATE OR REPLACE VIEW incidents AS
SELECT *
FROM incident_versions FINAL
WHERE (id, version) IN (SELECT id, max(version) FROM incident_versions GROUP BY id);

CREATE OR REPLACE VIEW alerts AS
SELECT *
FROM alert_versions FINAL
WHERE (id, version) IN (SELECT id, max(version) FROM alert_versions GROUP BY id);

-- Newest version of the record of each alert that was held back.
CREATE OR REPLACE VIEW suppressions AS
SELECT *
FROM suppression_versions FINAL
WHERE (alert, version) IN (SELECT alert, max(version) FROM suppression_versions GROUP BY alert);

-- What each version of a rule has held back: alerts, those it holds now, and those that went on.
CREATE OR REPLACE VIEW suppression_rules AS
SELECT
    kind,
    rule,
    rule_version,
    uniqExact(alert) AS alerts,
    uniqExactIf(alert, state = 'active' AND (alert, version) IN (SELECT alert, max(version) FROM suppression_versions GROUP BY alert)) AS held,
    uniqExactIf(alert, outcome = 'correlated') AS correlated,
    min(changed_at) AS first_at,
    max(changed_at) AS last_at
FROM suppression_versions FINAL
GROUP BY kind, rule, rule_version;

-- Newest version of each silence made at run time, with what it has held back.
CREATE OR REPLACE VIEW silences AS
SELECT
    s.name AS name,
    s.version AS version,
    s.state AS state,
    s.rule_version AS rule_version,
    s.matchers AS matchers,
    s.starts AS starts,
    s.ends AS ends,
    s.rrule AS rrule,
    s.duration AS duration,
    s.ends_at AS ends_at,
    s.zone AS zone,
    s.comment AS comment,
    s.actor AS actor,
    s.changed_at AS changed_at,
    r.alerts AS alerts,
    r.held AS held
FROM
(
    SELECT *
    FROM silence_versions FINAL
    WHERE (name, version) IN (SELECT name, max(version) FROM silence_versions GROUP BY name)
) AS s
LEFT JOIN
(
    SELECT rule, rule_version, alerts, held FROM suppression_rules WHERE kind = 'silence'
) AS r ON r.rule = s.name AND r.rule_version = s.rule_version;

-- Services as telemetry shows them, and the calls learned of each.
CREATE OR REPLACE VIEW services_seen AS
SELECT *
FROM service_records FINAL
WHERE gone = 0;

CREATE OR REPLACE VIEW calls_seen AS
SELECT
    service AS caller,
    callee,
    first_at,
    last_at,
    per_minute,
    failed,
    seen_in,
    at
FROM services_seen
ARRAY JOIN
    `calls.callee` AS callee,
    `calls.first_at` AS first_at,
    `calls.last_at` AS last_at,
    `calls.per_minute` AS per_minute,
    `calls.failed` AS failed,
    `calls.seen_in` AS seen_in;

-- Newest version of each problem.
CREATE OR REPLACE VIEW problems AS
SELECT *
FROM problem_versions FINAL
WHERE (id, version) IN (SELECT id, max(version) FROM problem_versions GROUP BY id);

-- Newest version of what is known of each incident.
CREATE OR REPLACE VIEW knowledge AS
SELECT *
FROM knowledge_versions FINAL
WHERE (incident, version) IN (SELECT incident, max(version) FROM knowledge_versions GROUP BY incident);

-- One row per past incident that the newest version of an incident names; rank 1 is the most similar.
CREATE OR REPLACE VIEW similar AS
SELECT
    id AS incident,
    version,
    rank,
    JSONExtractString(item, 'id') AS past,
    JSONExtractFloat(item, 'similarity') AS similarity,
    JSONExtractString(item, 'why') AS why,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'closed_at'), 'UTC') AS closed_at,
    JSONExtractBool(item, 'same') AS same,
    JSONExtractString(item, 'cause') AS cause,
    JSONExtractString(item, 'cause_service') AS cause_service,
    JSONExtractString(item, 'fix') AS fix,
    JSONExtractString(item, 'runbook') AS runbook
FROM
(
    SELECT id, version, JSONExtractArrayRaw(similar) AS items FROM incidents
)
ARRAY JOIN items AS item, arrayEnumerate(items) AS rank;

CREATE OR REPLACE VIEW dead_letters AS
SELECT * FROM dead_letter_records FINAL;

-- One row per hint of the newest version; rank 1 is the best.
CREATE OR REPLACE VIEW hints AS
SELECT
    id AS incident,
    version,
    rank,
    JSONExtractString(item, 'service') AS service,
    JSONExtractFloat(item, 'confidence') AS confidence,
    JSONExtractString(item, 'cause') AS cause,
    JSONExtract(item, 'evidence', 'Array(Tuple(kind String, text String, weight Float64, at_ms Nullable(Int64), ref String))') AS evidence
FROM
(
    SELECT id, version, JSONExtractArrayRaw(hints) AS items FROM incidents
)
ARRAY JOIN items AS item, arrayEnumerate(items) AS rank;

-- One row per member alert, with the named reasons it joined.
CREATE OR REPLACE VIEW memberships AS
SELECT
    id AS incident,
    version,
    JSONExtractString(item, 'alert_id') AS alert,
    JSONExtractString(item, 'service') AS service,
    JSONExtractString(item, 'kind') AS kind,
    JSONExtractString(item, 'metric') AS metric,
    JSONExtractString(item, 'severity') AS severity,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'started_at'), 'UTC') AS started_at,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'detected_at'), 'UTC') AS detected_at,
    fromUnixTimestamp64Milli(JSONExtract(item, 'resolved_at', 'Nullable(Int64)'), 'UTC') AS resolved_at,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'joined_at'), 'UTC') AS joined_at,
    JSONExtractFloat(item, 'strength') AS strength,
    JSONExtractString(item, 'summary') AS summary,
    JSONExtract(item, 'reasons', 'Array(Tuple(name String, weight Float64, detail String))') AS reasons
FROM
(
    SELECT id, version, JSONExtractArrayRaw(members) AS items FROM incidents
)
ARRAY JOIN items AS item;

-- One row per entry of the timeline of the newest version, in order.
CREATE OR REPLACE VIEW timeline AS
SELECT
    id AS incident,
    version,
    position,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'at_ms'), 'UTC') AS at,
    JSONExtractString(item, 'kind') AS kind,
    JSONExtractString(item, 'text') AS text,
    JSONExtractString(item, 'ref') AS ref
FROM
(
    SELECT id, version, JSONExtractArrayRaw(timeline) AS items FROM incidents
)
ARRAY JOIN items AS item, arrayEnumerate(items) AS position;

-- Timing of each incident, in ms. A merged incident is counted once: by its survivor, with the
-- earliest start and detection of both. What did not happen is NULL, never 0.
--   mttd_ms = detected - started        mtta_ms = acknowledged - detected (NULL: never acknowledged)
--   mttr_ms = resolved - started, at the last resolve (NULL: active)
--   first_mttr_ms = the same at the first resolve; active_ms leaves out the calm before reopening
--   ack_from_open_ms, resolve_from_open_ms: counted from opened_at
CREATE OR REPLACE VIEW incident_timing AS
SELECT
    i.id AS id,
    i.domain AS domain,
    i.state AS state,
    i.title AS title,
    i.category AS category,
    i.severity AS severity,
    i.priority AS priority,
    i.owner AS owner,
    i.services AS services,
    i.cause_service AS cause_service,
    i.alert_count AS alert_count,
    if(m.n > 0, least(i.started_at, m.started_at), i.started_at) AS started_at,
    if(m.n > 0, least(i.detected_at, m.detected_at), i.detected_at) AS detected_at,
    i.opened_at AS opened_at,
    i.acknowledged_at AS acknowledged_at,
    i.mitigated_at AS mitigated_at,
    i.resolved_at AS resolved_at,
    i.first_resolved_at AS first_resolved_at,
    i.closed_at AS closed_at,
    i.resolved_by AS resolved_by,
    i.reopened AS reopened,
    m.n AS merged,
    i.acknowledged_at IS NOT NULL AS acknowledged,
    toUnixTimestamp64Milli(detected_at) - toUnixTimestamp64Milli(started_at) AS mttd_ms,
    toUnixTimestamp64Milli(acknowledged_at) - toUnixTimestamp64Milli(detected_at) AS mtta_ms,
    toUnixTimestamp64Milli(resolved_at) - toUnixTimestamp64Milli(started_at) AS mttr_ms,
    toUnixTimestamp64Milli(first_resolved_at) - toUnixTimestamp64Milli(started_at) AS first_mttr_ms,
    toUnixTimestamp64Milli(acknowledged_at) - toUnixTimestamp64Milli(opened_at) AS ack_from_open_ms,
    toUnixTimestamp64Milli(resolved_at) - toUnixTimestamp64Milli(opened_at) AS resolve_from_open_ms,
    if(resolved_at IS NULL, NULL, i.active_ms) AS active_ms
FROM
(
    SELECT
        id, domain, state, title, category, severity, priority, owner,
        `services.service` AS services,
        JSONExtractString(hints, 1, 'service') AS cause_service,
        length(alerts) + truncated_members AS alert_count,
        started_at, detected_at, opened_at, acknowledged_at, mitigated_at, resolved_at,
        first_resolved_at, closed_at, resolved_by, reopened, active_ms
    FROM incidents
    WHERE state != 'merged'
) AS i
LEFT JOIN
(
    SELECT
        merged_into AS survivor,
        toUInt32(count()) AS n,
        min(incidents.started_at) AS started_at,
        min(incidents.detected_at) AS detected_at
    FROM incidents
    WHERE state = 'merged'
    GROUP BY merged_into
) AS m ON m.survivor = i.id;

-- One row per UTC day between the first and the last resolve, bucket by resolve time. On a day without
-- a resolve n is 0 and every figure NULL. Quantiles interpolate linearly between neighbours.
CREATE OR REPLACE VIEW incident_timing_daily AS
SELECT
    d.day AS day,
    t.n AS n,
    t.n_auto AS n_auto,
    t.n_human AS n_human,
    t.n_acknowledged AS n_acknowledged,
    t.ack_rate AS ack_rate,
    t.mttd_p50_ms AS mttd_p50_ms, t.mttd_p90_ms AS mttd_p90_ms, t.mttd_p95_ms AS mttd_p95_ms, t.mttd_mean_ms AS mttd_mean_ms,
    t.mtta_p50_ms AS mtta_p50_ms, t.mtta_p90_ms AS mtta_p90_ms, t.mtta_p95_ms AS mtta_p95_ms, t.mtta_mean_ms AS mtta_mean_ms,
    t.mttr_p50_ms AS mttr_p50_ms, t.mttr_p90_ms AS mttr_p90_ms, t.mttr_p95_ms AS mttr_p95_ms, t.mttr_mean_ms AS mttr_mean_ms,
    t.mttr_auto_p50_ms AS mttr_auto_p50_ms, t.mttr_auto_p90_ms AS mttr_auto_p90_ms,
    t.mttr_auto_p95_ms AS mttr_auto_p95_ms, t.mttr_auto_mean_ms AS mttr_auto_mean_ms,
    t.mttr_human_p50_ms AS mttr_human_p50_ms, t.mttr_human_p90_ms AS mttr_human_p90_ms,
    t.mttr_human_p95_ms AS mttr_human_p95_ms, t.mttr_human_mean_ms AS mttr_human_mean_ms
FROM
(
    SELECT arrayJoin(arrayMap(x -> toDate(x), range(toUInt32(first_day), toUInt32(last_day) + 1))) AS day
    FROM
    (
        SELECT min(toDate(resolved_at, 'UTC')) AS first_day, max(toDate(resolved_at, 'UTC')) AS last_day
        FROM incident_timing
        WHERE resolved_at IS NOT NULL
        HAVING count() > 0
    )
) AS d
LEFT JOIN
(
    SELECT
        assumeNotNull(toDate(resolved_at, 'UTC')) AS day,
        count() AS n,
        countIf(resolved_by = 'auto') AS n_auto,
        countIf(resolved_by = 'human') AS n_human,
        countIf(acknowledged) AS n_acknowledged,
        toNullable(countIf(acknowledged) / count()) AS ack_rate,
        quantileExactInclusiveOrNull(0.5)(mttd_ms) AS mttd_p50_ms,
        quantileExactInclusiveOrNull(0.9)(mttd_ms) AS mttd_p90_ms,
        quantileExactInclusiveOrNull(0.95)(mttd_ms) AS mttd_p95_ms,
        avgOrNull(mttd_ms) AS mttd_mean_ms,
        quantileExactInclusiveOrNull(0.5)(mtta_ms) AS mtta_p50_ms,
        quantileExactInclusiveOrNull(0.9)(mtta_ms) AS mtta_p90_ms,
        quantileExactInclusiveOrNull(0.95)(mtta_ms) AS mtta_p95_ms,
        avgOrNull(mtta_ms) AS mtta_mean_ms,
        quantileExactInclusiveOrNull(0.5)(mttr_ms) AS mttr_p50_ms,
        quantileExactInclusiveOrNull(0.9)(mttr_ms) AS mttr_p90_ms,
        quantileExactInclusiveOrNull(0.95)(mttr_ms) AS mttr_p95_ms,
        avgOrNull(mttr_ms) AS mttr_mean_ms,
        quantileExactInclusiveIfOrNull(0.5)(mttr_ms, resolved_by = 'auto') AS mttr_auto_p50_ms,
        quantileExactInclusiveIfOrNull(0.9)(mttr_ms, resolved_by = 'auto') AS mttr_auto_p90_ms,
        quantileExactInclusiveIfOrNull(0.95)(mttr_ms, resolved_by = 'auto') AS mttr_auto_p95_ms,
        avgIfOrNull(mttr_ms, resolved_by = 'auto') AS mttr_auto_mean_ms,
        quantileExactInclusiveIfOrNull(0.5)(mttr_ms, resolved_by = 'human') AS mttr_human_p50_ms,
        quantileExactInclusiveIfOrNull(0.9)(mttr_ms, resolved_by = 'human') AS mttr_human_p90_ms,
        quantileExactInclusiveIfOrNull(0.95)(mttr_ms, resolved_by = 'human') AS mttr_human_p95_ms,
        avgIfOrNull(mttr_ms, resolved_by = 'human') AS mttr_human_mean_ms
    FROM incident_timing
    WHERE resolved_at IS NOT NULL
    GROUP BY day
) AS t ON t.day = d.day;
