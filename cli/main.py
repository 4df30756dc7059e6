"""`tocsin`: one command, many jobs. Commands are imported only when they are called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from cli.errors import CliError
from cli.helptext import reflow_all

COMMANDS = {
    "demo": "Start a small shop, break it three times, and watch the incidents come in.",
    "worker": "Run the pipeline: Kafka in, incidents out.",
    "top": "Watch the workers: rates, lag, delays, dead letters.",
    "receive": "Receive alerts of other systems by HTTP.",
    "console": "Incidents in a browser: live list, causes, actions, trends.",
    "console-token": "Make a token for the console, and the line of the settings for it.",
    "incidents": "List incidents.",
    "incident": "One incident: its picture, from symptom to cause.",
    "explain": "Why an incident is what it is: hints, evidence, members and their reasons.",
    "similar": "Past incidents like this one, and what was found out about them.",
    "problems": "Incidents that keep coming back: list, show, workaround, resolve, close.",
    "knowledge": "Search recorded causes and fixes.",
    "review": "The post-incident review of an incident, as Markdown or a page.",
    "items": "Action items: list, add, start, done, drop.",
    "updates": "Status updates for employees and customers: list, release, withdraw, edit.",
    "report": "MTTD, MTTA, MTTR and noise reduction.",
    "ack": "Acknowledge an incident.",
    "assign": "Give an incident to a team or a person.",
    "mitigate": "The damage is contained.",
    "resolve": "Resolve an incident.",
    "close": "Close a resolved incident now.",
    "reopen": "Open a resolved incident again.",
    "note": "Write a sentence into an incident's timeline.",
    "classify": "Category, severity, priority, major or not: over the rules.",
    "impact": "State what an incident has cost.",
    "edit": "Correct times of an incident, with an audit.",
    "pause": "Stop an incident's service level clocks.",
    "resume": "Let them run on.",
    "submit": "Record that a report to an authority, or a notice to customers, was handed in.",
    "report-incident": "Report what people noticed first.",
    "clocks": "Deadlines of service levels, contracts and regulations, and what is left.",
    "oncall": "Who is on call, and who is next.",
    "targets": "Who is told of incidents: list, preview, test.",
    "record": "Record an incident's cause and fix, also after it has closed.",
    "merge": "Make several incidents one.",
    "split": "Take alerts out of an incident into one of their own.",
    "undo": "Undo a merge.",
    "topology": "Who calls whom, declared and learned, and where the two disagree.",
    "catalogue": "Check the service catalogue.",
    "silence": "Keep alerts one knows about from becoming incidents: add, list, expire, test.",
    "suppressions": "Alerts that were held back, by what, and what became of them.",
    "rules": "Try rules that hold alerts back on alerts of the past.",
    "change": "Record a deployment or another change as evidence.",
    "deadletters": "List what could not be read, and put it back.",
    "logs": "Say what a log file says: its templates, how often, since when, what is new.",
    "score": "Score a file of metrics.",
    "backtest": "Run the whole pipeline over files.",
    "replay": "Publish files into Kafka.",
    "diagnose": "Rank the likely root cause of faults in files.",
    "schemas": "Write the schemas of all topics: AsyncAPI and JSON Schema.",
    "config": "Check a settings file, and see which rules apply to a series.",
    "clickhouse-users": "SQL for ClickHouse roles and users that may do no more than they need.",
    "dev": "Kafka and ClickHouse on this machine, from pip packages alone.",
}
"""command -> its line in the help; module and function carry the command's name"""

MODULES = {
    **dict.fromkeys(("ack", "resolve", "record"), "cli.actions"),
    **dict.fromkeys(("similar", "knowledge"), "cli.similar"),
    **dict.fromkeys(("merge", "split", "undo"), "cli.reshape"),
    **dict.fromkeys(("mitigate", "close", "reopen", "pause", "resume", "note"), "cli.steps"),
    **dict.fromkeys(("assign", "classify", "impact", "edit", "submit", "report-incident"), "cli.statements"),
    "config": "cli.configuration",
    "clickhouse-users": "cli.clickhouse_users",
    "console-token": "cli.console_token",
}

GROUPS = (
    "incident",
    "targets",
    "problems",
    "review",
    "items",
    "updates",
    "topology",
    "catalogue",
    "silence",
    "rules",
    "config",
    "dev",
)
"""commands with commands of their own"""


class LazyGroup(TyperGroup):
    """Imports a command's module when it is needed, so that `tocsin --help` answers at once."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(MODULES.get(name, f"cli.{name}"))
        if name in GROUPS:
            group = typer.main.get_group(module.app)
            group.name = name
            reflow_all(group)
            return group
        single = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
        single.command(name=name)(getattr(module, name.replace("-", "_")))
        command = typer.main.get_command(single)
        reflow_all(command)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # Plain click help: rich's would import every command to list it.
        super(TyperGroup, self).format_help(ctx, formatter)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Tocsin turns telemetry in Kafka into a few explained incidents.

    Try it: tocsin demo. Each command explains itself: tocsin COMMAND --help.
    """


def main(argv: list[str] | None = None) -> Any:
    """Entry point. A `CliError` becomes one line and its exit code; bugs keep their traceback."""
    try:
        return app(argv)
    except CliError as error:
        line = f"tocsin: {error.message}"
        if error.next_step:
            line += f" → {error.next_step}"
        print(line, file=sys.stderr)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
