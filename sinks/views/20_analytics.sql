-- Questions about many incidents. All read the narrow tables of migration 7. Durations are ms; what has not
-- happened is NULL, never 0. Incidents only: service requests are in `incidents` and nowhere here.

-- Timing of each incident. A merged one is counted once: by its survivor, with the earliest start and
-- detection of both.
CREATE OR REPLACE VIEW incident_timings AS
SELECT
    i.id AS id,
    i.domain AS domain,
    i.state AS state,
    i.title AS title,
    i.category AS category,
    i.severity AS severity,
    i.priority AS priority,
    i.owner AS owner,
    if(i.assignee != '', i.assignee, i.owner) AS team,
    i.services AS services,
    if(empty(i.hinted), '', i.hinted[1]) AS cause_service,
    i.source AS source,
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
    SELECT * FROM incident_facts FINAL WHERE state != 'merged' AND kind = 'incident'
) AS i
LEFT JOIN
(
    SELECT
        merged_into AS survivor,
        toUInt32(count()) AS n,
        min(incident_facts.started_at) AS started_at,
        min(incident_facts.detected_at) AS detected_at
    FROM incident_facts FINAL
    WHERE state = 'merged' AND id IN (SELECT id FROM merged_facts)
    GROUP BY merged_into
) AS m ON m.survivor = i.id
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE incident_timings
    COMMENT COLUMN id 'of the incident',
    COMMENT COLUMN domain 'correlation domain: tenant, environment',
    COMMENT COLUMN state 'open, acknowledged, mitigated, resolved, closed, reopened',
    COMMENT COLUMN title 'in a sentence',
    COMMENT COLUMN category 'service disruption, performance degradation, security incident, operational issue',
    COMMENT COLUMN severity 'info, warning, error, critical',
    COMMENT COLUMN priority 'P1 to P4: impact x urgency',
    COMMENT COLUMN owner 'of the suspected cause, by the catalogue',
    COMMENT COLUMN team 'whom a person assigned it to, else the owner',
    COMMENT COLUMN services 'all that take part, the suspected cause first',
    COMMENT COLUMN cause_service 'service of the first hint; empty: unknown',
    COMMENT COLUMN source 'detected, or reported by a person first',
    COMMENT COLUMN alert_count 'member alerts',
    COMMENT COLUMN started_at 'first anomalous sample, or as corrected by a person',
    COMMENT COLUMN detected_at 'first alert firing',
    COMMENT COLUMN opened_at 'when it became an incident',
    COMMENT COLUMN acknowledged_at 'first acknowledge by a person; NULL: never',
    COMMENT COLUMN mitigated_at 'damage contained; NULL: not stated',
    COMMENT COLUMN resolved_at 'last resolve; NULL: active',
    COMMENT COLUMN first_resolved_at 'first resolve; differs from resolved_at where it was reopened',
    COMMENT COLUMN closed_at 'end of the verification window',
    COMMENT COLUMN resolved_by 'auto (all alerts over) or human',
    COMMENT COLUMN reopened 'how often',
    COMMENT COLUMN merged 'incidents that were merged into it',
    COMMENT COLUMN acknowledged '1: by a person',
    COMMENT COLUMN mttd_ms 'detected_at - started_at',
    COMMENT COLUMN mtta_ms 'acknowledged_at - detected_at; NULL: never acknowledged',
    COMMENT COLUMN mttr_ms 'resolved_at - started_at (restore), at the last resolve; NULL: active',
    COMMENT COLUMN first_mttr_ms 'the same at the first resolve',
    COMMENT COLUMN ack_from_open_ms 'acknowledged_at - opened_at',
    COMMENT COLUMN resolve_from_open_ms 'resolved_at - opened_at',
    COMMENT COLUMN active_ms 'mttr_ms without the calm before it was reopened; NULL: active';

-- One row per UTC day between the first and the last resolve, bucket by resolve time. On a day without
-- a resolve n is 0 and every figure NULL. Quantiles interpolate linearly between neighbours.
CREATE OR REPLACE VIEW mtta_mttr_daily AS
SELECT
    day,
    n,
    n_auto,
    n_human,
    n_acknowledged,
    ack_rate,
    mttd_p50_ms, mttd_p90_ms, mttd_p95_ms, mttd_mean_ms,
    mtta_p50_ms, mtta_p90_ms, mtta_p95_ms, mtta_mean_ms,
    mttr_p50_ms, mttr_p90_ms, mttr_p95_ms, mttr_mean_ms,
    mttr_auto_p50_ms, mttr_auto_p90_ms,
    mttr_auto_p95_ms, mttr_auto_mean_ms,
    mttr_human_p50_ms, mttr_human_p90_ms,
    mttr_human_p95_ms, mttr_human_mean_ms
FROM
(
    SELECT
        assumeNotNull(toDate(resolved_at, 'UTC')) AS day,
        count() AS n,
        countIf(resolved_by = 'auto') AS n_auto,
        countIf(resolved_by = 'human') AS n_human,
        countIf(acknowledged) AS n_acknowledged,
        toNullable(countIf(acknowledged) / count()) AS ack_rate,
        quantilesExactInclusiveOrNull(0.5, 0.9, 0.95)(mttd_ms) AS mttd,
        if(empty(mttd), NULL, mttd[1]) AS mttd_p50_ms, if(empty(mttd), NULL, mttd[2]) AS mttd_p90_ms, if(empty(mttd), NULL, mttd[3]) AS mttd_p95_ms,
        avgOrNull(mttd_ms) AS mttd_mean_ms,
        quantilesExactInclusiveOrNull(0.5, 0.9, 0.95)(mtta_ms) AS mtta,
        if(n_acknowledged = 0, NULL, mtta[1]) AS mtta_p50_ms, if(n_acknowledged = 0, NULL, mtta[2]) AS mtta_p90_ms, if(n_acknowledged = 0, NULL, mtta[3]) AS mtta_p95_ms,
        avgOrNull(mtta_ms) AS mtta_mean_ms,
        quantilesExactInclusiveOrNull(0.5, 0.9, 0.95)(mttr_ms) AS mttr,
        if(empty(mttr), NULL, mttr[1]) AS mttr_p50_ms, if(empty(mttr), NULL, mttr[2]) AS mttr_p90_ms, if(empty(mttr), NULL, mttr[3]) AS mttr_p95_ms,
        avgOrNull(mttr_ms) AS mttr_mean_ms,
        quantilesExactInclusiveIfOrNull(0.5, 0.9, 0.95)(mttr_ms, resolved_by = 'auto') AS auto,
        if(n_auto = 0, NULL, auto[1]) AS mttr_auto_p50_ms, if(n_auto = 0, NULL, auto[2]) AS mttr_auto_p90_ms, if(n_auto = 0, NULL, auto[3]) AS mttr_auto_p95_ms,
        avgIfOrNull(mttr_ms, resolved_by = 'auto') AS mttr_auto_mean_ms,
        quantilesExactInclusiveIfOrNull(0.5, 0.9, 0.95)(mttr_ms, resolved_by = 'human') AS human,
        if(n_human = 0, NULL, human[1]) AS mttr_human_p50_ms, if(n_human = 0, NULL, human[2]) AS mttr_human_p90_ms, if(n_human = 0, NULL, human[3]) AS mttr_human_p95_ms,
        avgIfOrNull(mttr_ms, resolved_by = 'human') AS mttr_human_mean_ms
    FROM incident_timings
    WHERE resolved_at IS NOT NULL
    GROUP BY day
)
ORDER BY day WITH FILL;

ALTER TABLE mtta_mttr_daily
    COMMENT COLUMN day 'UTC day of the resolve',
    COMMENT COLUMN n 'incidents resolved, the merged counted once',
    COMMENT COLUMN n_auto 'of these: by themselves',
    COMMENT COLUMN n_human 'of these: by a person',
    COMMENT COLUMN n_acknowledged 'of these: acknowledged by a person',
    COMMENT COLUMN ack_rate 'n_acknowledged / n; NULL: none',
    COMMENT COLUMN mttd_p50_ms 'detected - started, median',
    COMMENT COLUMN mttd_p90_ms 'detected - started, 90th percentile',
    COMMENT COLUMN mttd_p95_ms 'detected - started, 95th percentile',
    COMMENT COLUMN mttd_mean_ms 'detected - started, mean',
    COMMENT COLUMN mtta_p50_ms 'acknowledged - detected, of those acknowledged, median',
    COMMENT COLUMN mtta_p90_ms 'acknowledged - detected, of those acknowledged, 90th percentile',
    COMMENT COLUMN mtta_p95_ms 'acknowledged - detected, of those acknowledged, 95th percentile',
    COMMENT COLUMN mtta_mean_ms 'acknowledged - detected, of those acknowledged, mean',
    COMMENT COLUMN mttr_p50_ms 'resolved - started (restore), median',
    COMMENT COLUMN mttr_p90_ms 'resolved - started, 90th percentile',
    COMMENT COLUMN mttr_p95_ms 'resolved - started, 95th percentile',
    COMMENT COLUMN mttr_mean_ms 'resolved - started, mean',
    COMMENT COLUMN mttr_auto_p50_ms 'resolved - started, of those resolved by themselves, median',
    COMMENT COLUMN mttr_auto_p90_ms 'the same, 90th percentile',
    COMMENT COLUMN mttr_auto_p95_ms 'the same, 95th percentile',
    COMMENT COLUMN mttr_auto_mean_ms 'the same, mean',
    COMMENT COLUMN mttr_human_p50_ms 'resolved - started, of those resolved by a person, median',
    COMMENT COLUMN mttr_human_p90_ms 'the same, 90th percentile',
    COMMENT COLUMN mttr_human_p95_ms 'the same, 95th percentile',
    COMMENT COLUMN mttr_human_mean_ms 'the same, mean';

-- Former names.
CREATE OR REPLACE VIEW incident_timing AS SELECT * FROM incident_timings;
CREATE OR REPLACE VIEW incident_timing_daily AS SELECT * FROM mtta_mttr_daily;

-- How service levels were kept, per UTC day on which they were due.
CREATE OR REPLACE VIEW sla_compliance AS
SELECT
    toDate(due_at, 'UTC') AS day,
    name,
    severity,
    owner AS team,
    countIf(state IN ('met', 'missed')) AS n,
    countIf(state = 'met') AS met,
    countIf(state = 'missed') AS missed,
    countIf(state IN ('running', 'warned', 'paused')) AS open,
    if(n > 0, met / n, NULL) AS compliance
FROM clock_facts FINAL
WHERE kind = 'sla' AND state != 'cancelled'
GROUP BY day, name, severity, team;

ALTER TABLE sla_compliance
    COMMENT COLUMN day 'UTC day it was due',
    COMMENT COLUMN name 'sla respond, sla resolve',
    COMMENT COLUMN severity 'that set the time allowed',
    COMMENT COLUMN team 'whose incident it was',
    COMMENT COLUMN n 'clocks that were met or missed',
    COMMENT COLUMN met 'stopped in time',
    COMMENT COLUMN missed 'not stopped in time, also if stopped later',
    COMMENT COLUMN open 'neither yet',
    COMMENT COLUMN compliance 'met / n; NULL: none was due';

-- Every clock as it stands, with what remains of those that run.
CREATE OR REPLACE VIEW clock_status AS
SELECT
    id, incident, name, kind, state, severity, owner AS team, started_at, warn_at, due_at, stopped_at, paused_ms, basis,
    if(state IN ('running', 'warned'), toUnixTimestamp64Milli(due_at) - toUnixTimestamp64Milli(now64(3, 'UTC')), NULL) AS left_ms
FROM clock_facts FINAL;

ALTER TABLE clock_status
    COMMENT COLUMN id 'of the clock',
    COMMENT COLUMN incident 'it belongs to',
    COMMENT COLUMN name 'sla respond, sla resolve, customer notice, gdpr notification, nis2 ..., dora ...',
    COMMENT COLUMN kind 'sla, customer, regulatory',
    COMMENT COLUMN state 'running, paused, warned, met, missed, cancelled',
    COMMENT COLUMN severity 'of the incident',
    COMMENT COLUMN team 'whose incident it is',
    COMMENT COLUMN started_at 'what it counts from',
    COMMENT COLUMN warn_at 'pauses so far included',
    COMMENT COLUMN due_at 'pauses so far included',
    COMMENT COLUMN stopped_at 'when what it waits for happened; NULL: not yet',
    COMMENT COLUMN paused_ms 'it stood still for so long',
    COMMENT COLUMN basis 'which rule set it',
    COMMENT COLUMN left_ms 'until it is due, negative once it was; NULL unless it runs';

-- What became of the alerts of a UTC day. Records and samples are counters of the worker (its metrics), not rows.
CREATE OR REPLACE VIEW noise_reduction AS
SELECT
    day,
    sum(alerts) AS alerts,
    sum(suppressed) AS suppressed,
    sum(incidents) AS incidents,
    if(alerts > 0, 1 - incidents / alerts, NULL) AS reduction
FROM
(
    SELECT day, count() AS alerts, 0 AS suppressed, 0 AS incidents FROM alert_facts FINAL GROUP BY day
    UNION ALL
    SELECT day, 0, count(), 0 FROM suppressed_facts FINAL GROUP BY day
    UNION ALL
    SELECT toDate(detected_at, 'UTC') AS day, 0, 0, count()
    FROM incident_facts FINAL
    WHERE state != 'merged' AND kind = 'incident'
    GROUP BY day
)
GROUP BY day
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE noise_reduction
    COMMENT COLUMN day 'UTC day: of detection, for suppressed ones of the start',
    COMMENT COLUMN alerts 'alerts that fired',
    COMMENT COLUMN suppressed 'of these: held back by a silence, maintenance, inhibition, deduplication or flap control',
    COMMENT COLUMN incidents 'incidents, the merged counted once',
    COMMENT COLUMN reduction '1 - incidents / alerts; NULL: no alerts';

-- What keeps coming back: one row for each kind of incident that was there more than once.
CREATE OR REPLACE VIEW recurrence AS
SELECT
    signature,
    any(problem) AS problem,
    any(title) AS title,
    count() AS n,
    countIf(recurrence_of != '') AS recurred,
    min(started_at) AS first_at,
    max(started_at) AS last_at,
    if(n > 1, dateDiff('second', first_at, last_at) / (n - 1) * 1000, NULL) AS interval_ms,
    sum(active_ms) AS active_ms,
    groupUniqArray(3)(if(empty(hinted), '', hinted[1])) AS services
FROM incident_facts FINAL
WHERE state != 'merged' AND kind = 'incident' AND signature != ''
GROUP BY signature
HAVING n > 1
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE recurrence
    COMMENT COLUMN signature 'the same for incidents of the same kind',
    COMMENT COLUMN problem 'id of the problem record, if there is one',
    COMMENT COLUMN title 'of one of them',
    COMMENT COLUMN n 'incidents of this kind',
    COMMENT COLUMN recurred 'of these: the same series had been in an incident before',
    COMMENT COLUMN first_at 'start of the first',
    COMMENT COLUMN last_at 'start of the newest',
    COMMENT COLUMN interval_ms 'mean time from one start to the next',
    COMMENT COLUMN active_ms 'all of them together',
    COMMENT COLUMN services 'up to three that were suspected';

-- What teams had to do, per UTC week (Monday) in which incidents opened.
CREATE OR REPLACE VIEW team_load AS
SELECT
    toMonday(toDate(opened_at, 'UTC')) AS week,
    if(assignee != '', assignee, owner) AS team,
    count() AS opened,
    countIf(priority IN ('P1', 'P2')) AS urgent,
    countIf(resolved_at IS NULL) AS still_open,
    countIf(acknowledged_at IS NOT NULL) AS acknowledged,
    countIf(toHour(opened_at, 'UTC') < 6 OR toHour(opened_at, 'UTC') >= 22) AS at_night,
    sum(active_ms) AS active_ms
FROM incident_facts FINAL
WHERE state != 'merged' AND kind = 'incident'
GROUP BY week, team
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE team_load
    COMMENT COLUMN week 'Monday of the UTC week they opened in',
    COMMENT COLUMN team 'assigned, else owner by the catalogue; empty: nobody',
    COMMENT COLUMN opened 'incidents',
    COMMENT COLUMN urgent 'of these: P1 or P2',
    COMMENT COLUMN still_open 'of these: not resolved',
    COMMENT COLUMN acknowledged 'of these: by a person',
    COMMENT COLUMN at_night 'of these: opened from 22 to 6 o''clock UTC',
    COMMENT COLUMN active_ms 'all of them together';

-- Hints held against the cause that people recorded, per UTC month of the start.
CREATE OR REPLACE VIEW hint_accuracy AS
SELECT
    toStartOfMonth(toDate(started_at, 'UTC')) AS month,
    count() AS n,
    countIf(notEmpty(hinted) AND hinted[1] = cause_service) AS top1,
    countIf(has(arraySlice(hinted, 1, 3), cause_service)) AS top3,
    countIf(empty(hinted)) AS unknown,
    top1 / n AS top1_share,
    top3 / n AS top3_share
FROM incident_facts FINAL
WHERE state != 'merged' AND kind = 'incident' AND cause_service != ''
GROUP BY month
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE hint_accuracy
    COMMENT COLUMN month 'first day of the UTC month',
    COMMENT COLUMN n 'incidents whose cause people recorded with its service',
    COMMENT COLUMN top1 'of these: the first hint named it',
    COMMENT COLUMN top3 'of these: one of the first three hints did',
    COMMENT COLUMN unknown 'of these: there was no hint',
    COMMENT COLUMN top1_share 'top1 / n',
    COMMENT COLUMN top3_share 'top3 / n';
