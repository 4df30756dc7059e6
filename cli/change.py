"""`tocsin change`: tell Tocsin about a deployment, so that it can be evidence."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer

from cli.bus import send, topic_of
from cli.common import AsJson, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import parse_when, plain, wall_ms
from streams.records.digest import digest_hex
from streams.records.messages import Change


def change(
    service: Annotated[str, typer.Option(help="Service that is changed, as telemetry names it.")],
    version: Annotated[str, typer.Option(help="Version that is rolled out.")] = "",
    summary: Annotated[str, typer.Option(help="What changes, in a sentence.")] = "",
    kind: Annotated[str, typer.Option(help="deployment, configuration, flag, …")] = "deployment",
    author: Annotated[str, typer.Option(help="Who is behind it.")] = "",
    at: Annotated[str, typer.Option(help="When, if not now: 5m (ago) or a time (UTC).")] = "",
    id: Annotated[
        str, typer.Option(help="Id of your own, such as the pipeline's; sent twice it counts once.")
    ] = "",
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Record a deployment or another change. Made for the last step of a CI pipeline.

    Returns when the broker has it (exit code 0); one line on standard output.

    Examples:
      tocsin change --service payment --version v42 --summary "new retry policy"
      tocsin change --service checkout --version "$GIT_SHA" --author "$GIT_AUTHOR" --id "$PIPELINE_ID"
    """
    if not service.strip():
        raise CliError("--service is empty", "name the service as telemetry names it (service.name)")
    settings = settings_from(config, kafka)
    now_ms = wall_ms()
    ts_ms = parse_when(at, now_ms, "--at") if at else now_ms
    made = Change(
        id=id or digest_hex("change", service, kind, version, summary, author, str(ts_ms)),
        ts=ts_ms,
        service=service.strip(),
        kind=kind,
        version=version,
        summary=summary,
        author=author,
    )
    topic = topic_of(settings, "changes")
    asyncio.run(send(settings.kafka, topic, made.service.encode(), msgspec.json.encode(made)))
    if as_json:
        print_json(made)
        return
    version_words = f" {made.version}" if made.version else ""
    console.print(
        plain(f"change {made.id}: {made.kind} of {made.service}{version_words} recorded in {topic}")
    )
