"""`tocsin problems`: incidents that keep coming back, and what is known and done about them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.actions import Actor, Wait, answer_to, login
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, figure, plain, some, styled, table, wall_ms
from cli.store import reader_of
from config.settings import Settings
from correlator.past import Problem
from correlator.when import utc
from sinks import past
from sinks.reader import Reader
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult

ProblemId = Annotated[str, typer.Argument(help="Problem id, or its first digits.")]
Note = Annotated[str, typer.Option(help="A sentence that goes along.")]

app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False, invoke_without_command=True
)


@app.callback()
def problems(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Resolved and closed ones, too.")] = False,
    service: Annotated[str, typer.Option(help="Only those of this service.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, most recent first.")] = 50,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Incidents of one kind that keep coming back, most recent first.

    The third incident of a kind within 30 days opens a problem (correlate.problem_incidents,
    correlate.problem_window_ms). It is a known error once the cause of one of its incidents is recorded.

    Examples:
      tocsin problems
      tocsin problems show 5c1a
      tocsin problems workaround 5c1a "restart the pods of payment one by one"
      tocsin problems close 5c1a --note "pool is sized by load now"
    """
    if context.invoked_subcommand is not None:
        return
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = past.problems(reader, every=every, service=service, limit=limit)
    if as_json:
        print_json(found)
    elif not found:
        more = "" if every else "; --all shows those that are over"
        console.print(f"No problem: nothing has come back often enough{more}.")
    else:
        _list(found)


@app.command()
def show(
    problem: ProblemId,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """One problem: what is known, how often it comes, and its incidents.

    Examples:
      tocsin problems show 5c1a
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = _one(reader, problem)
        incidents = past.titled(reader, found.incidents)
    if as_json:
        print_json({"problem": found, "incidents": incidents})
        return
    _show(found, incidents)


@app.command()
def workaround(
    problem: ProblemId,
    text: Annotated[str, typer.Argument(help="What to do until the cause is gone.")],
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write down what helps until the cause is gone.

    Examples:
      tocsin problems workaround 5c1a "restart the pods of payment one by one"
    """
    settings = settings_from(config, kafka, clickhouse)
    _act(settings, "workaround", problem, actor, text, timeout, as_json)


def _step(verb: str, teaching: str) -> None:
    """A command that takes a problem one step on."""

    def command(
        problem: ProblemId,
        note: Note = "",
        actor: Actor = "",
        timeout: Wait = 10.0,
        kafka: KafkaAddress = None,
        clickhouse: ClickHouseUrl = None,
        config: ConfigFile = None,
        as_json: AsJson = False,
    ) -> None:
        settings = settings_from(config, kafka, clickhouse)
        _act(settings, verb, problem, actor, note, timeout, as_json)

    help = f"{teaching}\n\nExamples:\n\n  tocsin problems {verb} 5c1a"
    app.command(verb, help=help)(command)


_step("resolve", "The cause is gone, as far as one knows. The next incident of its kind opens it again.")
_step("close", "Close a problem. The next incident of its kind opens it again.")
_step("reopen", "Open a problem again that was resolved or closed.")


def _one(reader: Reader, prefix: str) -> Problem:
    prefix = prefix.strip().lower()
    found = past.problems_like(reader, prefix) if prefix else []
    whole = [p for p in found if p.id == prefix] or found
    if not whole:
        raise CliError(f"no problem {prefix!r}", "tocsin problems --all lists them")
    if len(whole) > 1:
        ids = ", ".join(p.id for p in whole)
        raise CliError(f"{prefix!r} begins several problem ids: {ids}", "give more digits")
    return whole[0]


def _act(
    settings: Settings, verb: str, prefix: str, actor: str, note: str, timeout_s: float, as_json: bool
) -> ActionResult:
    with reader_of(settings.clickhouse) as reader:
        problem = _one(reader, prefix)
    who, now_ms = actor or login(), wall_ms()
    id = digest_hex("problem action", problem.id, verb, who, note, str(now_ms))
    action = Action(id=id, ts=now_ms, incident="", action=verb, actor=who, note=note, problem=problem.id)
    result = answer_to(settings, id, problem.id, action, timeout_s)
    if as_json:
        print_json(result)
    if not result.applied:
        raise CliError(f"refused: {result.reason}", f"tocsin problems show {problem.id}", code=1)
    if not as_json:
        console.print("problem", problem.id, "is", styled(result.state), plain(f"by {who}"))
    return result


def _list(found: list[Problem]) -> None:
    shown = table("id", "state", "problem", "count", "about every", "last (UTC)", "known", right=("count",))
    for one in found:
        title = plain(one.title)
        title.append(f"\n{', '.join(one.services[:5])}", style="dim")
        known = plain(one.cause)
        if one.workaround:
            known.append(f"\nuntil then: {plain(one.workaround).plain}", style="dim")
        shown.add_row(
            one.id,
            styled(one.state),
            title,
            str(one.count),
            figure(one.interval_ms),
            utc(one.last_seen),
            known,
        )
    console.print(shown)
    console.print("\nIts incidents: tocsin problems show ID (the first digits will do)", style="dim")


def _show(problem: Problem, incidents: list[past.Titled]) -> None:
    console.print(problem.id, styled(problem.state), plain(problem.title), style="bold")
    lines: list[tuple[str, Any]] = [
        ("incidents", f"{problem.count}, about every {figure(problem.interval_ms)}"),
        ("seen", f"{utc(problem.first_seen)} to {utc(problem.last_seen)} UTC"),
        ("services", ", ".join(problem.services)),
        ("owner", problem.owner or NONE),
        ("cause", f"{problem.cause_service}: {problem.cause}".strip(": ") or "not recorded"),
        ("fix", problem.fix or NONE),
        ("workaround", problem.workaround or NONE),
    ]
    if problem.runbook:
        lines.append(("runbook", problem.runbook))
    if problem.note:
        lines.append((f"{problem.actor} says", problem.note))
    if problem.reopened:
        lines.append(("reopened", some(problem.reopened, "time")))
    facts = table("what", "value")
    facts.show_header = False
    for what, value in lines:
        facts.add_row(what, plain(value))
    console.print(facts)
    console.print()
    shown = table("incident", "state", "started (UTC)", "lasted", "what")
    for one in incidents:
        lasted = figure(one.resolved_at - one.started_at) if one.resolved_at is not None else NONE
        shown.add_row(one.id, styled(one.state), utc(one.started_at), lasted, plain(one.title))
    console.print(shown)
    if not problem.cause:
        console.print(
            "\nSay what it was: tocsin record INCIDENT --cause TEXT --cause-service S --fix TEXT", style="dim"
        )
