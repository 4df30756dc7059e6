"""Help texts as they were meant: sentences fill the terminal's width, examples stay line by line."""

from __future__ import annotations

import inspect
import re
from typing import Any


def reflow(text: str) -> str:
    """A docstring with a line for each paragraph; indented ones keep their lines and stand together."""
    parts: list[str] = []
    indented = False
    # Examples may follow their heading without an empty line.
    apart = re.sub(r"^(\S.*)\n(?= )", r"\1\n\n", inspect.cleandoc(text), flags=re.MULTILINE)
    for paragraph in apart.split("\n\n"):
        if paragraph.startswith(" "):
            if indented:
                parts[-1] += f"\n{paragraph}"
            else:
                parts.append(paragraph)
        else:
            parts.append(" ".join(paragraph.split()))
        indented = paragraph.startswith(" ")
    return "\n\n".join(parts)


def reflow_all(command: Any) -> None:
    """The help of a command and of those within it."""
    command.help = reflow(command.help or "")
    for one in getattr(command, "commands", {}).values():
        reflow_all(one)
