"""`tocsin assign`, `classify`, `impact`, `edit`, `submit`, `report-incident`: what people state."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.actions import Actor, IncidentId, Note, Wait, act, answered, login
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, settings_from
from cli.errors import CliError
from cli.output import parse_when, wall_ms
from correlator.incident import CATEGORIES, FILINGS, KINDS, LEVELS
from correlator.statements import PRIORITIES, TIMES
from detectors.alert import SEVERITIES
from streams.records.digest import digest_hex


def _said(**given: object) -> dict[str, str]:
    """Fields of an action: what was given."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_of(*choices: str) -> str:
    return ", ".join(choices)


def assign(
    incident: IncidentId,
    to: Annotated[str, typer.Argument(help="Team or person.")],
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give an incident to a team or a person. It stays with them whatever the catalogue says.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin assign 3f9a team-payments

      tocsin assign 3f9a ann --note "knows the pool"
    """
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "assign", incident, actor, note, timeout, as_json, fields={"to": to})


def classify(
    incident: IncidentId,
    category: Annotated[str | None, typer.Option(help=f"One of: {_one_of(*CATEGORIES)}.")] = None,
    severity: Annotated[str | None, typer.Option(help=f"One of: {_one_of(*SEVERITIES)}.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"One of: {_one_of(*KINDS)}.")] = None,
    impact_level: Annotated[
        str | None, typer.Option("--impact", help=f"How much hangs on it: {_one_of(*LEVELS)}.")
    ] = None,
    urgency: Annotated[str | None, typer.Option(help=f"How fast it gets worse: {_one_of(*LEVELS)}.")] = None,
    priority: Annotated[
        str | None, typer.Option(help=f"Over the matrix of the two: {_one_of(*PRIORITIES)}.")
    ] = None,
    major: Annotated[
        bool | None, typer.Option("--major/--not-major", help="Major, in the sense of DORA and ITIL.")
    ] = None,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what kind of incident it is, over the rules. An empty value gives it back to the rules.

    Each change is audited. `--major` starts the clocks of a major incident. Exit code 1 when it is refused
    (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin classify 3f9a --category "security incident" --severity critical --note "stolen token"

      tocsin classify 3f9a --major --note "more than 10 % of customers"

      tocsin classify 3f9a --priority ""
    """
    fields = _said(
        category=category, severity=severity, kind=kind, impact_level=impact_level, urgency=urgency,
        priority=priority, major=major,
    )  # fmt: skip
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "classify", incident, actor, note, timeout, as_json, fields=fields)


Customers = Annotated[float | None, typer.Option(min=0, help="People affected.")]
Share = Annotated[float | None, typer.Option("--share", min=0, max=1, help="Of the customer base, 0 to 1.")]
Partners = Annotated[float | None, typer.Option(min=0, help="Financial partners affected.")]
Transactions = Annotated[float | None, typer.Option(min=0, help="Transactions affected.")]
Damage = Annotated[float | None, typer.Option(min=0, help="Estimated damage, in the catalogue's currency.")]
Delay = Annotated[float | None, typer.Option("--payment-delay", min=0, help="Delay of payments, minutes.")]
Reputation = Annotated[str | None, typer.Option(help="Tags with commas: press, social media, ...")]


def _figures(
    customers: float | None, share: float | None, partners: float | None, transactions: float | None,
    damage: float | None, delay: float | None, reputation: str | None,
) -> dict[str, str]:  # fmt: skip
    return _said(
        customers=customers, customer_share=share, partners=partners, transactions=transactions,
        damage=damage, reputation=reputation,
        payment_delay_ms=None if delay is None else round(delay * 60_000),
    )  # fmt: skip


def impact(
    incident: IncidentId,
    customers: Customers = None,
    share: Share = None,
    partners: Partners = None,
    transactions: Transactions = None,
    damage: Damage = None,
    delay: Delay = None,
    reputation: Reputation = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Not confirmed yet.")] = False,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """State what an incident has cost. Stated figures replace Tocsin's estimates; each change is audited.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin impact 3f9a --customers 1200 --share 0.04 --note "from the order system"

      tocsin impact 3f9a --damage 50000 --estimate --reputation "press, social media"
    """
    fields = _figures(customers, share, partners, transactions, damage, delay, reputation)
    if estimate:
        fields["status"] = "estimate"
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "impact", incident, actor, note, timeout, as_json, fields=fields)


def edit(
    incident: IncidentId,
    times: Annotated[list[str], typer.Argument(metavar="NAME=TIME...", help=f"NAME: {_one_of(*TIMES)}.")],
    note: Annotated[str, typer.Option(help="Why; required.")] = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Correct times of an incident, also of one that has closed. Their order is checked, the change audited.

    TIME: as for --since, e.g. 2026-03-01T14:02 (UTC), with a zone, or 40m (ago). Exit code 1 when it is
    refused (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin edit 3f9a started_at=2026-03-01T13:55 --note "first complaint by telephone"

      tocsin edit 3f9a resolved_at=2026-03-01T15:10+01:00 --note "rollback was earlier"
    """
    now_ms = wall_ms()
    fields = {}
    for pair in times:
        name, given, text = pair.partition("=")
        if not given:
            raise CliError(f"{pair!r} is not NAME=TIME", f"names: {_one_of(*TIMES)}")
        fields[name] = str(parse_when(text, now_ms, name))
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "edit", incident, actor, note, timeout, as_json, fields=fields)


def submit(
    incident: IncidentId,
    name: Annotated[str, typer.Argument(help=f"One of: {_one_of(*FILINGS)}.")],
    when: Annotated[str, typer.Option("--at", help="When it was handed in; now, if not said.")] = "",
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Record that a report to an authority, or a notice to customers, was handed in: its clock stops.

    The next one may count from here. Exit code 1 when it is refused (the reason is printed), 2 when nobody
    answers.

    Examples:

      tocsin submit 3f9a "dora initial" --note "reference 2026-117"

      tocsin submit 3f9a "customer notice" --at 20m
    """
    fields = {"name": name}
    if when:
        fields["at"] = str(parse_when(when, wall_ms(), "--at"))
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "submit", incident, actor, note, timeout, as_json, fields=fields)


def report_incident(
    title: Annotated[str, typer.Argument(help="What is wrong, in a sentence.")],
    service: Annotated[list[str] | None, typer.Option(help="A service affected; may be repeated.")] = None,
    severity: Annotated[str, typer.Option(help=f"One of: {_one_of(*SEVERITIES)}.")] = "error",
    category: Annotated[str | None, typer.Option(help=f"One of: {_one_of(*CATEGORIES)}.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"One of: {_one_of(*KINDS)}.")] = None,
    started: Annotated[str, typer.Option(help="When it began; now, if not said.")] = "",
    customers: Customers = None,
    share: Share = None,
    partners: Partners = None,
    transactions: Transactions = None,
    damage: Damage = None,
    delay: Delay = None,
    reputation: Reputation = None,
    note: Annotated[str, typer.Option(help="More about it.")] = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Report what people noticed first. It becomes an incident at once; alerts that belong to it join it.

    A service request (`--kind "service request"`) is kept apart from incidents in all figures. Exit code 1
    when it is refused (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin report-incident "Transfers do not arrive" --service ledger --severity critical --started 20m

      tocsin report-incident "New mailbox for Kim" --kind "service request" --severity info
    """
    settings = settings_from(config, kafka)
    now_ms = wall_ms()
    who = actor or login()
    fields = _said(
        title=title, services=",".join(service or ()) or None, severity=severity, category=category,
        kind=kind, started_at=parse_when(started, now_ms, "--started") if started else None,
    )  # fmt: skip
    fields |= _figures(customers, share, partners, transactions, damage, delay, reputation)
    id = digest_hex("report", who, title, str(now_ms))
    answered(settings, "report", id, who, note, timeout, as_json, fields=fields)
