-- Views hold no data: they are replaced at every start, so a definition is changed right here.

-- Newest version of each incident; one row per id whatever was delivered twice.
CREATE OR REPLACE VIEW incidents AS
SELECT *
FROM incident_versions FINAL
WHERE (id, version) IN (SELECT id, version FROM incident_facts FINAL);

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

-- One row per figure of impact of the newest version.
CREATE OR REPLACE VIEW incident_impact AS
SELECT
    id AS incident,
    JSONExtractString(item, 'name') AS name,
    JSONExtractFloat(item, 'value') AS value,
    JSONExtractString(item, 'unit') AS unit,
    JSONExtractString(item, 'status') AS status,
    JSONExtractString(item, 'basis') AS basis,
    JSONExtractString(item, 'by') AS stated_by
FROM
(
    SELECT id, JSONExtractArrayRaw(impact) AS items FROM incidents
)
ARRAY JOIN items AS item;

-- One row per change a person made to what stood there.
CREATE OR REPLACE VIEW incident_audit AS
SELECT
    id AS incident,
    fromUnixTimestamp64Milli(JSONExtractInt(item, 'at_ms'), 'UTC') AS at,
    JSONExtractString(item, 'by') AS changed_by,
    JSONExtractString(item, 'field') AS field,
    JSONExtractString(item, 'before') AS before,
    JSONExtractString(item, 'after') AS after,
    JSONExtractString(item, 'reason') AS reason,
    JSONExtractString(item, 'action') AS action
FROM
(
    SELECT id, JSONExtractArrayRaw(edits) AS items FROM incidents
)
ARRAY JOIN items AS item;

-- Newest version of each.
CREATE OR REPLACE VIEW clocks AS SELECT * FROM clock_facts FINAL;

CREATE OR REPLACE VIEW duty AS
SELECT *
FROM duty_versions FINAL
WHERE (incident, version) IN (SELECT incident, max(version) FROM duty_versions GROUP BY incident);

CREATE OR REPLACE VIEW notices AS SELECT * FROM notice_records FINAL;

CREATE OR REPLACE VIEW notifications AS
SELECT *
FROM notification_versions FINAL
WHERE (target, dedup_key, version) IN
    (SELECT target, dedup_key, max(version) FROM notification_versions GROUP BY target, dedup_key);

CREATE OR REPLACE VIEW actions AS SELECT * FROM action_records FINAL;

-- Who did what at the console, each record once.
CREATE OR REPLACE VIEW console_audit
(
    id String COMMENT 'kept once by it',
    at DateTime64(3, 'UTC') COMMENT 'when the request was answered, by the clock of the console',
    who String COMMENT 'name of the person or program; empty: nobody we know',
    role LowCardinality(String) COMMENT 'viewer, responder, manager, admin; empty: nobody we know',
    via LowCardinality(String) COMMENT 'how we know: oidc, token, local (this machine, without access control), nobody',
    action LowCardinality(String) COMMENT 'login, login_refused, logout, token_refused, acknowledge, silence, reinject, refused, ...',
    target String COMMENT 'id of an incident, problem/ID, silence/NAME, or empty',
    what String COMMENT 'fields that were changed, and to what where that is short',
    reason String COMMENT 'why it was refused or failed',
    outcome LowCardinality(String) COMMENT 'done, refused, failed',
    status UInt16 COMMENT 'of HTTP',
    method LowCardinality(String) COMMENT 'of HTTP',
    route LowCardinality(String) COMMENT 'path with placeholders; empty: there is none',
    address String COMMENT 'where it came from; behind a trusted proxy what that says',
    agent String COMMENT 'what the program calls itself (User-Agent), at most 200 characters',
    request_id String COMMENT 'X-Request-Id of the answer',
    domain LowCardinality(String) COMMENT 'correlation domain of the incident or problem; empty: it is about none',
    n UInt32 COMMENT 'requests it stands for: repeats of a refusal within a minute, of which it is the last',
    written_at DateTime64(3, 'UTC') COMMENT 'wall clock of the insert'
)
AS SELECT * FROM audit_records FINAL;
