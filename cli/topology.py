"""`tocsin topology [show|conflicts]`: who calls whom, declared and learned, and where the two disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from cli.catalogue import catalogue_from
from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, parse_when, percent, plain, some, table, wall_ms
from cli.store import reader_of
from config.settings import Settings
from correlator.atlas import ServiceSeen
from correlator.conflicts import KINDS, Graph
from correlator.conflicts import conflicts as find
from correlator.when import utc
from sinks.services import services_seen

MOST_CHILDREN = 15
FILE = "topology.jsonl"

Files = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="What a back-test wrote, not ClickHouse.", show_default=False),
]
CatalogueFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalogue", help="Catalogue files or folders, not those of the settings.", show_default=False
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many lines.")]

app = typer.Typer(
    help="Who calls whom: declared in the catalogue, learned from traces and metrics.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin topology\n\n  tocsin topology show checkout\n\n"
    "  tocsin topology conflicts --unseen 7d\n\n  tocsin topology --from out",
)


class Seen(msgspec.Struct):
    """The graph, and the time that counts as now."""

    graph: Any
    now_ms: int


@app.callback(invoke_without_command=True)
def topology(
    context: typer.Context,
    limit: Limit = 50,
    files: Files = None,
    catalogue: CatalogueFiles = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """All calls: whether they are declared, where they were seen, how many, how many failed."""
    if context.invoked_subcommand is not None:
        return
    graph = _graph(settings_from(config, clickhouse=clickhouse), files, catalogue).graph
    if as_json:
        print_json(
            {
                "services": [
                    {
                        "service": name,
                        "listed": name in graph.catalogue.services,
                        "seen_at": graph.met.get(name),
                    }
                    for name in graph.services
                ],
                "calls": [graph.facts(a, b) for a, b in graph.calls],
            }
        )
        return
    if not graph.services:
        console.print("Nothing is declared and nothing was seen. A catalogue: docs/catalogue.md.")
        return
    shown = table(
        "caller",
        "callee",
        "declared",
        "seen in",
        "per min",
        "failed",
        "last (UTC)",
        right=("per min", "failed"),
    )
    for a, b in graph.calls[:limit]:
        call = graph.learned.get((a, b))
        shown.add_row(
            plain(a), plain(b), "yes" if (a, b) in graph.declared else NONE,
            ", ".join(call.places) if call else NONE,
            f"{call.per_minute:g}" if call else NONE,
            percent(call.failed) if call else NONE,
            utc(call.last_ms) if call else NONE,
        )  # fmt: skip
    console.print(shown)
    if len(graph.calls) > limit:
        console.print(f"… and {len(graph.calls) - limit} more; --limit shows more", style="dim")
    console.print(
        f"\n{some(len(graph.services), 'service')}, {some(len(graph.calls), 'call')}: "
        f"{len(graph.declared)} declared, {len(graph.learned)} seen. "
        "Where they differ: tocsin topology conflicts"
    )


@app.command()
def show(
    service: Annotated[str, typer.Argument(help="A service, by its name or an alias.")],
    depth: Annotated[int, typer.Option(min=1, max=10, help="Calls away.")] = 2,
    files: Files = None,
    catalogue: CatalogueFiles = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What lies around a service: what it needs, and what needs it.

    Examples:

      tocsin topology show checkout --depth 3
    """
    graph = _graph(settings_from(config, clickhouse=clickhouse), files, catalogue).graph
    name = graph.catalogue.canonical(service)
    if name not in set(graph.services):
        near = [one for one in graph.services if service.lower() in one.lower()][:5]
        raise CliError(
            f"no service {service!r}", f"perhaps {', '.join(near)}" if near else "tocsin topology lists them"
        )
    entry = graph.catalogue.get(name)
    if as_json:
        around = {
            "service": name,
            "entry": entry,
            "calls": [graph.facts(name, callee) for callee in graph.callees.get(name, ())],
            "called_by": [graph.facts(caller, name) for caller in graph.callers.get(name, ())],
        }
        print_json(around)
        return
    _entry(graph, name)
    for title, ways, down in (("needs", graph.callees, True), ("is needed by", graph.callers, False)):
        if not ways.get(name):
            console.print(f"\n{title} nothing that is known")
            continue
        tree = Tree(Text(f"{plain(name).plain} {title}", style="bold"), guide_style="dim")
        _grow(tree, graph, name, ways, depth, down, {name})
        console.print()
        console.print(tree)


@app.command()
def conflicts(
    kind: Annotated[str, typer.Option(help=f"Only one of {', '.join(KINDS)}.", show_default=False)] = "",
    unseen: Annotated[
        str, typer.Option(help="Declared calls not seen for this long count as unseen.")
    ] = "7d",
    limit: Limit = 100,
    files: Files = None,
    catalogue: CatalogueFiles = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Where the catalogue and telemetry disagree.

    Calls are remembered for as long as `correlate.edge_memory_ms` says (a day): what was not seen for longer
    counts as never seen.

    Examples:

      tocsin topology conflicts --kind undeclared

      tocsin topology conflicts --json | jq 'group_by(.kind) | map({(.[0].kind): length}) | add'
    """
    if kind and kind not in KINDS:
        raise CliError(f"--kind is {kind!r}", f"use one of {', '.join(KINDS)}")
    seen = _graph(settings_from(config, clickhouse=clickhouse), files, catalogue)
    found = find(seen.graph, parse_when(unseen, seen.now_ms, "--unseen"))
    found = [one for one in found if not kind or one.kind == kind]
    if as_json:
        print_json([one._asdict() for one in found])
        return
    if not found:
        console.print("No conflicts: the catalogue says what telemetry shows.")
        return
    shown = table("what", "service", "calls", "detail", "last seen (UTC)")
    for one in found[:limit]:
        shown.add_row(one.kind, plain(one.service), plain(one.other), plain(one.text), utc(one.at_ms) or NONE)
    console.print(shown)
    if len(found) > limit:
        console.print(f"… and {len(found) - limit} more; --limit shows more", style="dim")
    counts = {name: sum(one.kind == name for one in found) for name in KINDS}
    console.print("\n" + ", ".join(f"{n} {name} ({KINDS[name]})" for name, n in counts.items() if n))


def _graph(settings: Settings, files: Path | None, named: list[Path] | None) -> Seen:
    catalogue = catalogue_from(settings, named)
    if files is None:
        with reader_of(settings.clickhouse) as reader:
            return Seen(Graph(catalogue, services_seen(reader)), wall_ms())
    records = records_in(files)
    return Seen(Graph(catalogue, records), max((one.at_ms for one in records), default=0))


def records_in(folder: Path) -> list[ServiceSeen]:
    """What a back-test wrote of the topology. Raises `CliError`."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=ServiceSeen) for line in lines]
    except OSError as error:
        raise CliError(
            f"{path} cannot be read: {error.strerror}", "tocsin backtest DIR -o OUT writes it"
        ) from None
    except msgspec.DecodeError as error:
        raise CliError(f"{path} is not what tocsin backtest writes: {error}") from None


def _entry(graph: Graph, name: str) -> None:
    entry = graph.catalogue.get(name)
    console.print(plain(entry.name or name if entry else name), style="bold")
    facts = [
        f"telemetry last seen {utc(graph.met[name])} UTC"
        if name in graph.met
        else "no telemetry of its own seen"
    ]
    if entry is None:
        facts.insert(0, "no entry in the catalogue")
    else:
        tier = f"tier {entry.tier}" if entry.tier else ""
        labels = ", ".join(f"{k}={v}" for k, v in entry.labels.items())
        facts = [*filter(None, (entry.owner, tier, entry.application, entry.environment, labels)), *facts]
        facts += [entry.runbook] if entry.runbook else []
    console.print(plain(" · ".join(facts)))


def _grow(
    tree: Tree, graph: Graph, name: str, ways: dict[str, list[str]], depth: int, down: bool, above: set[str]
) -> None:
    following = ways.get(name, [])
    for other in following[:MOST_CHILDREN]:
        key = (name, other) if down else (other, name)
        line = Text(plain(other).plain, style="bold")
        line.append(f"  {_words(graph, key)}", style="dim")
        if other in above:
            line.append("  ↺ cycle", style="yellow")
            tree.add(line)
            continue
        branch = tree.add(line)
        if depth > 1:
            _grow(branch, graph, other, ways, depth - 1, down, {*above, other})
        elif ways.get(other):
            branch.add(Text(f"… {len(ways[other])} more beyond", style="dim"))
    if len(following) > MOST_CHILDREN:
        tree.add(Text(f"… and {len(following) - MOST_CHILDREN} more", style="dim"))


def _words(graph: Graph, key: tuple[str, str]) -> str:
    call = graph.learned.get(key)
    said = ["declared"] if key in graph.declared else ["not declared"] if graph.declared else []
    if call is None:
        return ", ".join([*said, "not seen"])
    said += [f"{call.per_minute:g}/min" if call.per_minute else "", f"seen in {' and '.join(call.places)}"]
    if call.failed:
        said.append(f"{percent(call.failed)} failed")
    return ", ".join(filter(None, said))
