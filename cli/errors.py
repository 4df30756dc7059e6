"""The one way a command fails on purpose."""

from __future__ import annotations


class CliError(Exception):
    """What went wrong in one line, and the next step. Ends the command with `code`, no traceback."""

    def __init__(self, message: str, next_step: str = "", code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code
