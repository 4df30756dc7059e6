"""`tocsin schemas`: what is on every topic, as one AsyncAPI document and a JSON Schema for each topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.common import console
from cli.errors import CliError
from sinks.asyncapi import files


def schemas(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path("schemas"),
) -> None:
    """Write asyncapi.json (AsyncAPI 3.0) and a JSON Schema (draft 7) for each topic.

    Made from the types the pipeline reads and writes; topics have their default names.

    Examples:
      tocsin schemas -o docs/schemas
    """
    made = files()
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(
            f"{output} cannot be written: {error.strerror}", "name another folder with -o"
        ) from None
    console.print(f"{output}: {len(made)} files")
