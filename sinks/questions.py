"""The questions of the console's analytics, by name.

What is drawn, what is downloaded and what is shown as SQL are the same statement. Times are ms UTC; days and
weeks (named by their Monday) are those of UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sinks.reader import Reader

MOST_ROWS = 10_000
GROUPS = ("service", "team", "severity", "category", "week", "day")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The period [since, until) and what of it is wanted; an empty text or list lets everything through."""

    since_ms: int
    until_ms: int
    service: str = ""
    team: str = ""
    severity: str = ""
    category: str = ""
    domains: tuple[str, ...] = ()
    """those one may see; none: all"""

    def parameters(self) -> dict[str, Any]:
        return {
            "since": self.since_ms,
            "until": self.until_ms,
            "service": self.service,
            "team": self.team,
            "severity": self.severity,
            "category": self.category,
            "domains": list(self.domains),
        }


class Question(msgspec.Struct, frozen=True):
    name: str
    title: str
    says: str
    """the definition, in a sentence"""
    sql: str
    """with parameters {name:Type}"""
    everywhere: bool = False
    """it cannot be limited to some domains"""


_OF = """(empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
      AND ({service:String} = '' OR has(services, {service:String}))
      AND ({team:String} = '' OR team = {team:String})
      AND ({severity:String} = '' OR severity = {severity:String})
      AND ({category:String} = '' OR category = {category:String})"""
_FACTS = """state != 'merged' AND kind = 'incident'
      AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
      AND ({service:String} = '' OR has(services, {service:String}))
      AND ({team:String} = '' OR if(assignee != '', assignee, owner) = {team:String})
      AND ({severity:String} = '' OR severity = {severity:String})
      AND ({category:String} = '' OR category = {category:String})"""
_CLOCKS = """kind = 'sla' AND state != 'cancelled'
      AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
      AND ({team:String} = '' OR owner = {team:String})
      AND ({severity:String} = '' OR severity = {severity:String})
      AND (({service:String} = '' AND {category:String} = '') OR incident IN (
          SELECT id FROM incident_facts FINAL
          WHERE ({service:String} = '' OR has(services, {service:String}))
            AND ({category:String} = '' OR category = {category:String})
      ))"""


def _during(column: str) -> str:
    return (
        f"{column} >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"
        f" AND {column} < fromUnixTimestamp64Milli({{until:Int64}}, 'UTC')"
    )


def _stat(name: str, column: str, only: str = "") -> str:
    """n, p50, p90, p95 and mean of a duration; NULL where there is none."""
    suffix = "If" if only else ""
    also = f", {only}" if only else ""
    known = f"{column} IS NOT NULL AND {only}" if only else f"{column} IS NOT NULL"
    parts = [f"countIf({known}) AS {name}_n"]
    parts += [
        f"quantileExactInclusive{suffix}OrNull({q})({column}{also}) AS {name}_p{round(100 * q)}_ms"
        for q in (0.5, 0.9, 0.95)
    ]
    parts.append(f"avg{suffix}OrNull({column}{also}) AS {name}_mean_ms")
    return ",\n    ".join(parts)


_TIMING = ",\n    ".join(
    (
        "count() AS resolved",
        "countIf(resolved_by = 'auto') AS auto",
        "countIf(resolved_by = 'human') AS human",
        "countIf(acknowledged_at IS NOT NULL) / count() AS ack_rate",
        _stat("mttd", "mttd_ms"),
        _stat("mtta", "mtta_ms"),
        _stat("mttr", "mttr_ms"),
        _stat("mttr_auto", "mttr_ms", "resolved_by = 'auto'"),
        _stat("mttr_human", "mttr_ms", "resolved_by = 'human'"),
    )
)
_KEYS = {
    "service": "toString(arrayJoin(arrayDistinct(services)))",
    "team": "toString(team)",
    "severity": "toString(severity)",
    "category": "toString(category)",
    "week": "toString(toMonday(toDate(resolved_at, 'UTC')))",
    "day": "toString(toDate(resolved_at, 'UTC'))",
}


def _timing(by: str) -> str:
    key = f"{_KEYS[by]} AS {by},\n    " if by else ""
    tail = f"GROUP BY {by}\nORDER BY {by if by in ('week', 'day') else f'resolved DESC, {by}'}" if by else ""
    return f"""SELECT
    {key}{_TIMING}
FROM incident_timings
WHERE resolved_at IS NOT NULL AND {_during("resolved_at")}
      AND {_OF}
{tail}
{"" if by else "HAVING resolved > 0"}""".strip()  # noqa: S608


_MEANS = (
    "MTTD: detected - started. MTTA: acknowledged - detected, of those a person acknowledged."
    " MTTR: resolved - started. By the time of the resolve; merged incidents count once."
)

_ALL = (
    Question("timing", "Detect, acknowledge, restore", _MEANS, _timing("")),
    *(Question(f"timing_by_{by}", f"By {by}", _MEANS, _timing(by)) for by in GROUPS),
    Question(
        "sla",
        "Service levels",
        "Clocks that were due in the period: met if what they wait for happened in time.",
        f"""SELECT
    toString(name) AS name,
    toString(severity) AS severity,
    countIf(state IN ('met', 'missed')) AS n,
    countIf(state = 'met') AS met,
    countIf(state = 'missed') AS missed,
    countIf(state IN ('running', 'warned', 'paused')) AS still_open,
    if(n > 0, met / n, NULL) AS compliance
FROM clock_facts FINAL
WHERE {_during("due_at")}
      AND {_CLOCKS}
GROUP BY name, severity
ORDER BY name, indexOf(['critical', 'error', 'warning', 'info'], severity)""",  # noqa: S608
    ),
    Question(
        "sla_by_week",
        "Service levels by week",
        "The same by the week in which they were due.",
        f"""SELECT
    toString(toMonday(toDate(due_at, 'UTC'))) AS week,
    countIf(state IN ('met', 'missed')) AS n,
    countIf(state = 'met') AS met,
    countIf(state = 'missed') AS missed,
    if(n > 0, met / n, NULL) AS compliance
FROM clock_facts FINAL
WHERE {_during("due_at")}
      AND {_CLOCKS}
GROUP BY week
ORDER BY week""",  # noqa: S608
    ),
    Question(
        "funnel",
        "From records to incidents",
        "Samples of the hours of the period (while there is a history), alerts detected in it, those of them "
        "that were held back, and incidents detected in it.",
        f"""SELECT
    (
        SELECT sum(n) FROM sample_counts
        WHERE hour >= toStartOfHour(fromUnixTimestamp64Milli({{since:Int64}}, 'UTC'))
          AND hour < fromUnixTimestamp64Milli({{until:Int64}}, 'UTC')
    ) AS samples,
    (SELECT count() FROM alert_facts FINAL WHERE {_during("detected_at")}) AS alerts,
    (
        SELECT count() FROM alert_facts FINAL
        WHERE {_during("detected_at")} AND id IN (SELECT alert FROM suppressed_facts)
    ) AS suppressed,
    (SELECT count() FROM incident_timings WHERE {_during("detected_at")}) AS incidents,
    if(alerts > 0, 1 - incidents / alerts, NULL) AS reduction""",  # noqa: S608
        True,
    ),
    Question(
        "noise_by_day",
        "From alerts to incidents, by day",
        "By the UTC day of detection.",
        """SELECT toString(day) AS day, alerts, suppressed, incidents, reduction
FROM noise_reduction
WHERE noise_reduction.day >= toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
  AND noise_reduction.day < toDate(fromUnixTimestamp64Milli({until:Int64}, 'UTC')) + 1
ORDER BY day""",
        True,
    ),
    Question(
        "services",
        "Busiest services",
        "Incidents detected in the period by service; suspected: as the first likely cause.",
        f"""SELECT
    toString(arrayJoin(arrayDistinct(services))) AS name,
    count() AS incidents,
    countIf(cause_service = name) AS suspected,
    countIf(priority IN ('P1', 'P2')) AS urgent,
    countIf(resolved_at IS NULL) AS unresolved,
    sum(alert_count) AS alerts
FROM incident_timings
WHERE {_during("detected_at")}
      AND {_OF}
GROUP BY name
ORDER BY incidents DESC, suspected DESC, name
LIMIT 20""",  # noqa: S608
    ),
    Question(
        "teams",
        "Load of teams",
        "Incidents opened in the period by whose they are; night: opened from 22:00 to 06:00 UTC.",
        f"""SELECT
    if(team = '', '(nobody)', toString(team)) AS name,
    count() AS opened,
    countIf(priority IN ('P1', 'P2')) AS urgent,
    countIf(resolved_at IS NULL) AS unresolved,
    countIf(acknowledged) AS acknowledged,
    countIf(toHour(opened_at, 'UTC') < 6 OR toHour(opened_at, 'UTC') >= 22) AS night,
    countIf(toDayOfWeek(opened_at, 0, 'UTC') >= 6) AS weekend
FROM incident_timings
WHERE {_during("opened_at")}
      AND {_OF}
GROUP BY name
ORDER BY opened DESC, urgent DESC, name
LIMIT 50""",  # noqa: S608
    ),
    Question(
        "recurrence",
        "What comes back",
        "Kinds of incident with two or more starts in the period.",
        f"""SELECT
    argMax(title, (started_at, id)) AS title,
    count() AS n,
    max(problem) AS problem,
    argMax(id, (started_at, id)) AS newest,
    min(started_at) AS first_at,
    max(started_at) AS last_at,
    dateDiff('millisecond', first_at, last_at) / (n - 1) AS interval_ms,
    sum(active_ms) AS active_ms
FROM
(
    SELECT * FROM incident_facts FINAL
    WHERE signature != '' AND {_FACTS}
)
WHERE {_during("started_at")}
GROUP BY signature
HAVING n > 1
ORDER BY n DESC, last_at DESC, signature
LIMIT 20""",  # noqa: S608
    ),
    Question(
        "hints",
        "How right the first hint was",
        "Incidents started in the period whose cause people recorded with its service, by month.",
        f"""SELECT
    toString(toStartOfMonth(toDate(started_at, 'UTC'))) AS month,
    count() AS n,
    countIf(notEmpty(hinted) AND hinted[1] = cause_service) AS first,
    countIf(has(arraySlice(hinted, 1, 3), cause_service)) AS among_three,
    countIf(empty(hinted)) AS without_hint,
    first / n AS first_share,
    among_three / n AS among_three_share
FROM incident_facts FINAL
WHERE cause_service != '' AND {_during("started_at")}
      AND {_FACTS}
GROUP BY month
ORDER BY month""",  # noqa: S608
    ),
)
QUESTIONS: Mapping[str, Question] = {question.name: question for question in _ALL}


def answer(reader: Reader, question: Question, asked: Asked) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of the columns, and the rows."""
    parameters = {name: value for name, value in asked.parameters().items() if f"{{{name}:" in question.sql}
    result = reader.columns_and_rows(question.sql, **parameters)
    return result[0], result[1][:MOST_ROWS]


def passed_over(question: Question, asked: Asked) -> list[str]:
    """Filters that are set and that the question cannot be limited by."""
    names = ("service", "team", "severity", "category")
    return [name for name in names if getattr(asked, name) and f"{{{name}:" not in question.sql]


def pasteable(question: Question, asked: Asked) -> str:
    """The statement with its parameters, as clickhouse-client takes them."""
    lines = []
    for name, value in asked.parameters().items():
        if f"{{{name}:" in question.sql:
            lines.append(f"SET param_{name} = {_literal(value)};")
    return "\n".join((*lines, question.sql))


def _literal(value: int | str | Sequence[str]) -> str:
    if isinstance(value, int):
        return f"'{value}'"
    if isinstance(value, str):
        return _quoted(value)
    return _quoted(f"[{','.join(_quoted(one) for one in value)}]")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
