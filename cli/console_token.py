"""`tocsin console-token`: a new token for the console, and the line of the settings that lets it in."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from typing import Annotated, get_args

import typer

from cli.errors import CliError
from config.console import Role


def console_token(
    name: Annotated[str, typer.Argument(help="Whose it is, as it stands in the audit.")],
    role: Annotated[str, typer.Option("--role", help="viewer, responder, manager or admin.")] = "viewer",
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="May see this domain only; may be repeated.")
    ] = None,
    expires: Annotated[str, typer.Option("--expires", help="2027-01-31; without it, never.")] = "",
) -> None:
    """Make a token for the console. It is shown once and kept nowhere; the settings hold its digest.

    The token goes to stdout; the line for console.access.tokens goes to stderr.

    Examples:

      tocsin console-token ci --role responder

      tocsin console-token ann --role admin --expires 2027-01-31
    """
    if role not in get_args(Role):
        raise CliError(f"--role is {role!r}: expected one of {', '.join(get_args(Role))}")
    token = f"tocsin_{secrets.token_urlsafe(32)}"
    line: dict[str, object] = {
        "name": name,
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "role": role,
    }
    if domain:
        line["domains"] = domain
    if expires:
        line["expires"] = expires
    print(token)
    print(f"in console.access.tokens of the settings file:\n- {json.dumps(line)}", file=sys.stderr)
