"""Groups whose first command may be left out: `tocsin review 3f9a` is `tocsin review show 3f9a`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class DefaultGroup(TyperGroup):
    """What begins with no command of the group is for `default`."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if (not args and self.default == "list") or (
            args and args[0] not in self.commands and args[0] not in ("--help", "-h")
        ):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


class ListGroup(DefaultGroup):
    default = "list"
