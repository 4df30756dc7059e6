"""How commands show what was, or would have been, held back; and where they find alerts to try rules on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from cli.catalogue import catalogue_from
from cli.common import console
from cli.errors import CliError
from cli.output import NONE, parse_when, plain, some, styled, table, wall_ms
from cli.store import reader_of
from config.settings import Correlate, Settings
from correlator.directory import Directory
from correlator.rehearse import Rehearsal, rehearse
from correlator.suppression import Suppression
from correlator.when import duration, utc
from detectors.alert import Alert
from sinks.suppressed import alerts as alerts_of

MOST_ALERTS = 100_000
SHOWN = 50
Since = Annotated[
    str, typer.Option(help="Alerts from here on: an age (24h, 7d) or a time; of a file, all by default.")
]
AlertsFile = Annotated[
    Path | None,
    typer.Option(
        "--alerts", help="alerts.jsonl of tocsin backtest, instead of ClickHouse.", show_default=False
    ),
]
_alert = msgspec.json.Decoder(Alert)


def tried(rules: Correlate, settings: Settings, since: str, file: Path | None) -> Rehearsal:
    """What `rules` would have done to alerts of the past. Raises `CliError`."""
    now_ms = wall_ms()
    known = Directory(catalogue_from(settings), settings.correlate.domain_label).alert
    if file is not None:
        found = [known(alert) for alert in _from_file(file)]
        if since:
            since_ms = parse_when(since, now_ms, "--since")
            found = [a for a in found if a.resolved_at is None or a.resolved_at >= since_ms]
        return rehearse(rules, found)
    since_ms = parse_when(since or "24h", now_ms, "--since")
    with reader_of(settings.clickhouse) as reader:
        found = [known(alert) for alert in alerts_of(reader, since_ms, now_ms, MOST_ALERTS)]
    if len(found) == MOST_ALERTS:
        console.print(f"only the newest {MOST_ALERTS} alerts were looked at: a later --since says more")
    return rehearse(rules, found, now_ms)


def _from_file(path: Path) -> list[Alert]:
    found = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007 - named in the error
                if line.strip():
                    found.append(_alert.decode(line))
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CliError(
            f"{path}: line {number} is no alert: {error}", "alerts.jsonl of tocsin backtest"
        ) from None
    return found


def show(rehearsal: Rehearsal) -> None:
    """What would have been held back, by rule and alert by alert."""
    records = rehearsal.records
    console.print(
        f"{len(records)} of {some(rehearsal.alerts, 'alert')} would have been held back,"
        f" {sum(not _went_on(r) for r in records)} of them to the end"
    )
    if not records:
        return
    rules = table("rule", "kind", "version", "alerts", right=("alerts",))
    for key, count in sorted(rehearsal.matches.items(), key=lambda pair: (-pair[1], pair[0])):
        kind, _, rest = key.partition("/")
        name, _, version = rest.rpartition("/")
        rules.add_row(plain(name), kind, version or NONE, str(count))
    console.print(rules)
    console.print(records_table(records[:SHOWN]))
    if len(records) > SHOWN:
        console.print(f"… and {len(records) - SHOWN} more (--json has all)")


def records_table(records: Iterable[Suppression]) -> Table:
    made = table("alert", "severity", "service", "what", "rule", "from (UTC)", "for", "then")
    for r in records:
        ended = r.until_ms if r.state == "ended" else None
        made.add_row(
            r.alert,
            styled(r.severity),
            plain(r.service),
            plain(r.summary),
            plain(r.rule),
            utc(r.from_ms),
            duration(ended - r.from_ms) if ended is not None else NONE,
            then(r.state, r.outcome, r.until_ms),
        )
    return made


def then(state: str, outcome: str, until_ms: int | None) -> str:
    """What became of it, in words."""
    if state == "ended":
        return {"correlated": "went on", "resolved": "resolved"}.get(outcome, outcome)
    return f"held back until {utc(until_ms)}" if until_ms is not None else "held back"


def _went_on(record: Suppression) -> bool:
    return record.outcome == "correlated"


def as_rows(rehearsal: Rehearsal) -> dict[str, object]:
    """For --json."""
    return {"alerts": rehearsal.alerts, "matches": rehearsal.matches, "suppressed": _plain(rehearsal.records)}


def _plain(records: Sequence[Suppression]) -> list[object]:
    return [msgspec.to_builtins(record) for record in records]
